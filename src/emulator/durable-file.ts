import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Is this the system saying that there is no room left, on the disk or in the person's share of it? */
export function isDiskFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT", "EFBIG"].includes((error as NodeJS.ErrnoException | undefined)?.code ?? "");
}

/**
 * Replaces a file as a whole: readers see the old text or the new one, never a part, and after a power cut it is one of the two.
 * What stands in its place and is no file is removed. One writer at a time. Throws what the system says (`ENOSPC`, …), leaving nothing beside.
 */
export function replaceFile(file: string, text: string, mode: number): void {
  const beside = `${file}.new`;
  try {
    rmSync(beside, { recursive: true, force: true }); // a killed writer's
    writeSynced(beside, text, mode);
    clearWay(file);
    renameSync(beside, file);
  } catch (error) {
    rmSync(beside, { recursive: true, force: true });
    throw error;
  }
  syncFolder(dirname(file));
}

/** Text of a file that may be lost: `undefined` when it is absent or cannot be read, a folder or a broken link for example. */
export function readIfReadable(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/** Removes what stands in the place of a file and is none: a folder, a link that leads nowhere. For files that may be lost. */
export function clearWay(file: string): void {
  try {
    if (statSync(file).isFile()) return;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
  }
  rmSync(file, { recursive: true, force: true });
}

function writeSynced(file: string, text: string, mode: number): void {
  const handle = openSync(file, "wx", mode);
  try {
    writeFileSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** A new name in a folder is safe only when the folder is. */
function syncFolder(folder: string): void {
  if (process.platform === "win32") return; // opens no folders
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EINVAL") throw error; // a file system that knows no such thing
  } finally {
    closeSync(handle);
  }
}

/** Turns a log over: what it holds becomes `FILE.1`, and what that held is gone. */
export function turnOver(file: string): void {
  clearWay(`${file}.1`);
  renameSync(file, `${file}.1`);
}
