import { randomUUID } from "node:crypto";
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { systemClock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import { isSameProcess, ownStamp, type ProcessStamp } from "./process-stamp.ts";

/** Longer than a start or a stop can take. */
const WAIT_MS = 120_000;

/**
 * Runs `work` while holding a lock file, waiting for another holder. A lock whose holder is dead is taken over.
 * Throws `azure/busy` when the holder does not let go in two minutes, `cancelled` when the signal is aborted.
 */
export async function withLock<T>(file: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const deadline = systemClock.now() + WAIT_MS;
  while (!tryLock(file)) {
    if (signal?.aborted) throw new KnownError("cancelled", "Waiting for local Azure was cancelled.");
    if (systemClock.now() > deadline) {
      throw new KnownError("azure/busy", "Another command is starting or stopping local Azure and does not end.", {
        hint: `when there is none, delete ${file}`,
      });
    }
    await systemClock.sleep(25);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

/** The file appears with its content at once (written beside, then linked), so a reader never sees an empty lock. */
function tryLock(file: string): boolean {
  const beside = `${file}.${randomUUID()}`;
  writeFileSync(beside, JSON.stringify(ownStamp()), { mode: 0o600 });
  try {
    linkSync(beside, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    dropIfDead(file);
    return false;
  } finally {
    rmSync(beside, { force: true });
  }
}

function dropIfDead(file: string): void {
  const isDead = (path: string): boolean => !isSameProcess(JSON.parse(readFileSync(path, "utf8")) as ProcessStamp);
  const aside = `${file}.${randomUUID()}`;
  try {
    if (!isDead(file)) return;
    renameSync(file, aside);
    // Between the look and the rename another one may have dropped the dead lock and taken it: give it back.
    if (!isDead(aside)) linkSync(aside, file);
  } catch (error) {
    if (!["ENOENT", "EEXIST"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}
