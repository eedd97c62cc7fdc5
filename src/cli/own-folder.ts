import { lstatSync, mkdirSync, statSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { dirname, join } from "node:path";

/** The name of this user's folder in the temporary one. Not by the user's name: a container's user may have no entry. */
export function temporaryFolderOf(what: string): string {
  return join(tmpdir(), `${what}-${process.getuid?.() ?? userInfo().username}`);
}

/**
 * Makes the folder (0700) unless it is there, and answers whether it is this user's alone: not a link, not another user's who came first, not open
 * to others, and not in a place where anybody may put another one instead (no sticky bit). Windows' temporary folders are the user's own.
 * Throws what the system says when it cannot be made.
 */
export function isOwnFolder(folder: string): boolean {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const found = lstatSync(folder);
  if (process.getuid === undefined) return found.isDirectory();
  const above = statSync(dirname(folder));
  const isAboveOpen = (above.mode & 0o022) !== 0 && (above.mode & 0o1000) === 0;
  return found.isDirectory() && found.uid === process.getuid() && (found.mode & 0o077) === 0 && !isAboveOpen;
}
