import { readdirSync } from "node:fs";
import { Agent, request } from "node:https";
import { Client } from "pg";
import { PATIENCE_MS } from "./patience.ts";

/** What came of a crowd. */
export interface Tally {
  /** Right answers. */
  right: number;
  /** Refusals by SQLSTATE or HTTP status. */
  readonly refused: Map<string, number>;
  /** What was neither: wrong answers, silence, broken connections. */
  readonly wrong: string[];
  /** Milliseconds of each right answer, in no order. */
  readonly tookMs: number[];
}

interface Crowd {
  readonly clients: number;
  readonly seconds: number;
}

async function crowd({ clients, seconds }: Crowd, once: (client: number) => Promise<string | undefined>): Promise<Tally> {
  const tally: Tally = { right: 0, refused: new Map(), wrong: [], tookMs: [] };
  const end = performance.now() + seconds * 1000;
  const live = async (client: number): Promise<void> => {
    while (performance.now() < end) {
      const began = performance.now();
      try {
        const refused = await once(client);
        if (refused === undefined) {
          tally.right += 1;
          tally.tookMs.push(performance.now() - began);
        } else tally.refused.set(refused, (tally.refused.get(refused) ?? 0) + 1);
      } catch (error) {
        tally.wrong.push(error instanceof Error ? error.message : String(error));
      }
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, client) => live(client)));
  return tally;
}

/** A flexible server and who comes. */
export interface Door {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly ca: string;
  readonly token: string;
}

function clientOf({ host, port, user, ca, token }: Door): Client {
  const times = { connectionTimeoutMillis: PATIENCE_MS, query_timeout: PATIENCE_MS };
  const client = new Client({ host, port, user, password: token, database: "postgres", ssl: { ca }, ...times });
  client.on("error", () => {});
  return client;
}

const FULL = "53300";

/** Clients that sign in at the same time and stay until each has its answer. */
export async function crowdThatStays(clients: number, firewallAccess: Door): Promise<{ readonly in: number; readonly refused: number }> {
  const all = Array.from({ length: clients }, () => clientOf(firewallAccess));
  const answers = await Promise.allSettled(all.map((client) => client.connect()));
  await Promise.all(all.map((client) => client.end().catch(() => {})));
  const failures = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason as { code?: string }] : []));
  const other = failures.find(({ code }) => code !== FULL);
  if (other) throw other;
  return { in: clients - failures.length, refused: failures.length };
}

/** Clients that each sign in, ask for a number of their own and leave, again and again. 53300 is a refusal. */
export function crowdOfLogins(size: Crowd, firewallAccess: Door): Promise<Tally> {
  return crowd(size, async (number) => {
    const client = clientOf(firewallAccess);
    try {
      await client.connect();
      const { rows } = await client.query("SELECT $1::int * 2 AS twice", [number]);
      if (rows[0]?.twice !== number * 2) throw new Error(`asked ${number}, heard ${JSON.stringify(rows)}`);
      return undefined;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code !== FULL) throw error;
      await new Promise((done) => setTimeout(done, 50)); // as a patient client tries again
      return code;
    } finally {
      await client.end().catch(() => {});
    }
  });
}

/** Clients that each write a tag of their own on one connection and read it back. */
export async function crowdOfWriters(
  size: Crowd,
  arm: { readonly url: string; readonly ca: string; readonly token: string },
): Promise<Tally> {
  const agent = new Agent({ keepAlive: true, ca: arm.ca });
  const call = (method: string, path: string, body?: object): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${arm.token}`, "content-type": "application/json" };
      const outgoing = request(`${arm.url}${path}?api-version=2021-04-01`, { method, agent, headers, timeout: PATIENCE_MS }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
        response.on("error", reject);
      });
      outgoing.on("timeout", () => outgoing.destroy(new Error("no answer")));
      outgoing.on("error", reject);
      outgoing.end(body && JSON.stringify(body));
    });
  let round = 0;
  try {
    return await crowd(size, async (client) => {
      const path = `/resourceGroups/rg-load-${client}`;
      const mark = `${client}-${round++}`;
      const put = await call("PUT", path, { location: "eastus", tags: { mark } });
      if (put.status >= 400) return String(put.status);
      const got = await call("GET", path);
      if (JSON.parse(got.text).tags?.mark !== mark) throw new Error(`wrote ${mark}, read ${got.text}`);
      return undefined;
    });
  } finally {
    agent.destroy();
  }
}

/** Open descriptors of this process; 0 where they cannot be counted. */
export function openDescriptors(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return 0;
  }
}
