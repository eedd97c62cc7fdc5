import { randomUUID } from "node:crypto";
import { existsSync, linkSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { systemClock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import { isDiskFull, readIfReadable } from "./durable-file.ts";
import { isSameProcess, ownStamp, stampFrom } from "./process-stamp.ts";

/** Longer than a start or a stop can take. */
const WAIT_MS = 120_000;

/**
 * Runs `work` while holding a lock file, waiting for another holder. A lock whose holder is dead is taken over, and one that names none (it was
 * torn by a power cut: a lock appears with its holder's name).
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

/** As `withLock`, for work that only takes away: where the disk is full no lock can be written, and it is just this work that makes room. */
export async function withLockIfRoom<T>(file: string, work: () => Promise<T>): Promise<T> {
  let hasBegun = false;
  try {
    return await withLock(file, undefined, () => {
      hasBegun = true;
      return work();
    });
  } catch (error) {
    if (hasBegun || !isDiskFull(error)) throw error;
    return await work();
  }
}

/** The file appears with its content at once (written beside, then linked), so a reader never sees an empty lock. */
function tryLock(file: string): boolean {
  const beside = `${file}.${randomUUID()}`;
  try {
    writeFileSync(beside, JSON.stringify(ownStamp()), { mode: 0o600 });
    linkSync(beside, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST" && !isDiskFull(error)) throw error;
    dropIfDead(file);
    // A full disk matters only to the one whose turn it is.
    if (isDiskFull(error) && !existsSync(file)) throw error;
    return false;
  } finally {
    rmSync(beside, { force: true });
  }
}

function dropIfDead(file: string): void {
  const isDead = (path: string): boolean => {
    const stamp = stampFrom(readIfReadable(path));
    return stamp === undefined || !isSameProcess(stamp);
  };
  const aside = `${file}.${randomUUID()}`;
  try {
    if (!isDead(file)) return;
    renameSync(file, aside);
    // Between the look and the rename another one may have dropped the dead lock and taken it: give it back.
    if (!isDead(aside)) linkSync(aside, file);
  } catch (error) {
    if (!["ENOENT", "EEXIST"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}
