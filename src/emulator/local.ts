import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readdirSync, readlinkSync, realpathSync, rmSync } from "node:fs";
import { request } from "node:https";
import { createInterface } from "node:readline";
import { systemClock } from "../base/clock.ts";
import { type ErrorCode, exitCodeOf, KnownError } from "../base/errors.ts";
import { type ClockMode, formatClockMode } from "./clock-mode.ts";
import { clearWay, readIfReadable } from "./durable-file.ts";
import { homeFailure, homeFiles, homeFolders, isHome, prepareHome, wipeHome } from "./home.ts";
import type { LocalDetails } from "./local-details.ts";
import { withLock, withLockIfRoom } from "./lock.ts";
import { sweepPostgres } from "./machines/postgres/sweep.ts";
import { sweepProcesses } from "./machines/process.ts";
import { isRunning, isSameProcess, type ProcessStamp, stampFrom, statOf } from "./process-stamp.ts";
import { createStore } from "./store.ts";
import { sweepFiles } from "./sweep-files.ts";

export type LocalStatus = RunningLocal | { readonly running: false; readonly home: string };
export type RunningLocal = { readonly running: true; readonly pid: number } & LocalDetails;

export interface StartOptions {
  /** The built daemon, `dist/daemon.js`. */
  readonly daemonFile: string;
  readonly clockMode?: ClockMode;
  readonly port?: number;
  readonly tokenLifetimeSeconds?: number;
  readonly signal?: AbortSignal;
  /** What is not as it was at the last end, a line each. */
  onNote?(line: string): void;
}

/** What the daemon reads as one line of JSON on its standard input. */
export interface DaemonOptions {
  readonly homeFolder: string;
  readonly clockMode?: ClockMode;
  readonly port?: number;
  readonly tokenLifetimeSeconds?: number;
}

/** What the daemon says as one line of JSON on its standard output, once. */
export type DaemonGreeting =
  | { readonly ready: true; readonly told: readonly string[] }
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
  if (running.running) return asAsked(running, options);
  prepareHome(home);
  return await withLock(homeFiles(home).lock, options.signal, async () => {
    const status = await localStatus(home);
    if (status.running) return asAsked(status, options);
    if (options.signal?.aborted) throw cancelled();
    await endUnlisted(home);
    await sweepLeftovers(home);
    await spawnDaemon(home, options);
    const started = await localStatus(home);
    if (started.running) return started;
    if (options.signal?.aborted) throw cancelled();
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
    const stamp = readStamp(home);
    const isListed = stamp !== undefined && isSameProcess(stamp);
    if (isListed) await endProcess(home, stamp);
    const isUnlisted = await endUnlisted(home);
    await sweepLeftovers(home);
    rmSync(files.run, { recursive: true, force: true });
    return isListed || isUnlisted;
  });
}

/** Is there a ready daemon on this home, and how to reach it. Asks the system, not the network. */
export async function localStatus(home: string): Promise<LocalStatus> {
  const stamp = await atHome(home, async () => readStamp(home));
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

/** `run.json`: the daemon's process and what it told about itself. */
type RunFile = ProcessStamp & LocalDetails;

/** `undefined` also when the file is torn or foreign: then nothing is known of a daemon. */
function readStamp(home: string): RunFile | undefined {
  const stamp = stampFrom(readIfReadable(homeFiles(home).run));
  return stamp && isRunFile(stamp) ? stamp : undefined;
}

const NAMED = [
  "home",
  "arm",
  "authority",
  "tenantId",
  "subscriptionId",
  "clientId",
  "clientSecretFile",
  "userPrincipalName",
  "userPasswordFile",
  "caFile",
  "caBundleFile",
  "controlKeyFile",
  "pace",
] as const satisfies readonly (keyof LocalDetails)[];

function isRunFile(value: object): value is RunFile {
  const members = new Map<string, unknown>(Object.entries(value));
  return NAMED.every((name) => typeof members.get(name) === "string") && URL.canParse(String(members.get("arm")));
}

async function spawnDaemon(home: string, options: StartOptions): Promise<void> {
  mkdirSync(home, { recursive: true });
  clearWay(homeFiles(home).log);
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
    const { daemonFile: _, signal: __, onNote, ...rest } = options;
    const given: DaemonOptions = { homeFolder: home, ...rest };
    stdin.on("error", () => undefined); // it may end before it reads; the missing greeting says so
    stdin.end(`${JSON.stringify(given)}\n`);
    for (const line of await greeting(stdout, home, options.signal)) onNote?.(line);
  } catch (error) {
    // The next start must not meet what is left of this one.
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    throw error;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", cancel);
    stdout.destroy();
    child.unref();
  }
}

async function greeting(output: NodeJS.ReadableStream, home: string, signal: AbortSignal | undefined): Promise<readonly string[]> {
  for await (const line of createInterface({ input: output })) {
    const said = JSON.parse(line) as DaemonGreeting;
    if (said.ready) return said.told;
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

/** A daemon that takes its signal says so within this: its run file goes first. */
const HEARD_MS = 6_000;

/** In order when it listens, else the hard way; one that was suspended goes on first, or it could not end. */
async function endProcess(home: string, stamp: ProcessStamp): Promise<void> {
  const isAlive = (): boolean => isSameProcess(stamp);
  const isDeaf = (): boolean => isAlive() && readStamp(home)?.pid === stamp.pid;
  for (const signal of ["SIGTERM", "SIGCONT"] as const) signalProcess(stamp.pid, signal);
  if ((await isGone(isDeaf, HEARD_MS)) && (await isGone(isAlive, STOP_MS))) return;
  signalProcess(stamp.pid, "SIGKILL");
  if (await isGone(isAlive, STOP_MS)) return;
  throw new KnownError("local/failed", `The process ${stamp.pid} of local Azure does not end.`);
}

/** One that has just ended by itself is no error. */
function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/**
 * Ends a daemon of this home that no run file names, because that was lost, or not written yet when its starter was killed: two would write
 * one state. Answers whether there was one. Known by its program and its working folder; needs `/proc`.
 */
async function endUnlisted(home: string): Promise<boolean> {
  const folder = realpathSync(home);
  const pids = namesIn("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  let wasThere = false;
  for (const pid of pids.map(Number)) {
    const isAlive = (): boolean => isDaemonIn(pid, folder);
    if (!isAlive()) continue;
    wasThere = true;
    for (const signal of ["SIGTERM", "SIGCONT"] as const) signalProcess(pid, signal);
    if (await isGone(isAlive, HEARD_MS)) continue;
    signalProcess(pid, "SIGKILL");
    if (!(await isGone(isAlive, STOP_MS))) throw new KnownError("local/failed", `The process ${pid} of local Azure does not end.`);
  }
  return wasThere;
}

function isDaemonIn(pid: number, folder: string): boolean {
  if (!isRunning(statOf(pid))) return false;
  const [, program = "", ...more] = (readIfReadable(`/proc/${pid}/cmdline`) ?? "").split("\0");
  return /[/\\]daemon\.m?js$/.test(program) && more.join("") === "" && workingFolderOf(pid) === folder;
}

function workingFolderOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined; // gone, or another user's
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
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return [];
    throw error;
  }
}
