import { exitCodeOf, KnownError } from "../../base/errors.ts";
import { failuresOf, isComplete, type Report } from "../../engine/report.ts";
import type { Io } from "../terminal/io.ts";
import { complainOf } from "./error.ts";

/** 0, or the exit code of the first failure; prints each failure with its cause and hint for people. Throws what is a bug. */
export function showFailures(io: Io, report: Report): number {
  // What was cut off by Ctrl-C is no failure of its own: `endStopped` tells it.
  const failures = failuresOf(report).filter(
    ({ error }) => !(io.signal.aborted && error instanceof KnownError && error.code === "cancelled"),
  );
  if (failures.length === 0) return isComplete(report) ? 0 : io.signal.aborted ? 130 : 1;
  for (const { name, error, reason } of failures)
    if (error instanceof KnownError && !io.isJson) complainOf(error, io, `${name}: ${reason ?? error.message}`);
  const bug = failures.find(({ error }) => !(error instanceof KnownError));
  if (bug) throw bug.error;
  const first = failures.map(({ error }) => error).find((error) => error instanceof KnownError);
  return io.signal.aborted ? 130 : first ? exitCodeOf[first.code] : 1;
}
