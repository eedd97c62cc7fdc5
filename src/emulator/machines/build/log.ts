import { randomUUID } from "node:crypto";
import type { Clock } from "../../../base/clock.ts";

/** 0 message, 1 warning, 2 error. */
export type LogType = 0 | 1 | 2;

/** One line of a deployment's log; `details` is what `details_url` leads to. */
export interface BuildLogEntry {
  readonly id: string;
  /** ISO, UTC. */
  readonly time: string;
  readonly message: string;
  readonly type: LogType;
  readonly details: BuildLogEntry[];
}

/** The log that a build writes while clients read it. */
export interface BuildLog {
  readonly entries: readonly BuildLogEntry[];
  /** Appends a line; further lines go below it with the function it returns. */
  say(message: string, type?: LogType): (detail: string, type?: LogType) => void;
}

/** Bounds what a build that never stops talking can fill. */
const MAX_DETAILS = 20_000;

export function createBuildLog(clock: Clock): BuildLog {
  const entry = (message: string, type: LogType): BuildLogEntry => ({
    id: randomUUID(),
    time: new Date(clock.now()).toISOString(),
    message,
    type,
    details: [],
  });
  const entries: BuildLogEntry[] = [];
  return {
    entries,
    say: (message, type = 0) => {
      const parent = entry(message, type);
      entries.push(parent);
      return (detail, detailType = 0) => {
        if (parent.details.length < MAX_DETAILS) parent.details.push(entry(detail, detailType));
      };
    },
  };
}
