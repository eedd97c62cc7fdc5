import type { Clock } from "../../../base/clock.ts";
import { type AppLog, followLogs, listLogFiles, readTail } from "../../machines/app/log.ts";

export interface LogStreamRequest {
  /** Where the files are; chosen once per connection. */
  readonly folder: string;
  /** URL of that folder below `/api/vfs`. */
  readonly href: string;
  readonly log: AppLog;
  /** Substring without case; live lines only. */
  readonly filter: string;
  readonly clock: Clock;
  /** Ends the stream without a word: the client left, or SCM recycles. */
  readonly signal: AbortSignal;
}

const HEARTBEAT_MS = 60_000;
const TAIL_LINES = 10;

/**
 * The body of `/api/logstream`: plain lines in spite of `text/event-stream` (azure/kudu.md section 6).
 * Reads from the files as the client takes it, so a slow client loses nothing and costs no memory.
 */
export function openLogStream(request: LogStreamRequest): ReadableStream<Uint8Array> {
  const { clock, signal } = request;
  const follower = followLogs(request.folder);
  let wake: (() => void) | undefined;
  const unsubscribe = request.log.onAppend(() => wake?.());
  const abort = (): void => wake?.();
  signal.addEventListener("abort", abort);
  let isEnded = false;
  const end = (): void => {
    isEnded = true;
    wake?.();
    unsubscribe();
    signal.removeEventListener("abort", abort);
    follower.close();
  };
  const stamp = (): string => new Date(clock.now()).toISOString().slice(0, 19);
  let quietMinutes = 0;

  /** `undefined`: a minute went by without a line. */
  const nextPiece = async (): Promise<string | undefined> => {
    for (;;) {
      if (signal.aborted || isEnded) return undefined;
      const appended = new Promise<"appended">((resolve) => {
        wake = () => resolve("appended");
      });
      const piece = follower.next();
      const text = piece && keep(piece, request.filter);
      if (text) return text;
      if (piece) continue;
      const waiting = new AbortController();
      const first = await Promise.race([appended, clock.sleep(HEARTBEAT_MS, waiting.signal).catch(() => "appended" as const)]);
      waiting.abort();
      if (first !== "appended") return undefined;
    }
  };

  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        controller.enqueue(Buffer.from(`${stamp()}  Welcome, you are now connected to log-streaming service.\n${tails(request)}`));
      },
      pull: async (controller) => {
        const text = await nextPiece();
        if (isEnded) return;
        if (signal.aborted) {
          end();
          controller.close();
        } else if (text === undefined) {
          quietMinutes += 1;
          controller.enqueue(Buffer.from(`${stamp()}  No new trace in the past ${quietMinutes} min(s).\n`));
        } else {
          quietMinutes = 0;
          controller.enqueue(Buffer.from(`\n${text}`));
        }
      },
      cancel: end,
    },
    { highWaterMark: 1 },
  );
}

function keep(piece: Buffer, filter: string): string {
  const text = piece.toString("utf8");
  if (filter === "") return text;
  const wanted = filter.toLowerCase();
  return text
    .split(/(?<=\n)/)
    .filter((line) => line.toLowerCase().includes(wanted))
    .join("");
}

function tails(request: LogStreamRequest): string {
  const parts = [`\nStarting Log Tail -n ${TAIL_LINES} of existing logs ----\n`];
  for (const { name, path } of listLogFiles(request.folder)) {
    parts.push(`/home/LogFiles/${name}  (${request.href}/${name})\n`, asAscii(readTail(path, TAIL_LINES)), "\n");
  }
  parts.push("\nEnding Log Tail of existing logs ---\n", "\nStarting Live Log Stream ---\n");
  return parts.join("");
}

/** Kudu decodes the tail as ASCII: every byte of another letter becomes `?`. */
function asAscii(text: string): string {
  return text.replace(/[\u0080-\uffff]/g, (letter) => "?".repeat(Buffer.byteLength(letter)));
}
