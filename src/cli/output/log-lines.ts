import type { LogLevel, LogRecord } from "../../logs/log-record.ts";
import type { TailState } from "../../logs/tail-logs.ts";
import { terminalText } from "../../logs/terminal-text.ts";
import { duration, type Paint, safeText } from "../terminal/style.ts";

/** A record for people: `12:30:01.123 ERROR    [platform] the message`. */
export function logLine({ time, level, source, message }: LogRecord, colors: Paint): string {
  const mark = level ? `${levelMark(level, colors)} ` : "";
  const origin = source === "app" ? "" : colors.dim(`[${source}] `);
  return `${colors.dim(time.slice(11, 23))} ${mark}${origin}${terminalText(message)}`;
}

/** The line under the log; reasons and paths come from the other side. `undefined`: nothing to say. */
export function tailNote(state: TailState, colors: Paint): string | undefined {
  if (state.state === "waiting")
    return colors.dim(`(connection lost: ${safeText(state.reason, 200)}; again in ${duration(state.delayMs)})`);
  if (state.state === "gap") return colors.yellow(`(some lines of ${safeText(state.path, 200)} may have been missed)`);
  return undefined;
}

function levelMark(level: LogLevel, colors: Paint): string {
  const mark = level.toUpperCase().padEnd(8);
  return level === "error" || level === "critical" ? colors.red(mark) : level === "warning" ? colors.yellow(mark) : colors.dim(mark);
}
