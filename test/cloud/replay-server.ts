import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CloudContext } from "../../src/cloud/connection.ts";
import { homeFiles, prepareHome } from "../../src/emulator/home.ts";
import { openCertificates } from "../../src/emulator/http/certificates.ts";
import { leapingClock } from "../support/leaping-clock.ts";

export interface Exchange {
  readonly request: { readonly method: string; readonly url: string; readonly body?: unknown };
  readonly response: { readonly status: number; readonly headers: Readonly<Record<string, string | string[]>>; readonly body: unknown };
}

/** Recorded exchanges of real Azure, from `test/fixtures/recorded/client`. */
export function recorded(name: string): readonly Exchange[] {
  const file = new URL(`../fixtures/recorded/client/${name}.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { exchanges: readonly Exchange[] }).exchanges;
}

interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly authorization: string | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

export interface ReplayServer {
  readonly origin: string;
  readonly host: string;
  readonly caPem: string;
  readonly requests: readonly SeenRequest[];
  /** Answers come in this order for one method and path; the last one stays. */
  play(exchanges: readonly Exchange[]): void;
  /** Everything that is not played is answered so. */
  otherwise(answer: (request: SeenRequest) => Exchange["response"]): void;
  close(): Promise<void>;
}

/** Polling addresses are signed: only the very same address is answered. */
const mustBeVerbatim = (url: string): boolean => /azureAsyncOperation|operationStatuses|operationResults/i.test(url);

const keyOf = (method: string, url: string): string => {
  const { pathname, search } = new URL(url, "https://anywhere");
  return `${method} ${pathname.toLowerCase()}${mustBeVerbatim(url) ? search : ""}`;
};

/** A certificate for localhost, and the CA that vouches for it. */
function certificate(): { cert: string; key: string; caPem: string } {
  const folder = mkdtempSync(join(tmpdir(), "ppg-replay-"));
  try {
    const { keys, root } = prepareHome(folder);
    const certificates = openCertificates(keys, homeFiles(root));
    return { ...certificates.issue(["localhost"]), caPem: certificates.caPem };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A TLS server on localhost that answers as real Azure was recorded to; what it was never told to answer is a 501. */
export async function startReplay(): Promise<ReplayServer> {
  const { cert, key, caPem } = certificate();
  const answers = new Map<string, Exchange["response"][]>();
  const requests: SeenRequest[] = [];
  let origin = "";
  let otherwise: ((request: SeenRequest) => Exchange["response"]) | undefined;

  const server: Server = createServer({ cert, key }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const [path = "", query = ""] = (request.url ?? "").split("?");
      const { authorization } = request.headers;
      const seen: SeenRequest = {
        method: request.method ?? "",
        path,
        query,
        authorization,
        headers: request.headers,
        body: Buffer.concat(chunks).toString("utf8"),
      };
      requests.push(seen);
      const queue = answers.get(keyOf(request.method ?? "", request.url ?? "")) ?? [];
      const answer = (queue.length > 1 ? queue.shift() : queue[0]) ?? otherwise?.(seen);
      if (!answer) {
        response.writeHead(501, { "content-type": "application/json" });
        response.end(JSON.stringify({ error: { code: "NotRecorded", message: `${request.method} ${request.url}` } }));
        return;
      }
      for (const [name, value] of Object.entries(answer.headers)) {
        const here = (text: string) => text.replace(/^https:\/\/[^/]+/, origin);
        response.setHeader(name, Array.isArray(value) ? value.map(here) : here(value));
      }
      const isSilent = answer.body === null && answer.status !== 202;
      response.writeHead(answer.status, { "content-type": "application/json; charset=utf-8" });
      // A file's bytes go as they are.
      response.end(isSilent ? undefined : Buffer.isBuffer(answer.body) ? answer.body : JSON.stringify(answer.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `localhost:${(server.address() as AddressInfo).port}`;
  origin = `https://${host}`;
  return {
    origin,
    host,
    caPem,
    requests,
    play: (exchanges) => {
      for (const { request, response } of exchanges) {
        const key = keyOf(request.method, request.url);
        answers.set(key, [...(answers.get(key) ?? []), response]);
      }
    },
    otherwise: (answer) => {
      otherwise = answer;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A token nobody signed: the replay server does not look. */
export function unsignedToken(claims: Readonly<Record<string, unknown>>): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part(claims)}.${part("none")}`;
}

/** A context over the replay server, signed in as a user. */
export function contextOf(server: ReplayServer, subscriptionId: string, more: Partial<CloudContext> = {}): CloudContext {
  const token = unsignedToken({
    oid: "894ef8da-0000-4000-8000-000000000001",
    tid: "72f988bf-0000-4000-8000-000000000002",
    upn: "ana@example.com",
  });
  return {
    environment: {
      name: "public",
      resourceManager: server.origin,
      authorityHost: server.origin,
      scopes: { resourceManager: "https://arm/.default", postgres: "https://db/.default", appService: "https://scm/.default" },
      siteScheme: "https",
      caPem: server.caPem,
    },
    credential: { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) },
    subscriptionId,
    signal: new AbortController().signal,
    clock: leapingClock(),
    ...more,
  };
}
