import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { isRunning, type ProcessStamp, statOf } from "../process-stamp.ts";
import type { Store } from "../store.ts";

/** A running process group as the store remembers it, so that it can be swept after a `kill -9` of local Azure. */
interface ProcessRecord extends ProcessStamp {
  /** Resource ID it works for. */
  readonly owner: string;
}

/** A process to run: plain data. */
export interface ProcessPlan {
  /** Resource ID it works for. */
  readonly owner: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** stdout and stderr as they come. */
  onOutput(chunk: Buffer): void;
}

export interface RunningProcess {
  readonly pid: number;
  /** Settles when the process has ended and its output was read; never rejects. A signal counts as 128 + its number, as shells do. */
  readonly ended: Promise<number>;
  /** Asks the whole process group to end, kills it after `graceMs`. Resolves when it is gone. */
  stop(graceMs: number): Promise<void>;
}

const COLLECTION = "processes";

/**
 * Starts a process as the leader of its own group and remembers it in the store.
 * Rejects when the command cannot be started (`ENOENT`, …).
 */
export async function startProcess(plan: ProcessPlan, store: Store): Promise<RunningProcess> {
  const child = spawn(plan.command, plan.args, { cwd: plan.cwd, env: { ...plan.env }, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<number>((resolve) => {
    child.once("close", (code, signal) => resolve(code ?? 128 + (SIGNAL_NUMBERS[signal ?? ""] ?? 0)));
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  child.on("error", () => {}); // a failing kill; `close` tells the end
  for (const output of [child.stdout, child.stderr]) {
    output.on("data", plan.onOutput);
    output.on("error", () => {}); // a broken pipe; `close` tells the end
  }
  const pid = child.pid as number;
  const forget = rememberGroup(pid, plan.owner, store);
  const gone = ended.then((code) => {
    forget();
    return code;
  });
  return { pid, ended: gone, stop: (graceMs) => stopGroup(child, pid, gone, graceMs) };
}

/** Notes a process group for the sweep. Call what it returns when the leader has ended: it kills what the leader left behind. */
export function rememberGroup(pid: number, owner: string, store: Store): () => void {
  const records = store.collection<ProcessRecord>(COLLECTION);
  records.set(String(pid), { pid, startTime: statOf(pid)?.startTime ?? "", owner });
  store.commit();
  return () => {
    signalGroup(pid, "SIGKILL");
    records.delete(String(pid));
  };
}

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGABRT: 6, SIGKILL: 9, SIGSEGV: 11, SIGTERM: 15 };

async function stopGroup(child: ChildProcess, pid: number, gone: Promise<number>, graceMs: number): Promise<void> {
  signalGroup(pid, "SIGTERM");
  const timer = setTimeout(() => {
    signalGroup(pid, "SIGKILL");
    // A grandchild that left the group may hold the pipes open; it must not hold us.
    child.stdout?.destroy();
    child.stderr?.destroy();
  }, graceMs);
  await gone;
  // The child may be a shell that is gone before the program it started. Bounded for systems without /proc, where an orphan counts until it is reaped.
  for (let waited = 0; isGroupAlive(pid) && waited < graceMs + 500; waited += 10) await delay(10);
  clearTimeout(timer);
}

/** Somebody in the group still runs: a dead orphan that nobody has reaped yet (the first process of a container may be slow at it) does not count. */
function isGroupAlive(pid: number): boolean {
  try {
    process.kill(-pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  return runsInGroup(pid) ?? true;
}

/** `undefined` where there is no `/proc`. */
function runsInGroup(pid: number): boolean | undefined {
  try {
    return readdirSync("/proc").some((name) => {
      const stat = /^\d+$/.test(name) ? statOf(Number(name)) : undefined;
      return isRunning(stat) && stat.group === pid;
    });
  } catch {
    return undefined;
  }
}

/** Kills the process groups that a dead local Azure left behind. Call before anything is started. */
export function sweepProcesses(store: Store, ownerPrefix: string): readonly number[] {
  const records = store.collection<ProcessRecord>(COLLECTION);
  const swept: number[] = [];
  for (const record of records.list()) {
    if (!record.owner.toLowerCase().includes(ownerPrefix.toLowerCase())) continue;
    if (record.startTime !== "" && statOf(record.pid)?.startTime === record.startTime) {
      signalGroup(record.pid, "SIGKILL");
      swept.push(record.pid);
    }
    records.delete(String(record.pid));
  }
  store.commit();
  return swept;
}

/** Signals a whole group; one that is gone is no error. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
