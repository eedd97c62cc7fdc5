import { CommanderError } from "commander";
import { exitCodeOf, KnownError } from "../base/errors.ts";
import { showError } from "./output/error.ts";
import { createProgram } from "./program.ts";
import { isStop } from "./stop-signal.ts";
import type { GlobalOptions, Io } from "./terminal/io.ts";

interface Running {
  openIo(options: GlobalOptions): Io;
  /** The Io that was opened last; before the options are known, one of no options. */
  ioNow(): Io;
  readonly signal: AbortSignal;
  /** The reader of stdout is gone: there is nobody to complain to. */
  isUnread(): boolean;
}

/** Runs one command line, says its failure as every failure is said, and answers with the exit code. */
export async function runProgram(argv: readonly string[], { openIo, ioNow, signal, isUnread }: Running): Promise<number> {
  let code = 0;
  const program = createProgram(openIo, (exitCode) => {
    code = exitCode;
  });
  try {
    await program.parseAsync(argv);
    return code;
  } catch (error) {
    const io = ioNow();
    io.progress.close();
    if (error instanceof CommanderError) return usage(error, io);
    if (!isStop(error, signal)) return showError(error, io);
    if (isUnread()) return exitCodeOf.cancelled;
    return showError(error instanceof KnownError ? error : signal.reason, io);
  }
}

/** commander has said it to people already. */
function usage(error: CommanderError, io: Io): number {
  if (error.exitCode === 0) return 0;
  const message = error.code === "commander.help" ? "no command given" : error.message.replace(/^error: /, "");
  if (io.isJson) io.document({ ok: false, error: { code: "usage/invalid", message } });
  return 2;
}
