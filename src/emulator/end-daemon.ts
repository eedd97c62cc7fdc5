import { readlinkSync, realpathSync } from "node:fs";
import { systemClock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import { readIfReadable } from "./durable-file.ts";
import { namesIn } from "./names-in.ts";
import { isRunning, isSameProcess, type ProcessStamp, statOf } from "./process-stamp.ts";
import { readRunFile } from "./run-file.ts";

const STOP_MS = 30_000;
/** A daemon that takes its signal says so within this: its run file goes first. */
const HEARD_MS = 6_000;

/** In order when it listens, else the hard way; one that was suspended goes on first, or it could not end. */
export async function endDaemon(home: string, stamp: ProcessStamp): Promise<void> {
  const isAlive = (): boolean => isSameProcess(stamp);
  const isDeaf = (): boolean => isAlive() && readRunFile(home)?.pid === stamp.pid;
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
export async function endUnlistedDaemon(home: string): Promise<boolean> {
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

async function isGone(isThere: () => boolean, withinMs: number): Promise<boolean> {
  const deadline = systemClock.now() + withinMs;
  while (isThere()) {
    if (systemClock.now() > deadline) return false;
    await systemClock.sleep(20);
  }
  return true;
}
