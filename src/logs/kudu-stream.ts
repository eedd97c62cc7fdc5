import type { FileTail } from "./overlap.ts";

/** What one line of Kudu's log stream means. */
export type KuduEvent =
  /** The last lines of every log file, once all of them are there. */
  | { readonly kind: "tails"; readonly tails: readonly FileTail[] }
  /** From here on lines are live. */
  | { readonly kind: "live-start" }
  | { readonly kind: "live"; readonly line: string }
  /** The server says good-bye; its connection ends next. */
  | { readonly kind: "terminated"; readonly reason: string };

/** Reads the lines of one connection. */
export interface KuduStream {
  push(line: string): KuduEvent | undefined;
}

/** Kudu repeats so many lines of each file, empty ones too. */
const TAIL_LINES = 10;
/** Empty lines after a file's: one of its own list, one before the next name. */
const FRAMING_LINES = 2;
const WELCOME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d {2}Welcome, you are now connected to log-streaming service\.$/;
const TAIL_START = /^Starting Log Tail -n \d+ of existing logs -+$/;
/** Files outside `LogFiles` have no URL: then one blank ends the line. */
const TAIL_FILE = /^(\/\S.*\.(?:txt|log|htm)) {2}\((?:https?:\/\/\S+)\)$|^(\/appsvctmp\/\S+\.(?:txt|log|htm)) $/i;
const TAIL_END = /^Ending Log Tail of existing logs -+$/;
const LIVE_START = /^Starting Live Log Stream -+$/;
const HEARTBEAT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d {2}No new trace in the past \d+ min\(s\)\.$/;
const GOODBYE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d {2}((?:Stream terminated due to timeout|Error has occurred and stream is terminated).*)$/;

/**
 * The framing of `GET /api/logstream`: plain lines although the content type says `text/event-stream`. The words of the framing count
 * only where they can stand, so that an app may print them. Source: KuduLite `Kudu.Services/Diagnostics/LogStreamManager.cs` @ 3854066bb5;
 * a recorded body was not found. Empty lines are framing too: lines of the docker logs start with a stamp.
 */
export function createKuduStream(): KuduStream {
  let phase: "start" | "tail" | "tail-done" | "live" = "start";
  let present: { readonly path: string; readonly lines: string[] } | undefined;
  const tails: FileTail[] = [];

  const finishFile = (): void => {
    if (!present) return;
    const { path, lines } = present;
    const last = lines.findLastIndex((line) => line !== "");
    const empty = lines.length - 1 - last;
    // Whether the second empty line is the framing's or the file's own cannot be told: then the file counts as longer.
    tails.push({
      path,
      lines: lines.slice(0, lines.length - Math.min(empty, FRAMING_LINES)),
      isWhole: lines.length - Math.min(empty, 1) < TAIL_LINES,
    });
    present = undefined;
  };
  const inTail = (line: string): KuduEvent | undefined => {
    const [, listed, volatile] = TAIL_FILE.exec(line) ?? [];
    const path = listed ?? volatile;
    const isEnd = TAIL_END.test(line);
    if (path === undefined && !isEnd) {
      present?.lines.push(line);
      return undefined;
    }
    finishFile();
    if (path !== undefined) present = { path, lines: [] };
    if (!isEnd) return undefined;
    phase = "tail-done";
    return { kind: "tails", tails };
  };
  const inLive = (line: string): KuduEvent | undefined => {
    if (HEARTBEAT.test(line)) return undefined;
    const reason = GOODBYE.exec(line)?.[1];
    return reason === undefined ? { kind: "live", line } : { kind: "terminated", reason };
  };

  return {
    push: (line) => {
      if (phase === "tail") return inTail(line);
      if (line === "") return undefined;
      if (phase === "live") return inLive(line);
      if (phase === "start" && WELCOME.test(line)) return undefined;
      if (phase === "start" && TAIL_START.test(line)) {
        phase = "tail";
        return undefined;
      }
      const isMarker = LIVE_START.test(line);
      phase = "live";
      return isMarker ? { kind: "live-start" } : inLive(line);
    },
  };
}
