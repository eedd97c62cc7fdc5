import { orCancelled } from "../base/cancellation.ts";
import type { Clock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import { retry } from "../base/retry.ts";
import { isTransient } from "../base/transient.ts";
import { withTimeout } from "../base/with-timeout.ts";
import { createRecordAssembler, type RecordAssembler } from "./assemble-records.ts";
import { createKuduStream, type KuduEvent } from "./kudu-stream.ts";
import type { LogRecord } from "./log-record.ts";
import { createOverlap, type FileTail, type LogFileEnd, type Overlap } from "./overlap.ts";
import { createLineSplitter } from "./split-lines.ts";

/** What happens to the connection, for the line under the log. */
export type TailState =
  | { readonly state: "connecting" }
  | { readonly state: "live" }
  | { readonly state: "waiting"; readonly delayMs: number; readonly reason: string }
  /** More lines came while there was no connection than Kudu repeats, and the file itself did not have them or could not be read. */
  | { readonly state: "gap"; readonly path: string };

export interface TailOptions {
  /** Name of the app in the records. */
  readonly app: string;
  /** Opens Kudu's log stream (`GET /api/logstream`). Must end when the signal is aborted. */
  open(signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  /** The end of a log file, from the beginning of a line on: for lines that Kudu no longer repeats. `path` is as in the stream. */
  readFile?(path: string): Promise<{ readonly bytes: Uint8Array; readonly isWhole: boolean }>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  onState?(state: TailState): void;
}

/** How long a record may wait for its next line. */
const HOLD_MS = 40;
/** Heartbeats come each 60 s: two of them and a bit. */
const SILENT_MS = 130_000;
const FIRST_DELAY_MS = 250;
const LAST_DELAY_MS = 10_000;
/** A connection that lived this long was a success. */
const STEADY_MS = 1_000;
const READ_TRIES = 3;
/** So many files are read at a time. */
const READERS = 4;

/**
 * The log of one app, live, without end: reconnects by itself (SCM drops the stream at every settings change and deployment), and shows
 * each line once. Begins with the last ten lines of each log file. Ends when the signal is aborted.
 * @throws whatever `open` throws for good: signed out, denied, not found; and everything that is no KnownError or network error.
 */
export async function* tailLogs(options: TailOptions): AsyncGenerator<LogRecord> {
  const { app, open, clock, signal, onState = () => {} } = options;
  const assembler = createRecordAssembler(app, () => clock.now());
  const overlap = createOverlap();
  for (let delayMs = FIRST_DELAY_MS; !signal.aborted; delayMs = Math.min(2 * delayMs, LAST_DELAY_MS)) {
    onState({ state: "connecting" });
    const startedMs = clock.now();
    let reason = "the stream ended";
    try {
      for await (const events of connection(open, clock, signal, assembler)) {
        for (const event of events) {
          if (event.kind === "terminated") reason = event.reason;
          else if (event.kind === "tails") yield* await tailRecords(event.tails, overlap, assembler, options);
          else if (event.kind === "live-start") {
            overlap.begun();
            onState({ state: "live" });
          } else {
            const found = overlap.live(event.line);
            const kind = typeof found === "string" ? found : overlap.judge(event.line, found.path, await readEnd(found.path, options));
            if (kind === "new") yield* assembler.push(event.line, {});
          }
        }
        yield* assembler.flush(clock.now() - HOLD_MS);
      }
    } catch (error) {
      if (signal.aborted) break;
      if (!isTransient(error)) throw error;
      reason = error instanceof Error ? error.message : String(error);
    }
    yield* assembler.flush();
    if (signal.aborted) break;
    if (clock.now() - startedMs >= STEADY_MS) delayMs = FIRST_DELAY_MS;
    onState({ state: "waiting", delayMs, reason });
    await clock.sleep(delayMs, signal).catch(() => undefined);
  }
  yield* assembler.flush();
}

/** The unseen lines of the tails, from the files themselves where a tail is not enough. The stream waits meanwhile. */
async function tailRecords(
  tails: readonly FileTail[],
  overlap: Overlap,
  assembler: RecordAssembler,
  options: TailOptions,
): Promise<readonly LogRecord[]> {
  const files = new Map<string, LogFileEnd>();
  const wanted = [...overlap.wanted(tails)];
  const readNext = async (): Promise<void> => {
    for (let path = wanted.shift(); path !== undefined; path = wanted.shift()) {
      const file = await readEnd(path, options);
      if (file) files.set(path, file);
    }
  };
  await Promise.all(Array.from({ length: READERS }, readNext));
  return overlap.settle(tails, files).flatMap(({ path, lines, isComplete }) => {
    if (!isComplete) options.onState?.({ state: "gap", path });
    // A tail is complete: its last record goes out before the next file's first.
    return [...lines.flatMap((line) => assembler.push(line, { path })), ...assembler.flush()];
  });
}

/** `undefined` when the file cannot be read: the tail goes on without it. */
async function readEnd(path: string, { readFile, clock, signal }: TailOptions): Promise<LogFileEnd | undefined> {
  if (!readFile) return undefined;
  try {
    const pauseMs = ({ error, tries }: { readonly error: unknown; readonly tries: number }) =>
      tries < READ_TRIES && isTransient(error) ? FIRST_DELAY_MS : undefined;
    const { bytes, isWhole } = await retry(() => readFile(path), { clock, signal, pauseMs });
    return { lines: createLineSplitter().push(bytes), isWhole };
  } catch (error) {
    if (signal.aborted || !(error instanceof KnownError || isTransient(error))) throw error;
    return undefined;
  }
}

/**
 * The events of one connection, chunk by chunk; an empty list each time a held record has waited long enough.
 * A line without its end is dropped with the connection: the next one's tail brings it whole.
 */
async function* connection(
  open: TailOptions["open"],
  clock: Clock,
  signal: AbortSignal,
  holder: Pick<RecordAssembler, "isHolding">,
): AsyncGenerator<readonly KuduEvent[]> {
  const ours = new AbortController();
  const stop = (): void => ours.abort(signal.reason);
  signal.addEventListener("abort", stop);
  const within = <T, Late>(work: Promise<T>, ms: number, late: () => Late) => orCancelled(ours.signal, withTimeout(work, ms, late, clock));
  const splitter = createLineSplitter();
  const stream = createKuduStream();
  try {
    const body = await within(open(ours.signal), SILENT_MS, fellSilent);
    const chunks = body[Symbol.asyncIterator]();
    for (let next = chunks.next(), quietSinceMs = clock.now(); ; ) {
      const found = await within(next, holder.isHolding ? HOLD_MS : SILENT_MS, () => undefined);
      if (found === undefined) {
        if (clock.now() - quietSinceMs >= SILENT_MS) fellSilent();
        yield [];
        continue;
      }
      if (found.done) return;
      yield splitter.push(found.value).flatMap((line) => stream.push(line) ?? []);
      quietSinceMs = clock.now();
      next = chunks.next();
    }
  } finally {
    signal.removeEventListener("abort", stop);
    // Ends the request; whatever still waits for it has no one left to tell.
    ours.abort();
  }
}

function fellSilent(): never {
  throw new KnownError("azure/timeout", "the log stream fell silent: not even a heartbeat");
}
