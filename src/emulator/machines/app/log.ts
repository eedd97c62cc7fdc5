import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, readSync, renameSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../base/clock.ts";

/** Which of the two files of an instance: what the platform says about the container, or what the app printed. */
export type LogKind = "docker" | "default_docker";

/** The log files of one site, `YYYY_MM_DD_{machine}_{kind}.log`, every line stamped in UTC (azure/kudu.md section 6). */
export interface AppLog {
  /** Appends raw output of an instance; a line without its end waits for it. */
  output(machine: string, chunk: Buffer): void;
  /** Writes a waiting piece of a line of an instance that ended. */
  flush(machine: string): void;
  /** Appends lines of the platform (`docker`) or of the container's console (`default_docker`). */
  write(machine: string, kind: LogKind, ...lines: readonly string[]): void;
  /** Called after every append; returns what ends the subscription. */
  onAppend(listener: () => void): () => void;
  /** The last lines of all files, for ARM's `containerlogs`; empty when there are none. */
  tail(): string;
  close(): void;
}

/** Real default of `logsDirectorySizeLimit`, kept per file here. */
const MAX_FILE_BYTES = 35 * 1024 * 1024;
const MAX_PARTIAL_BYTES = 64 * 1024;
const TAIL_LINES = 500;

/** `folder` is asked at each append: file system logging may be switched while an app runs. */
export function createAppLog(folder: (kind: LogKind) => string, clock: Clock): AppLog {
  const open = new Map<string, { path: string; fd: number; bytes: number }>();
  const partial = new Map<string, Buffer[]>();
  const listeners = new Set<() => void>();
  let tick = 0;
  let isClosed = false;

  const append = (machine: string, kind: LogKind, text: Buffer | string): void => {
    if (isClosed) return; // its folder may be gone
    const key = `${machine}/${kind}`;
    const path = join(folder(kind), `${day(clock.now())}_${machine}_${kind}.log`);
    let file = open.get(key);
    if (file && (file.path !== path || file.bytes > MAX_FILE_BYTES)) {
      closeSync(file.fd);
      if (file.path === path) renameSync(path, path.replace(/\.log$/, ".1.log"));
      file = undefined;
    }
    if (!file) {
      mkdirSync(folder(kind), { recursive: true });
      const fd = openSync(path, "a", 0o600);
      file = { path, fd, bytes: fstatSync(fd).size };
      open.set(key, file);
    }
    const bytes = typeof text === "string" ? Buffer.from(text) : text;
    for (let at = 0; at < bytes.length; ) at += writeSync(file.fd, bytes, at);
    file.bytes += bytes.length;
    for (const listener of listeners) listener();
  };
  /** `2026-02-07T09:12:31.412000300Z `: the last digits count, so that stamps of one file grow. */
  const stamp = (): string => {
    tick = (tick + 1) % 1_000_000;
    return `${new Date(clock.now()).toISOString().slice(0, -1)}${String(tick).padStart(6, "0")}Z `;
  };
  const stamped = (lines: string): string => {
    const prefix = stamp();
    return `${prefix}${lines.replaceAll("\n", `\n${prefix}`)}\n`;
  };

  return {
    output: (machine, chunk) => {
      const end = chunk.lastIndexOf(10);
      const waiting = partial.get(machine) ?? [];
      if (end < 0) {
        waiting.push(chunk);
        partial.set(machine, waiting);
        if (waiting.reduce((sum, piece) => sum + piece.length, 0) < MAX_PARTIAL_BYTES) return;
        partial.delete(machine);
        append(machine, "default_docker", stamped(Buffer.concat(waiting).toString("utf8")));
        return;
      }
      const whole = Buffer.concat([...waiting, chunk.subarray(0, end)]).toString("utf8");
      if (end + 1 < chunk.length) partial.set(machine, [chunk.subarray(end + 1)]);
      else partial.delete(machine);
      append(machine, "default_docker", stamped(whole));
    },
    flush: (machine) => {
      const waiting = partial.get(machine);
      partial.delete(machine);
      if (waiting) append(machine, "default_docker", stamped(Buffer.concat(waiting).toString("utf8")));
    },
    write: (machine, kind, ...lines) => append(machine, kind, `${lines.map((line) => stamp() + line).join("\n")}\n`),
    onAppend: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    tail: () => [...open.values()].map(({ path }) => readTail(path, TAIL_LINES)).join(""),
    close: () => {
      isClosed = true;
      for (const file of open.values()) closeSync(file.fd);
      open.clear();
    },
  };
}

/** The last lines of a file, at most about 64 KB of them. */
export function readTail(path: string, lines: number): string {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    const bytes = Buffer.alloc(Math.min(size, MAX_PARTIAL_BYTES));
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

/** `YYYY_MM_DD` in UTC. */
function day(epochMs: number): string {
  return new Date(epochMs).toISOString().slice(0, 10).replaceAll("-", "_");
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

/** Begins at the present end of every file; files that appear later are read from their beginning. */
export function followLogs(folder: string): LogFollower {
  const files = new Map<string, Followed>();
  const scratch = Buffer.allocUnsafe(PIECE_BYTES);
  const isLive = (name: string): boolean => name.endsWith(".log") && !name.endsWith(".1.log");
  const take = (name: string, path: string, atEnd: boolean): void => {
    const fd = openSync(path, "r");
    const { size, ino } = fstatSync(fd);
    files.set(name, { fd, inode: ino, offset: atEnd ? size : 0 });
  };
  const look = (atEnd: boolean): void => {
    for (const { name, path } of listLogFiles(folder)) if (isLive(name) && !files.has(name)) take(name, path, atEnd);
  };
  const read = (file: Followed): Buffer | undefined => {
    const count = readSync(file.fd, scratch, 0, PIECE_BYTES, file.offset);
    if (count === 0) return undefined;
    const end = scratch.subarray(0, count).lastIndexOf(10) + 1 || count;
    file.offset += end;
    return Buffer.from(scratch.subarray(0, end));
  };
  look(true);
  return {
    next: () => {
      for (const file of files.values()) {
        const piece = read(file);
        if (piece) return piece;
      }
      // Nothing in the open files: has one been rotated away, is there a new one?
      let isChanged = false;
      for (const [name, file] of files) {
        if (inodeOf(join(folder, name)) === file.inode) continue;
        closeSync(file.fd);
        files.delete(name);
      }
      const before = files.size;
      look(false);
      isChanged = files.size > before;
      if (!isChanged) return undefined;
      for (const file of files.values()) {
        const piece = read(file);
        if (piece) return piece;
      }
      return undefined;
    },
    close: () => {
      for (const file of files.values()) closeSync(file.fd);
      files.clear();
    },
  };
}

function inodeOf(path: string): number | undefined {
  try {
    return statSync(path).ino;
  } catch {
    return undefined;
  }
}
