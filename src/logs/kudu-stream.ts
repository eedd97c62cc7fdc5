/** What one line of Kudu's log stream means. */
export type KuduEvent =
  /** The last lines of one log file, once all of them are there. Letters outside ASCII have become `?`. */
  | { readonly kind: "tail"; readonly path: string; readonly lines: readonly string[] }
  /** From here on lines are live. */
  | { readonly kind: "live-start" }
  | { readonly kind: "live"; readonly line: string }
  /** The server says good-bye; its connection ends next. */
  | { readonly kind: "terminated"; readonly reason: string };

/** Reads the lines of one connection. */
export interface KuduStream {
  push(line: string): KuduEvent | undefined;
}

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
  let file: { readonly path: string; readonly lines: string[] } | undefined;

  const finishFile = (): KuduEvent | undefined => {
    const done = file;
    file = undefined;
    return done && { kind: "tail", ...done };
  };
  const inTail = (line: string): KuduEvent | undefined => {
    if (TAIL_END.test(line)) {
      phase = "tail-done";
      return finishFile();
    }
    const [, listed, volatile] = TAIL_FILE.exec(line) ?? [];
    const path = listed ?? volatile;
    if (path === undefined) {
      file?.lines.push(line);
      return undefined;
    }
    const done = finishFile();
    file = { path, lines: [] };
    return done;
  };
  const inLive = (line: string): KuduEvent | undefined => {
    if (HEARTBEAT.test(line)) return undefined;
    const reason = GOODBYE.exec(line)?.[1];
    return reason === undefined ? { kind: "live", line } : { kind: "terminated", reason };
  };

  return {
    push: (line) => {
      if (line === "") return undefined;
      if (phase === "live") return inLive(line);
      if (phase === "tail") return inTail(line);
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
