import { rmSync } from "node:fs";
import { request } from "node:https";
import { KnownError } from "../base/errors.ts";
import { formatClockMode } from "./clock-mode.ts";
import { endDaemon, endUnlistedDaemon } from "./end-daemon.ts";
import { homeFailure, homeFiles, homeFolders, isHome, prepareHome, wipeHome } from "./home.ts";
import type { LocalDetails } from "./local-details.ts";
import { withLock, withLockIfRoom } from "./lock.ts";
import { sweepPostgres } from "./machines/postgres/sweep.ts";
import { sweepProcesses } from "./machines/process.ts";
import { isSameProcess } from "./process-stamp.ts";
import { readRunFile } from "./run-file.ts";
import { type SpawnOptions, spawnDaemon, startCancelled } from "./spawn-daemon.ts";
import { createStore } from "./store.ts";
import { sweepFiles } from "./sweep-files.ts";

export type LocalStatus = RunningLocal | { readonly running: false; readonly home: string };
export type RunningLocal = { readonly running: true; readonly pid: number } & LocalDetails;

export type StartOptions = SpawnOptions;

/**
 * Starts local Azure in the background unless it runs, and answers when it is ready. Several callers at once get one daemon.
 * Throws `local/port-in-use`, `local/failed` (with the log's place), `cancelled`.
 */
export async function startLocal(home: string, options: StartOptions): Promise<RunningLocal> {
  return atHome(home, () => start(home, options));
}

async function start(home: string, options: StartOptions): Promise<RunningLocal> {
  const running = await localStatus(home);
  if (running.running) return asAsked(running, options);
  prepareHome(home);
  return await withLock(homeFiles(home).lock, options.signal, async () => {
    const status = await localStatus(home);
    if (status.running) return asAsked(status, options);
    if (options.signal?.aborted) throw startCancelled();
    await endUnlistedDaemon(home);
    await sweepLeftovers(home);
    await spawnDaemon(home, options);
    const started = await localStatus(home);
    if (started.running) return started;
    if (options.signal?.aborted) throw startCancelled();
    throw new KnownError("local/failed", `Local Azure ended as soon as it was ready in ${home}.`, { hint: `read ${homeFiles(home).log}` });
  });
}

/** What was asked for must be what runs: a flag is not dropped in silence. */
function asAsked(running: RunningLocal, { port, clockMode, tokenLifetimeSeconds }: StartOptions): RunningLocal {
  const pairs: readonly (readonly [what: string, asked: unknown, is: unknown])[] = [
    ["port", port, Number(new URL(running.arm).port)],
    ["clock", clockMode && formatClockMode(clockMode), running.pace],
    ["token lifetime", tokenLifetimeSeconds, running.tokenLifetimeSeconds],
  ];
  const other = pairs.find(([, asked, is]) => asked !== undefined && asked !== is);
  if (!other) return running;
  const [what, asked, is] = other;
  throw new KnownError("local/failed", `Local Azure runs in ${running.home} with the ${what} ${String(is)}, not ${String(asked)}.`, {
    hint: "end it with `passwordless-pg local stop` and start it again, or set PASSWORDLESS_PG_HOME for a second one",
  });
}

/** Ends local Azure and whatever a killed one left running. Answers whether it was running. */
export async function stopLocal(home: string): Promise<boolean> {
  return atHome(home, () => stop(home));
}

async function stop(home: string): Promise<boolean> {
  if (!isHome(home)) return false;
  const files = homeFiles(home);
  return await withLockIfRoom(files.lock, async () => {
    const stamp = readRunFile(home);
    const isListed = stamp !== undefined && isSameProcess(stamp);
    if (isListed) await endDaemon(home, stamp);
    const isUnlisted = await endUnlistedDaemon(home);
    await sweepLeftovers(home);
    rmSync(files.run, { recursive: true, force: true });
    return isListed || isUnlisted;
  });
}

/** Is there a ready daemon on this home, and how to reach it. Asks the system, not the network. */
export async function localStatus(home: string): Promise<LocalStatus> {
  const stamp = await atHome(home, async () => readRunFile(home));
  if (!stamp || !isSameProcess(stamp)) return { running: false, home };
  const { startTime: _, ...details } = stamp;
  return { running: true, ...details };
}

/** Far longer than an answer takes on a machine that is busy. */
const ANSWER_MS = 10_000;

/** Throws `local/failed` when a daemon that runs does not answer: it was suspended, or it hangs. Without this each call waits for its own limit. */
export async function requireAnswer({ arm, home, pid }: RunningLocal, signal: AbortSignal, withinMs = ANSWER_MS): Promise<void> {
  const isAnswered = await new Promise<boolean>((resolve, reject) => {
    // Whose certificate it is, the calls that carry tokens ask. Any answer will do.
    const asked = request(`${arm}/_local/status`, { rejectUnauthorized: false, agent: false, signal }, (response) => {
      response.resume();
      resolve(true);
    });
    const timer = setTimeout(() => asked.destroy(new Error("no answer")), withinMs);
    asked.once("error", () => (signal.aborted ? reject(signal.reason) : resolve(false)));
    asked.once("close", () => clearTimeout(timer));
    asked.end();
  });
  if (isAnswered) return;
  throw new KnownError("local/failed", `Local Azure in ${home} (process ${pid}) runs, but does not answer.`, {
    hint: "end it with `passwordless-pg local stop` and run the same command again; `passwordless-pg local logs` may tell why",
  });
}

/** Stops local Azure and forgets every resource, database and secret. Package caches and the PostgreSQL binaries stay. */
export async function resetLocal(home: string): Promise<void> {
  await stopLocal(home);
  await atHome(home, async () => {
    if (isHome(home)) await withLockIfRoom(homeFiles(home).lock, async () => wipeHome(home));
  });
}

/** What the system refuses in the home becomes `local/failed`. */
async function atHome<T>(home: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw homeFailure(home, error);
  }
}

/** Ends the apps and the PostgreSQL servers of a daemon that was killed, and removes what it left half made. The daemon itself must be gone. */
async function sweepLeftovers(home: string): Promise<void> {
  sweepApps(homeFiles(home).state);
  sweepFiles(homeFolders(home));
  await sweepPostgres(homeFolders(home).postgres);
}

/** A store that cannot be read names no processes: it must not stop `local reset`, which is the way out of it. */
function sweepApps(stateFile: string): void {
  try {
    sweepProcesses(createStore(stateFile), "");
  } catch (error) {
    if (!(error instanceof KnownError)) throw error;
  }
}
