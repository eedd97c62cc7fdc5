import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { createInterface } from "node:readline";
import { type ErrorCode, exitCodeOf, KnownError } from "../base/errors.ts";
import type { ClockMode } from "./clock-mode.ts";
import { clearWay } from "./durable-file.ts";
import { homeFiles } from "./home.ts";

/** What the daemon reads as one line of JSON on its standard input. */
export interface DaemonOptions {
  readonly homeFolder: string;
  readonly clockMode?: ClockMode;
  readonly port?: number;
  readonly tokenLifetimeSeconds?: number;
}

/** What the daemon says as one line of JSON on its standard output, once. */
export type DaemonGreeting =
  | { readonly ready: true; readonly told: readonly string[] }
  | { readonly ready: false; readonly error: { readonly code?: string; readonly message: string; readonly hint?: string } };

/** What a daemon is started with. */
export interface SpawnOptions extends Omit<DaemonOptions, "homeFolder"> {
  /** The built daemon, `dist/daemon.js`. */
  readonly daemonFile: string;
  readonly signal?: AbortSignal;
  /** What is not as it was at the last end, a line each. */
  onNote?(line: string): void;
}

const START_MS = 60_000;

/** Resolves when the daemon has said that it is ready. Throws its own failure, `local/failed` when it ends without a word, `cancelled`. */
export async function spawnDaemon(home: string, options: SpawnOptions): Promise<void> {
  mkdirSync(home, { recursive: true });
  clearWay(homeFiles(home).log);
  const log = openSync(homeFiles(home).log, "a", 0o600);
  const child = spawn(process.execPath, [options.daemonFile], { cwd: home, detached: true, stdio: ["pipe", "pipe", log] });
  closeSync(log);
  child.on("error", () => undefined); // it could not be started, or not be ended; the missing greeting says so
  const { stdin, stdout } = child;
  if (!stdin || !stdout) throw new Error("The daemon was spawned without its pipes.");
  const cancel = (): void => void child.kill("SIGTERM");
  options.signal?.addEventListener("abort", cancel, { once: true });
  const timer = setTimeout(() => child.kill("SIGKILL"), START_MS);
  try {
    const { daemonFile: _, signal: __, onNote, ...rest } = options;
    const given: DaemonOptions = { homeFolder: home, ...rest };
    stdin.on("error", () => undefined); // it may end before it reads; the missing greeting says so
    stdin.end(`${JSON.stringify(given)}\n`);
    for (const line of await greeting(stdout, home, options.signal)) onNote?.(line);
  } catch (error) {
    // The next start must not meet what is left of this one.
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    throw error;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", cancel);
    stdout.destroy();
    child.unref();
  }
}

async function greeting(output: NodeJS.ReadableStream, home: string, signal: AbortSignal | undefined): Promise<readonly string[]> {
  for await (const line of createInterface({ input: output })) {
    const said = JSON.parse(line) as DaemonGreeting;
    if (said.ready) return said.told;
    const { code, message, hint } = said.error;
    throw new KnownError(isErrorCode(code) ? code : "local/failed", message, { hint: hint ?? `read ${homeFiles(home).log}` });
  }
  if (signal?.aborted) throw startCancelled();
  throw new KnownError("local/failed", "Local Azure ended before it was ready.", { hint: `read ${homeFiles(home).log}` });
}

export function startCancelled(): KnownError {
  return new KnownError("cancelled", "The start of local Azure was cancelled.");
}

function isErrorCode(code: string | undefined): code is ErrorCode {
  return code !== undefined && code in exitCodeOf;
}
