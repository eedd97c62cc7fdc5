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
    return now?.startTime === startTime && now.state !== "Z" && now.state !== "X";
  }
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function statOf(pid: number): { readonly state: string; readonly startTime: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "", startTime: fields[19] ?? "" };
  } catch {
    return undefined; // gone, or a system without /proc
  }
}
