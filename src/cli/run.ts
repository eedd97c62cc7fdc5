import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { CommanderError } from "commander";
import { KnownError } from "../base/errors.ts";
import { createIo, type GlobalOptions, type Io } from "./io.ts";
import { showError } from "./output/error.ts";
import { createProgram } from "./program.ts";
import { isStop } from "./stop-signal.ts";

/** Runs one command line and answers with the exit code. `argv` is the process's own, with node and script in front. */
export async function run(argv: readonly string[]): Promise<number> {
  const cancel = new AbortController();
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
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  // The terminal was closed: what was borrowed is given back all the same.
  process.on("SIGHUP", onSignal);
  // A terminal that is gone takes no words any more.
  process.stderr.on("error", () => undefined);
  // `passwordless-pg … | head` ends the reader first.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") cancel.abort(new KnownError("cancelled", "nobody reads the output any more"));
    else unwritten = error;
  });
  const io = (options: GlobalOptions): Io =>
    createIo(process, options, {
      environment: process.env,
      directory: process.cwd(),
      packageRoot: findPackageRoot(),
      signal: cancel.signal,
      interrupts,
    });
  let unwritten: Error | undefined;
  let lastIo: Io | undefined;
  let code = 0;
  const program = createProgram(
    (options) => {
      lastIo = io(options);
      return lastIo;
    },
    (exitCode) => {
      code = exitCode;
    },
  );
  try {
    await program.parseAsync(argv);
    await new Promise((done) => process.stdout.write("", done));
    if (unwritten === undefined) return code;
    process.stderr.write(`✗ the result could not be written to stdout: ${unwritten.message}\n`);
    return code === 0 ? 1 : code;
  } catch (error) {
    if (error instanceof CommanderError) return usage(error, argv);
    return showError(
      isStop(error, cancel.signal) && !(error instanceof KnownError) ? cancel.signal.reason : error,
      lastIo ?? io({ json: argv.includes("--json") }),
    );
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
    process.off("SIGHUP", onSignal);
  }
}

function usage(error: CommanderError, argv: readonly string[]): number {
  if (error.exitCode === 0) return 0;
  if (argv.includes("--json")) {
    const message = error.code === "commander.help" ? "no command given" : error.message.replace(/^error: /, "");
    process.stdout.write(`${JSON.stringify({ ok: false, error: { code: "usage/invalid", message } }, undefined, 2)}\n`);
  }
  return 2;
}

function findPackageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json")) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}
