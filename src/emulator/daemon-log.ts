import { appendFileSync, statSync } from "node:fs";
import { clearWay, turnOver } from "./durable-file.ts";

/** Together with the `.1` of before, twice this is all that the log takes. */
const LOG_BYTES = 8 * 1024 * 1024;

/** Longer than any stack that was seen; a line cannot be longer than the log. */
const LINE_CHARACTERS = 16 * 1024;

/** Local Azure's own log (`local logs`), a line a call, 0600, turned over at `maxBytes`. A line that cannot be written is lost. */
export function openDaemonLog(file: string, maxBytes = LOG_BYTES): (line: string) => void {
  clearWay(file);
  let size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  return (line) => {
    const words = line.length > LINE_CHARACTERS ? `${line.slice(0, LINE_CHARACTERS)}…` : line;
    const text = `${new Date().toISOString()} ${words}\n`;
    try {
      if (size > maxBytes) {
        turnOver(file);
        size = 0;
      }
      appendFileSync(file, text, { mode: 0o600 });
      size += Buffer.byteLength(text);
    } catch {
      // A full disk: what it is told of must still reach whoever started us.
    }
  };
}
