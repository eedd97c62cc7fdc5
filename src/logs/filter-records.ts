import { KnownError } from "../base/errors.ts";
import { type LogLevel, type LogRecord, levelNamed, logLevels } from "./log-record.ts";

export interface RecordFilter {
  /** A substring of the message in any case, or `/pattern/flags`. */
  readonly filter?: string | undefined;
  /** `90s`, `10m`, `2h`, `1d` ago, or an ISO 8601 time. */
  readonly since?: string | undefined;
  /** The least level; records without one count as `info`. */
  readonly level?: string | undefined;
}

/**
 * A test for records.
 * @throws KnownError `usage/invalid`: a pattern, time or level that cannot be read.
 */
export function recordFilter({ filter, since, level }: RecordFilter, nowMs: number): (record: LogRecord) => boolean {
  const matches = filter === undefined ? () => true : textFilter(filter);
  const fromMs = since === undefined ? undefined : readSince(since, nowMs);
  const least = level === undefined ? 0 : rank(readLevel(level));
  return (record) =>
    (least === 0 || rank(record.level ?? "info") >= least) &&
    (fromMs === undefined || Date.parse(record.time) >= fromMs) &&
    matches(record.message);
}

const rank = (level: LogLevel): number => logLevels.indexOf(level);

function textFilter(filter: string): (text: string) => boolean {
  const pattern = /^\/(.+)\/([a-z]*)$/s.exec(filter);
  if (!pattern) {
    const wanted = filter.toLowerCase();
    return (text) => text.toLowerCase().includes(wanted);
  }
  try {
    // Without g and y, which would make a test depend on the one before.
    const regex = new RegExp(pattern[1] ?? "", (pattern[2] ?? "").replace(/[gy]/g, ""));
    return (text) => regex.test(text);
  } catch (cause) {
    throw new KnownError("usage/invalid", `--filter ${filter} is not a pattern`, { cause, hint: "a plain word needs no slashes" });
  }
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function readSince(since: string, nowMs: number): number {
  const [, amount, unit] = /^(\d{1,9})([smhd])$/.exec(since) ?? [];
  const time =
    amount && unit ? nowMs - Number(amount) * (UNIT_MS[unit] ?? 0) : /^\d{4}-\d\d-\d\d/.test(since) ? Date.parse(since) : Number.NaN;
  if (Number.isNaN(time)) {
    throw new KnownError("usage/invalid", `--since ${since} is neither a duration nor a time`, {
      hint: "for example 10m, or 2026-02-07T09:00:00Z",
    });
  }
  return time;
}

function readLevel(name: string): LogLevel {
  const level = levelNamed(name);
  if (!level) throw new KnownError("usage/invalid", `--level ${name} is unknown`, { hint: `levels: ${logLevels.join(", ")}` });
  return level;
}
