import { copyFileSync, statSync, truncateSync } from "node:fs";
import { rename, stat } from "node:fs/promises";

/** Turned over (`.1`, the one before is forgotten) when it is longer: a server keeps at most twice as much. */
const MAX_BYTES = 4 * 1024 * 1024;
const LOOK_EVERY_MS = 5_000;

/** Turns a log over before somebody opens it. */
export async function turnLogOver(file: string, maxBytes = MAX_BYTES): Promise<void> {
  const length = await stat(file).then(
    ({ size }) => size,
    () => 0,
  );
  if (length > maxBytes) await rename(file, `${file}.1`);
}

/**
 * Keeps a log that another process holds open short: copied to `.1`, then emptied. The writer must have opened it for appending. What it writes
 * between the two is lost. Ends with what it returns.
 */
export function keepLogShort(
  file: string,
  onError: (error: unknown) => void,
  { maxBytes = MAX_BYTES, everyMs = LOOK_EVERY_MS } = {},
): () => void {
  const timer = setInterval(() => {
    try {
      if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) <= maxBytes) return;
      copyFileSync(file, `${file}.1`);
      truncateSync(file);
    } catch (error) {
      onError(error);
    }
  }, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
