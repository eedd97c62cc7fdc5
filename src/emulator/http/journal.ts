import { appendFile, rmSync, statSync } from "node:fs";
import { clearWay, readIfReadable, turnOver } from "../durable-file.ts";

/** One request as local Azure saw it. Holds no token: signed and secret query values are cut. */
interface JournalEntry {
  readonly n: number;
  readonly time: string;
  /** `azure` (ARM, Entra, control), `scm:NAME`, `identity`. */
  readonly host: string;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  /** 0 when the connection was cut instead of an answer. */
  readonly status: number;
  readonly ms: number;
  /** Object ID in the caller's token. */
  readonly caller?: string;
  readonly clientRequestId?: string;
  /** What a fault did to it. */
  readonly fault?: string;
}

export interface Journal {
  /** The last 5,000 requests, oldest first. */
  entries(): readonly JournalEntry[];
  add(entry: Omit<JournalEntry, "n">): void;
  clear(): void;
  /** Waits until the file has everything. */
  flush(): Promise<void>;
}

const KEPT = 5_000;
const FILE_BYTES = 8 * 1024 * 1024;

/** A journal in memory and in a file of NDJSON; the file is turned over (`.1`) at 8 MiB. */
export function openJournal(file: string): Journal {
  clearWay(file);
  let ring: JournalEntry[] = [];
  let last = lastNumber(file);
  let size = sizeOf(file);
  let waiting: string[] = [];
  let writing: Promise<void> | undefined;

  const write = async (): Promise<void> => {
    while (waiting.length > 0) {
      const text = waiting.join("");
      waiting = [];
      if (size > FILE_BYTES) {
        turnOver(file);
        size = 0;
      }
      size += text.length;
      await new Promise<void>((resolve) => appendFile(file, text, { mode: 0o600 }, () => resolve()));
    }
    writing = undefined;
  };

  return {
    entries: () => ring,
    add: (entry) => {
      last += 1;
      const numbered: JournalEntry = { n: last, ...entry };
      ring.push(numbered);
      if (ring.length > KEPT * 1.2) ring = ring.slice(-KEPT);
      waiting.push(`${JSON.stringify(numbered)}\n`);
      writing ??= write();
    },
    clear: () => {
      ring = [];
      waiting = [];
      size = 0;
      for (const old of [file, `${file}.1`]) rmSync(old, { force: true });
    },
    flush: async () => {
      await writing;
    },
  };
}

/** Query members whose values are secrets or kilobytes of signature. */
const SECRET_MEMBER = /^(t|c|s|h|sig|code|token|access_token|client_secret|password|assertion)$/i;

/** The query without the values of signatures and secrets. */
export function plainQuery(url: URL): string {
  const members = [...url.searchParams].map(([name, value]) => `${name}=${SECRET_MEMBER.test(name) ? "…" : value}`);
  return members.join("&");
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function lastNumber(file: string): number {
  if (sizeOf(file) === 0) return 0;
  const line = (readIfReadable(file) ?? "").trimEnd().split("\n").at(-1) ?? "";
  const match = /^\{"n":(\d+)/.exec(line);
  return match?.[1] ? Number(match[1]) : 0;
}
