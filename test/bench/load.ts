import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { crowdOfLogins, crowdOfWriters, type Tally } from "../support/load.ts";
import { cli, control, plainApp, type Size, work } from "./tools.ts";

interface Status {
  readonly pid: number;
  readonly arm: string;
  readonly caFile: string;
  readonly clientId: string;
  readonly subscriptionId: string;
}

/** 200 clients for a minute (in a short round 8 for a second), at the gateway and at ARM. They live in this process, local Azure in its own, whose memory is shown (Linux only). */
export async function load(size: Size): Promise<void> {
  const crowd = size === "full" ? { clients: 200, seconds: 60, pauseMs: 5_000 } : { clients: 8, seconds: 1, pauseMs: 0 };
  const home = join(work, "load");
  const folder = join(work, "load-app");
  plainApp(folder);
  await cli(home, "server", "create", "--local", "--yes", folder);
  await cli(home, "firewall", "apply", "--local", "--yes", folder);
  const { host } = JSON.parse((await cli(home, "server", "show", "--local", folder)).stdout) as { host: string };
  const status = JSON.parse((await cli(home, "local", "status", "--json")).stdout) as Status;
  const ca = readFileSync(status.caFile, "utf8");
  const token = (await cli(home, "token", "--local", folder)).stdout.trim();
  const firewallAccess = { host, port: 5432, user: status.clientId, ca, token };
  tell(`${crowd.clients} clients at the gateway`, await watched(status.pid, crowd.pauseMs, () => crowdOfLogins(crowd, firewallAccess)));
  const asked = { principal: status.clientId, audience: "https://management.azure.com" };
  const arm = (await control(home, "tokens", asked)) as { token: string };
  const url = `${status.arm}/subscriptions/${status.subscriptionId}`;
  const writers = await watched(status.pid, crowd.pauseMs, () => crowdOfWriters(crowd, { url, ca, token: arm.token }));
  tell(`${crowd.clients} clients at ARM`, writers);
  await cli(home, "local", "stop");
}

interface Watched {
  readonly tally: Tally;
  readonly seconds: number;
  /** MB and open descriptors of local Azure's process: before, at most, 5 s after (at once in a short round). */
  readonly memory: readonly number[];
  readonly descriptors: readonly number[];
}

async function watched(pid: number, pauseMs: number, crowd: () => Promise<Tally>): Promise<Watched> {
  const memory = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
  const descriptors = (): number => readdirSync(`/proc/${pid}/fd`).length;
  const before = { memory: memory(), descriptors: descriptors() };
  const most = { ...before };
  const looking = setInterval(() => {
    most.memory = Math.max(most.memory, memory());
    most.descriptors = Math.max(most.descriptors, descriptors());
  }, 500);
  const began = performance.now();
  const tally = await crowd();
  const seconds = (performance.now() - began) / 1000;
  clearInterval(looking);
  await new Promise((done) => setTimeout(done, pauseMs));
  return {
    tally,
    seconds,
    memory: [before.memory, most.memory, memory()],
    descriptors: [before.descriptors, most.descriptors, descriptors()],
  };
}

function tell(where: string, { tally, seconds, memory, descriptors }: Watched): void {
  const took = [...tally.tookMs].sort((a, b) => a - b);
  const at = (share: number): string => `${(took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? 0).toFixed(0)} ms`;
  const refused = [...tally.refused].map(([what, times]) => `${times} × ${what}`).join(", ") || "none";
  console.log(`${where} for ${seconds.toFixed(0)} s`);
  console.log(
    `  right ${tally.right} (${(tally.right / seconds).toFixed(0)}/s) · refused ${refused} · wrong or silent ${tally.wrong.length}`,
  );
  console.log(`  median ${at(0.5)} · 95 % ${at(0.95)} · 99 % ${at(0.99)} · longest ${at(1)}`);
  console.log(
    `  memory MB before, most, after: ${memory.map((value) => value.toFixed(0)).join(", ")} · descriptors ${descriptors.join(", ")}`,
  );
  for (const wrong of new Set(tally.wrong)) console.log(`  ! ${wrong}`);
}
