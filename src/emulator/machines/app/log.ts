import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../base/clock.ts";
import { readTail } from "./log-files.ts";

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

interface OpenFile {
  readonly path: string;
  readonly fd: number;
  bytes: number;
}

interface State {
  readonly folder: (kind: LogKind) => string;
  readonly clock: Clock;
  /** By machine and kind. */
  readonly open: Map<string, OpenFile>;
  /** By machine: the beginning of a line that has not ended. */
  readonly partial: Map<string, Buffer[]>;
  readonly listeners: Set<() => void>;
  tick: number;
  isClosed: boolean;
}

/** `folder` is asked at each append: file system logging may be switched while an app runs. */
export function createAppLog(folder: (kind: LogKind) => string, clock: Clock): AppLog {
  const state: State = { folder, clock, open: new Map(), partial: new Map(), listeners: new Set(), tick: 0, isClosed: false };
  return {
    output: (machine, chunk) => addOutput(state, machine, chunk),
    flush: (machine) => {
      const waiting = state.partial.get(machine);
      state.partial.delete(machine);
      if (waiting) append(state, machine, "default_docker", stamped(state, waiting));
    },
    write: (machine, kind, ...lines) => append(state, machine, kind, `${lines.map((line) => stamp(state) + line).join("\n")}\n`),
    onAppend: (listener) => {
      state.listeners.add(listener);
      return () => void state.listeners.delete(listener);
    },
    tail: () => [...state.open.values()].map(({ path }) => readTail(path, TAIL_LINES)).join(""),
    close: () => {
      state.isClosed = true;
      for (const file of state.open.values()) closeSync(file.fd);
      state.open.clear();
    },
  };
}

function addOutput(state: State, machine: string, chunk: Buffer): void {
  const { partial } = state;
  const waiting = partial.get(machine) ?? [];
  const end = chunk.lastIndexOf(10);
  if (end < 0) {
    waiting.push(chunk);
    partial.set(machine, waiting);
    if (waiting.reduce((sum, piece) => sum + piece.length, 0) < MAX_PARTIAL_BYTES) return;
    partial.delete(machine);
    append(state, machine, "default_docker", stamped(state, waiting));
    return;
  }
  if (end + 1 < chunk.length) partial.set(machine, [chunk.subarray(end + 1)]);
  else partial.delete(machine);
  append(state, machine, "default_docker", stamped(state, [...waiting, chunk.subarray(0, end)]));
}

function append(state: State, machine: string, kind: LogKind, text: string): void {
  if (state.isClosed) return; // its folder may be gone
  const file = fileFor(state, machine, kind);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) at += writeSync(file.fd, bytes, at);
  file.bytes += bytes.length;
  for (const listener of state.listeners) listener();
}

/** The file of the day, turned over when it is long. */
function fileFor({ folder, clock, open }: State, machine: string, kind: LogKind): OpenFile {
  const key = `${machine}/${kind}`;
  const path = join(folder(kind), `${day(clock.now())}_${machine}_${kind}.log`);
  const known = open.get(key);
  if (known?.path === path && known.bytes <= MAX_FILE_BYTES) return known;
  if (known) closeSync(known.fd);
  if (known?.path === path) renameSync(path, path.replace(/\.log$/, ".1.log"));
  mkdirSync(folder(kind), { recursive: true });
  const fd = openSync(path, "a", 0o600);
  const file = { path, fd, bytes: fstatSync(fd).size };
  open.set(key, file);
  return file;
}

/** `2026-02-07T09:12:31.412000300Z `: the last digits count, so that stamps of one file grow. */
function stamp(state: State): string {
  state.tick = (state.tick + 1) % 1_000_000;
  return `${new Date(state.clock.now()).toISOString().slice(0, -1)}${String(state.tick).padStart(6, "0")}Z `;
}

function stamped(state: State, pieces: readonly Buffer[]): string {
  const prefix = stamp(state);
  return `${prefix}${Buffer.concat(pieces).toString("utf8").replaceAll("\n", `\n${prefix}`)}\n`;
}

/** `YYYY_MM_DD` in UTC. */
function day(epochMs: number): string {
  return new Date(epochMs).toISOString().slice(0, 10).replaceAll("-", "_");
}
