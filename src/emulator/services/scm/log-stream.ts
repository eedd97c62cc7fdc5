import type { Clock } from "../../../base/clock.ts";
import type { AppLog } from "../../machines/app/log.ts";
import { followLogs, type LogFollower, listLogFiles, readTail } from "../../machines/app/log-files.ts";

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

interface State extends LogStreamRequest {
  readonly follower: LogFollower;
  /** Called at each append, and at the end. */
  wake: (() => void) | undefined;
  isEnded: boolean;
  quietMinutes: number;
}

/**
 * The body of `/api/logstream`: plain lines in spite of `text/event-stream` (azure/kudu.md section 6).
 * Reads from the files as the client takes it, so a slow client loses nothing and costs no memory.
 */
export function openLogStream(request: LogStreamRequest): ReadableStream<Uint8Array> {
  const { clock, signal, log } = request;
  const state: State = { ...request, follower: followLogs(request.folder), wake: undefined, isEnded: false, quietMinutes: 0 };
  const wake = (): void => state.wake?.();
  const unsubscribe = log.onAppend(wake);
  signal.addEventListener("abort", wake);
  const end = (): void => {
    state.isEnded = true;
    wake();
    unsubscribe();
    signal.removeEventListener("abort", wake);
    state.follower.close();
  };
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        controller.enqueue(Buffer.from(`${stamp(clock)}  Welcome, you are now connected to log-streaming service.\n${tails(request)}`));
      },
      pull: async (controller) => {
        const text = await nextText(state);
        if (state.isEnded) return;
        if (!signal.aborted) return controller.enqueue(Buffer.from(text));
        end();
        controller.close();
      },
      cancel: end,
    },
    { highWaterMark: 1 },
  );
}

/** The next lines, or the heartbeat of a minute without any. Empty at the end. */
async function nextText(state: State): Promise<string> {
  const { follower, filter, clock, signal } = state;
  while (!signal.aborted && !state.isEnded) {
    const appended = new Promise<"appended">((resolve) => {
      state.wake = () => resolve("appended");
    });
    const piece = follower.next();
    const text = piece && keep(piece, filter);
    if (text) {
      state.quietMinutes = 0;
      return `\n${text}`;
    }
    if (piece) continue;
    const waiting = new AbortController();
    const first = await Promise.race([appended, clock.sleep(HEARTBEAT_MS, waiting.signal).catch(() => "appended" as const)]);
    waiting.abort();
    if (first === "appended") continue;
    state.quietMinutes += 1;
    return `${stamp(clock)}  No new trace in the past ${state.quietMinutes} min(s).\n`;
  }
  return "";
}

function stamp(clock: Clock): string {
  return new Date(clock.now()).toISOString().slice(0, 19);
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
