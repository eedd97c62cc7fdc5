import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { systemClock } from "../base/clock.ts";
import { type ErrorCode, exitCodeOf, KnownError } from "../base/errors.ts";
import type { LocalDetails } from "./emulator.ts";
import { homeFailure, homeFiles, homeFolders, prepareHome, wipeHome } from "./home.ts";
import { withLock } from "./lock.ts";
import { sweepProcesses } from "./machines/process.ts";
import type { Pace } from "./operations.ts";
import { isSameProcess, type ProcessStamp } from "./process-stamp.ts";
import { createStore } from "./store.ts";

export type LocalStatus = RunningLocal | { readonly running: false; readonly home: string };
export type RunningLocal = { readonly running: true; readonly pid: number } & LocalDetails;

export interface StartOptions {
  /** The built daemon, `dist/daemon.js`. */
  readonly daemonFile: string;
  readonly pace?: Pace;
  readonly port?: number;
  readonly tokenLifetimeSeconds?: number;
  readonly signal?: AbortSignal;
}

/** What the daemon reads as one line of JSON on its standard input. */
export interface DaemonOptions {
  readonly homeFolder: string;
  readonly pace?: Pace;
  readonly port?: number;
  readonly tokenLifetimeSeconds?: number;
}

/** What the daemon says as one line of JSON on its standard output, once. */
export type DaemonGreeting =
  | { readonly ready: true }
  | { readonly ready: false; readonly error: { readonly code?: string; readonly message: string; readonly hint?: string } };

const START_MS = 60_000;
const STOP_MS = 30_000;

/**
 * Starts local Azure in the background unless it runs, and answers when it is ready. Several callers at once get one daemon.
 * Throws `local/port-in-use`, `local/failed` (with the log's place), `cancelled`.
 */
export async function startLocal(home: string, options: StartOptions): Promise<RunningLocal> {
  return atHome(home, () => start(home, options));
}

async function start(home: string, options: StartOptions): Promise<RunningLocal> {
  const running = await localStatus(home);
  if (running.running) return running;
  prepareHome(home);
  return await withLock(homeFiles(home).lock, options.signal, async () => {
    const status = await localStatus(home);
    if (status.running) return status;
    if (options.signal?.aborted) throw cancelled();
    await sweepLeftovers(home);
    await spawnDaemon(home, options);
    const started = await localStatus(home);
    if (started.running) return started;
    if (options.signal?.aborted) throw cancelled();
    throw new KnownError("local/failed", `Local Azure ended as soon as it was ready in ${home}.`, { hint: `read ${homeFiles(home).log}` });
  });
}

/** Ends local Azure and whatever a killed one left running. Answers whether it was running. */
export async function stopLocal(home: string): Promise<boolean> {
  return atHome(home, () => stop(home));
}

async function stop(home: string): Promise<boolean> {
  const files = homeFiles(home);
  if (readText(files.state) === undefined) return false;
  return await withLock(files.lock, undefined, async () => {
    const stamp = readStamp(home);
    const wasRunning = stamp !== undefined && isSameProcess(stamp);
    if (wasRunning) await endProcess(stamp);
    await sweepLeftovers(home);
    rmSync(files.run, { force: true });
    return wasRunning;
  });
}

/** Is there a ready daemon on this home, and how to reach it. Asks the system, not the network. */
export async function localStatus(home: string): Promise<LocalStatus> {
  const stamp = await atHome(home, async () => readStamp(home));
  if (!stamp || !isSameProcess(stamp)) return { running: false, home };
  const { startTime: _, ...details } = stamp;
  return { running: true, ...details };
}

/** Stops local Azure and forgets every resource, database and secret. Package caches and the PostgreSQL binaries stay. */
export async function resetLocal(home: string): Promise<void> {
  await stopLocal(home);
  await atHome(home, async () => {
    if (readText(homeFiles(home).state) === undefined) return;
    await withLock(homeFiles(home).lock, undefined, async () => wipeHome(home));
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

/** `run.json`: the daemon's process and what it told about itself. */
type RunFile = ProcessStamp & LocalDetails;

function readStamp(home: string): RunFile | undefined {
  const text = readText(homeFiles(home).run);
  return text === undefined ? undefined : (JSON.parse(text) as RunFile);
}

async function spawnDaemon(home: string, options: StartOptions): Promise<void> {
  mkdirSync(home, { recursive: true });
  const log = openSync(homeFiles(home).log, "a", 0o600);
  const child = spawn(process.execPath, [options.daemonFile], { cwd: home, detached: true, stdio: ["pipe", "pipe", log] });
  closeSync(log);
  child.on("error", () => undefined); // it could not be started, or not be ended; the missing greeting says so
  const { stdin, stdout } = child;
  if (!stdin || !stdout) throw new Error("The daemon was spawned without its pipes.");
  const cancel = (): void => void child.kill("SIGTERM");
  options.signal?.addEventListener("abort", cancel, { once: true });
  const timer = setTimeout(() => child.kill("SIGKILL"), START_MS);
  try {
    const { daemonFile: _, signal: __, ...rest } = options;
    const given: DaemonOptions = { homeFolder: home, ...rest };
    stdin.on("error", () => undefined); // it may end before it reads; the missing greeting says so
    stdin.end(`${JSON.stringify(given)}\n`);
    await greeting(stdout, home, options.signal);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", cancel);
    stdout.destroy();
    child.unref();
  }
}

async function greeting(output: NodeJS.ReadableStream, home: string, signal: AbortSignal | undefined): Promise<void> {
  for await (const line of createInterface({ input: output })) {
    const said = JSON.parse(line) as DaemonGreeting;
    if (said.ready) return;
    const { code, message, hint } = said.error;
    throw new KnownError(isErrorCode(code) ? code : "local/failed", message, { hint: hint ?? `read ${homeFiles(home).log}` });
  }
  if (signal?.aborted) throw cancelled();
  throw new KnownError("local/failed", "Local Azure ended before it was ready.", { hint: `read ${homeFiles(home).log}` });
}

function cancelled(): KnownError {
  return new KnownError("cancelled", "The start of local Azure was cancelled.");
}

function isErrorCode(code: string | undefined): code is ErrorCode {
  return code !== undefined && code in exitCodeOf;
}

async function endProcess(stamp: ProcessStamp): Promise<void> {
  process.kill(stamp.pid, "SIGTERM");
  if (await isGone(() => isSameProcess(stamp), STOP_MS)) return;
  process.kill(stamp.pid, "SIGKILL");
  if (await isGone(() => isSameProcess(stamp), STOP_MS)) return;
  throw new KnownError("local/failed", `The process ${stamp.pid} of local Azure does not end.`);
}

/** Ends the apps and the PostgreSQL servers of a daemon that was killed. The daemon itself must be gone. */
async function sweepLeftovers(home: string): Promise<void> {
  const files = homeFiles(home);
  sweepApps(files.state);
  const servers = join(homeFolders(home).postgres, "servers");
  for (const data of namesIn(servers).map((name) => join(servers, name, "data"))) {
    const pid = Number.parseInt(readText(join(data, "postmaster.pid")) ?? "", 10);
    if (!pid || !serves(pid, data)) continue;
    process.kill(pid, "SIGINT"); // PostgreSQL's fast shutdown
    if (await isGone(() => serves(pid, data), STOP_MS / 3)) continue;
    process.kill(pid, "SIGQUIT");
    if (!(await isGone(() => serves(pid, data), STOP_MS / 3))) {
      throw new KnownError("local/failed", `The PostgreSQL process ${pid} of local Azure does not end.`);
    }
  }
}

/** A store that cannot be read names no processes: it must not stop `local reset`, which is the way out of it. */
function sweepApps(stateFile: string): void {
  try {
    if (readText(stateFile) !== undefined) sweepProcesses(createStore(stateFile), "");
  } catch (error) {
    if (!(error instanceof KnownError)) throw error;
  }
}

/** The process must say itself that it works on this folder: process numbers come again. */
function serves(pid: number, data: string): boolean {
  const state = /\) (\w) /.exec(readText(`/proc/${pid}/stat`) ?? "")?.[1];
  return state !== undefined && state !== "Z" && (readText(`/proc/${pid}/cmdline`) ?? "").split("\0").includes(data);
}

async function isGone(isThere: () => boolean, withinMs: number): Promise<boolean> {
  const deadline = systemClock.now() + withinMs;
  while (isThere()) {
    if (systemClock.now() > deadline) return false;
    await systemClock.sleep(20);
  }
  return true;
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}
