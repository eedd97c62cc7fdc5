import { readFileSync, readlinkSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { KnownError } from "../../../base/errors.ts";
import { isRunning, isSameProcess, type ProcessStamp, statOf } from "../../process-stamp.ts";

const STOP_WITHIN_MS = 15_000;
/** Ticks of `/proc/PID/stat`: USER_HZ, which is 100 on every Linux that Node runs on. */
const TICKS_A_SECOND = 100;
/** The file is written a moment after the process began. */
const START_MAY_DIFFER_S = 30;

/**
 * The PostgreSQL server that runs on a data folder, by the folder's own `postmaster.pid`. Process numbers come again, so the process must be ours beyond
 * doubt: started with this folder as `-D`, and at work in it, or, where the system does not show us where it works, begun when the file says.
 * `undefined` when there is none, and on a system without `/proc`, where PostgreSQL's own lock is the guard.
 */
export function findPostmaster(data: string): ProcessStamp | undefined {
  const [pidText, folder, startedAt] = textOf(join(data, "postmaster.pid"))?.split("\n") ?? [];
  const pid = Number.parseInt(pidText ?? "", 10);
  if (!(pid > 1) || !folder || pid === process.pid) return undefined;
  const stat = statOf(pid);
  if (!isRunning(stat)) return undefined;
  const { startTime } = stat;
  const isOurs = wasToldToServe(pid, data) && (worksIn(pid, data) ?? beganAt(Number(startTime), Number(startedAt)));
  return isOurs ? { pid, startTime } : undefined;
}

/** Ends a server: fast shutdown, after a while the immediate one (what was committed is recovered at the next start), at last by force. */
export async function endPostmaster(stamp: ProcessStamp): Promise<void> {
  await endPostgres(stamp.pid, () => !isSameProcess(stamp));
}

/** The same for a child of our own, which says itself when it is gone. */
export async function endPostgres(pid: number, isGone: () => boolean): Promise<void> {
  const begun = performance.now();
  const signals: { readonly afterMs: number; readonly signal: NodeJS.Signals }[] = [
    { afterMs: 0, signal: "SIGINT" },
    { afterMs: STOP_WITHIN_MS / 3, signal: "SIGQUIT" },
    { afterMs: STOP_WITHIN_MS, signal: "SIGKILL" },
  ];
  while (!isGone()) {
    const waited = performance.now() - begun;
    const due = signals[0];
    if (due && waited >= due.afterMs) {
      signals.shift();
      signalIfThere(pid, due.signal);
    }
    if (waited > 2 * STOP_WITHIN_MS) throw new KnownError("local/failed", `PostgreSQL process ${pid} does not end`);
    await delay(10);
  }
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Line 3 of `postmaster.pid` is the start in seconds since 1970; the kernel counts from the boot. */
function beganAt(ticks: number, seconds: number): boolean {
  const boot = Number(/^btime (\d+)/m.exec(textOf("/proc/stat") ?? "")?.[1]);
  return Math.abs(boot + ticks / TICKS_A_SECOND - seconds) <= START_MAY_DIFFER_S;
}

function wasToldToServe(pid: number, data: string): boolean {
  const words = textOf(`/proc/${pid}/cmdline`)?.split("\0") ?? [];
  return words.some((word, index) => words[index - 1] === "-D" && isSameFolder(word, data));
}

/** `undefined` for another account's process, which does not show it. */
function worksIn(pid: number, data: string): boolean | undefined {
  try {
    return isSameFolder(readlinkSync(`/proc/${pid}/cwd`), data);
  } catch {
    return undefined;
  }
}

function isSameFolder(one: string, other: string): boolean {
  try {
    return one === other || realpathSync(one) === realpathSync(other);
  } catch {
    return false;
  }
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined; // gone, or a system without /proc
  }
}
