import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import { tidyUp, watchFaults } from "./last-net.ts";
import { showError } from "./output/error.ts";
import { runProgram } from "./run-program.ts";
import { isStop } from "./stop-signal.ts";
import { createIo, type RunContext } from "./terminal/create-io.ts";
import type { GlobalOptions, Io } from "./terminal/io.ts";

/** Runs one command line and answers with the exit code. `argv` is the process's own, with node and script in front. */
export async function run(argv: readonly string[]): Promise<number> {
  const cancel = new AbortController();
  const { interrupts, onSignal, release } = listenToSignals(cancel);
  const output = listenToOutput(cancel);
  const context: RunContext = {
    environment: process.env,
    directory: process.cwd(),
    packageRoot: findPackageRoot(),
    clock: systemClock,
    signal: cancel.signal,
    interrupts,
    onInterrupt: () => onSignal("SIGINT"),
    stop: (reason) => cancel.abort(reason),
    borrowed: new Set(),
    written: { hasResult: false, isClosed: false },
  };
  let lastIo: Io | undefined;
  const openIo = (options: GlobalOptions): Io => {
    lastIo = createIo(process, options, context);
    return lastIo;
  };
  const ioNow = (): Io => lastIo ?? openIo({ json: argv.includes("--json") });
  const isUnread = (): boolean => output.isUnread;
  const work = runProgram(argv, { openIo, ioNow, signal: cancel.signal, isUnread }).then((code) => flushed(code, output));
  const fault = watchFaults(work, (error) => isStop(error, cancel.signal));
  const end = await Promise.race([work.then((code) => ({ code })), fault]);
  if ("error" in end) return await endByFault(end.error, { cancel, context, work, ioNow });
  // Nobody is there to wait for it any more, and everything was given back.
  void fault.then(({ error }) => {
    showError(error, { ...ioNow(), isJson: false });
    process.exit(1);
  });
  release();
  return end.code;
}

interface Output {
  /** The reader is gone (`| head`): a reason to stop, none to complain. */
  isUnread: boolean;
  /** Why words did not arrive. */
  unwritten?: Error;
}

function listenToOutput(cancel: AbortController): Output {
  const output: Output = { isUnread: false };
  // A terminal that is gone takes no words any more.
  process.stderr.on("error", () => undefined);
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") {
      output.unwritten = error;
      return;
    }
    output.isUnread = true;
    cancel.abort(new KnownError("cancelled", "nobody reads the output any more"));
  });
  return output;
}

function listenToSignals(cancel: AbortController) {
  const interrupts = { areHeld: false };
  let signals = 0;
  let lastSignalAt = 0;
  const onSignal = (name: NodeJS.Signals): void => {
    if (name === "SIGINT" && interrupts.areHeld) return;
    // npm and npx pass Ctrl-C on besides the terminal's own: two at once are one.
    const now = performance.now();
    if (signals > 0 && now - lastSignalAt < 1000) return;
    lastSignalAt = now;
    signals += 1;
    cancel.abort(new KnownError("cancelled", `stopped by ${name}`, { hint: "run the same command again to go on" }));
    // The second Ctrl-C does not wait for the tidying up of the first.
    if (signals > 1) process.kill(process.pid, "SIGKILL");
  };
  // SIGHUP: the terminal was closed; what was borrowed is given back all the same.
  const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const name of names) process.on(name, onSignal);
  const release = (): void => {
    for (const name of names) process.off(name, onSignal);
  };
  return { interrupts, onSignal, release };
}

/** The exit code, once stdout has taken everything; a result that did not arrive is a failure. */
async function flushed(code: number, output: Output): Promise<number> {
  await new Promise((done) => process.stdout.write("", done));
  if (output.unwritten === undefined) return code;
  process.stderr.write(`✗ the result could not be written to stdout: ${output.unwritten.message}\n`);
  return code === 0 ? 1 : code;
}

interface Faulty {
  readonly cancel: AbortController;
  readonly context: RunContext;
  readonly work: Promise<number>;
  ioNow(): Io;
}

/** The last net: stops the work, gives back what it has borrowed, says what happened as every failure is said, and ends the process. */
async function endByFault(error: unknown, { cancel, context, work, ioNow }: Faulty): Promise<never> {
  const io = ioNow();
  io.progress.close();
  const { hasResult } = context.written;
  // One document at most: the fault's own, unless one is there already.
  context.written.isClosed = true;
  if (context.borrowed.size > 0) io.note("something broke: giving back what this run has borrowed");
  cancel.abort(new KnownError("cancelled", "stopped by a fault"));
  await tidyUp(work, context.borrowed);
  context.written.isClosed = false;
  const code = showError(error, { ...io, isJson: io.isJson && !hasResult });
  await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write("", done))));
  // What broke may have left something behind that holds the process.
  process.exit(code);
}

function findPackageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json")) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}
