import { readFileSync } from "node:fs";

/** One process, told apart from a later one with the same number. */
export interface ProcessStamp {
  readonly pid: number;
  /** Field 22 of `/proc/PID/stat`, clock ticks since boot; empty where there is no `/proc`. */
  readonly startTime: string;
}

/** The stamp of this very process. */
export function ownStamp(): ProcessStamp {
  return { pid: process.pid, startTime: statOf(process.pid)?.startTime ?? "" };
}

/** The stamp in a file's JSON, with what else stands there; `undefined` when the text is none. */
export function stampFrom(text: string | undefined): (ProcessStamp & Readonly<Record<string, unknown>>) | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { pid, startTime, ...more } = value as Record<string, unknown>;
  // Signals to 0 and below go to whole groups.
  if (typeof pid !== "number" || !Number.isInteger(pid) || pid <= 0 || typeof startTime !== "string") return undefined;
  return { ...more, pid, startTime };
}

/** Is that process still there? One that ended and was not reaped yet counts as gone. */
export function isSameProcess({ pid, startTime }: ProcessStamp): boolean {
  if (startTime !== "") {
    const now = statOf(pid);
    return isRunning(now) && now.startTime === startTime;
  }
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** What `/proc/PID/stat` says of a process. */
interface ProcessStat {
  readonly state: string;
  /** Process group. */
  readonly group: number;
  /** Field 22, clock ticks since boot. */
  readonly startTime: string;
}

/** `undefined` when it is gone, or on a system without `/proc`. One that ended and was not reaped yet is there, in state `Z`. */
export function statOf(pid: number): ProcessStat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state = "", , group, ...rest] = text.slice(text.lastIndexOf(")") + 2).split(" "); // the name may hold anything
    return { state, group: Number(group), startTime: rest[16] ?? "" };
  } catch {
    return undefined;
  }
}

/** It runs, in whatever manner: not one that ended and was not reaped yet. */
export function isRunning(stat: ProcessStat | undefined): stat is ProcessStat {
  return stat !== undefined && stat.state !== "Z" && stat.state !== "X";
}
