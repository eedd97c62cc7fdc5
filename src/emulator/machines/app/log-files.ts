import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";

const MAX_TAIL_BYTES = 64 * 1024;

/** The last lines of a file, at most about 64 KB of them. */
export function readTail(path: string, lines: number): string {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    const bytes = Buffer.alloc(Math.min(size, MAX_TAIL_BYTES));
    readSync(fd, bytes, 0, bytes.length, size - bytes.length);
    return bytes
      .toString("utf8")
      .split(/(?<=\n)/)
      .slice(-lines)
      .join("");
  } finally {
    closeSync(fd);
  }
}

/** Every log file below a folder, oldest name first. A missing folder has none. */
export function listLogFiles(
  folder: string,
): readonly { readonly name: string; readonly path: string; readonly size: number; readonly changed: Date }[] {
  let names: string[];
  try {
    names = readdirSync(folder, { recursive: true }) as string[];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  return names
    .filter((name) => /\.(log|txt|htm)$/i.test(name))
    .sort()
    .map((name) => {
      const path = join(folder, name);
      const { size, mtime } = statSync(path);
      return { name, path, size, changed: mtime };
    });
}

/** Follows the files of a folder from a point on: reads what was appended since the last call, file by file, also across rotation. */
export interface LogFollower {
  /** The next piece of one file (whole lines, at most about 256 KB); `undefined` when there is nothing new. */
  next(): Buffer | undefined;
  close(): void;
}

interface Followed {
  fd: number;
  inode: number;
  offset: number;
}

const PIECE_BYTES = 256 * 1024;
/** Of all followers: each reads at once and copies. */
const scratch = Buffer.allocUnsafe(PIECE_BYTES);

/** Begins at the present end of every file; files that appear later are read from their beginning. */
export function followLogs(folder: string): LogFollower {
  const files = new Map<string, Followed>();
  takeNewFiles(files, folder, true);
  return {
    next: () => {
      const piece = readOne(files);
      if (piece) return piece;
      // Nothing in the open files: has one been rotated away, is there a new one?
      for (const [name, file] of files) {
        if (inodeOf(join(folder, name)) === file.inode) continue;
        closeSync(file.fd);
        files.delete(name);
      }
      return takeNewFiles(files, folder, false) ? readOne(files) : undefined;
    },
    close: () => {
      for (const file of files.values()) closeSync(file.fd);
      files.clear();
    },
  };
}

/** Answers whether there was one. */
function takeNewFiles(files: Map<string, Followed>, folder: string, atEnd: boolean): boolean {
  const before = files.size;
  for (const { name, path } of listLogFiles(folder)) {
    const isLive = name.endsWith(".log") && !name.endsWith(".1.log");
    if (!isLive || files.has(name)) continue;
    const fd = openSync(path, "r");
    const { size, ino } = fstatSync(fd);
    files.set(name, { fd, inode: ino, offset: atEnd ? size : 0 });
  }
  return files.size > before;
}

/** The next piece of the first file that has one. */
function readOne(files: ReadonlyMap<string, Followed>): Buffer | undefined {
  for (const file of files.values()) {
    const count = readSync(file.fd, scratch, 0, PIECE_BYTES, file.offset);
    if (count === 0) continue;
    const end = scratch.subarray(0, count).lastIndexOf(10) + 1 || count;
    file.offset += end;
    return Buffer.from(scratch.subarray(0, end));
  }
  return undefined;
}

function inodeOf(path: string): number | undefined {
  try {
    return statSync(path).ino;
  } catch {
    return undefined;
  }
}
