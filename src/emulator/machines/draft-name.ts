import { randomUUID } from "node:crypto";
import { isSameProcess, ownStamp } from "../process-stamp.ts";

/** A name for something half made: hidden, never given twice, and with the process that makes it, so that what a killed one left can be told. */
export function draftName(what: string): string {
  const { pid, startTime } = ownStamp();
  return `.draft-${what}-${pid}-${startTime}-${randomUUID().slice(0, 8)}`;
}

/**
 * Is it a draft whose maker is gone? Also of the names that earlier versions gave (`.draft-PID`, `.VERSION-UUID`), which nobody makes any more.
 * Anything else, drafts of living processes included, is not ours to touch.
 */
export function isAbandonedDraft(name: string): boolean {
  const [, pid, startTime] = /^\.draft-.*-(\d+)-(\d*)-[0-9a-f]{8}$/.exec(name) ?? [];
  if (pid !== undefined) return !isSameProcess({ pid: Number(pid), startTime: startTime ?? "" });
  return /^\.draft-\d+$|^\.\d[\w.-]*-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name);
}
