import { rmSync } from "node:fs";
import { text } from "node:stream/consumers";
import { KnownError } from "../base/errors.ts";
import { openDaemonLog } from "./daemon-log.ts";
import { replaceFile } from "./durable-file.ts";
import { type Emulator, startEmulator } from "./emulator.ts";
import { homeFailure, homeFiles, prepareHome } from "./home.ts";
import { ownStamp } from "./process-stamp.ts";
import type { DaemonGreeting, DaemonOptions } from "./spawn-daemon.ts";

/** How long an orderly end may take before the process ends itself the hard way; the next start sweeps. */
const END_MS = 20_000;

await run(JSON.parse(await text(process.stdin)) as DaemonOptions);

/** Local Azure as a process of its own: greets on standard output when ready, ends on SIGTERM, SIGINT or the control API. */
async function run(options: DaemonOptions): Promise<void> {
  // Not the caller's: what apps load must be writable by no one else, and PostgreSQL, under an account of its own, must be able to read its programs.
  process.umask(0o022);
  prepareHome(options.homeFolder);
  const files = homeFiles(options.homeFolder);
  const log = openDaemonLog(files.log);
  const logBug = (error: unknown): void => log(`bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  // A bug in one request must not take down the databases and apps of the others.
  process.on("uncaughtException", logBug);
  process.on("unhandledRejection", logBug);
  process.stdout.on("error", () => undefined); // whoever started us is gone

  const asked = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => asked.abort());
  let emulator: Emulator | undefined;
  const told: string[] = [];
  try {
    emulator = await startEmulator({ ...options, log, tell: (line) => void told.push(line), onShutdown: () => asked.abort() });
    replaceFile(files.run, JSON.stringify({ ...ownStamp(), ...emulator.status }), 0o600);
    log(`ready on ${emulator.endpoints.resourceManager}`);
    greet({ ready: true, told });
    await whenAborted(asked.signal);
    await end(emulator, files.run, log);
  } catch (error) {
    logBug(error);
    greet({ ready: false, error: wordsOf(homeFailure(options.homeFolder, error)) });
    process.exitCode = 1;
    await emulator?.close().catch(logBug);
  }
  // Nothing should be left to wait for; if something is, it must not keep a dead local Azure alive.
  setTimeout(() => process.kill(process.pid, "SIGKILL"), END_MS).unref();
}

async function end(emulator: Emulator, runFile: string, log: (line: string) => void): Promise<void> {
  setTimeout(() => process.kill(process.pid, "SIGKILL"), END_MS).unref();
  log("ending");
  rmSync(runFile, { force: true });
  await emulator.close();
  log("ended");
}

function greet(greeting: DaemonGreeting): void {
  process.stdout.write(`${JSON.stringify(greeting)}\n`);
}

function wordsOf(error: unknown): { code?: string; message: string; hint?: string } {
  if (!(error instanceof KnownError))
    return { message: `Local Azure could not start: ${error instanceof Error ? error.message : String(error)}` };
  return { code: error.code, message: error.message, ...(error.hint ? { hint: error.hint } : {}) };
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
