import { exitCodeOf, KnownError } from "../../base/errors.ts";
import type { Io } from "../terminal/io.ts";
import { paint, safeText } from "../terminal/style.ts";

/** What scripts get of a failure: `{ok:false, error:{code, message, hint?, cause?}}`. */
export function errorBody(error: unknown): { ok: false; error: { code: string; message: string; hint?: string; cause?: string } } {
  const known = error instanceof KnownError ? error : undefined;
  const message = error instanceof Error ? error.message : String(error);
  const cause = causeText(error);
  return {
    ok: false,
    error: {
      code: known?.code ?? "bug",
      message,
      ...(known ? (known.hint ? { hint: known.hint } : {}) : { hint: bugHint }),
      ...(cause ? { cause } : {}),
    },
  };
}

/** No hint of any use but this one: whoever wrote the tool must know. */
const bugHint = "run the same command again; if it stays so, report it with the version (`--version`), the command and what it printed";

/** Azure's or PostgreSQL's own words, with its own code as it came. */
export function causeText(error: unknown): string | undefined {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause === undefined) return undefined;
  if (!(cause instanceof Error)) return String(cause);
  const code = (cause as { code?: unknown }).code;
  return typeof code === "string" && !cause.message.includes(code) ? `${code}: ${cause.message}` : cause.message;
}

/** Prints a failure where it belongs and answers with the exit code. A stack trace only for bugs. */
export function showError(error: unknown, io: Io): number {
  if (io.isJson) io.document(errorBody(error));
  if (!(error instanceof KnownError)) {
    const details = error instanceof Error ? (error.stack ?? error.message) : String(error);
    io.complain(`${paint(io.hasColor).red("✗")} this is a bug in passwordless-pg\n${safeText(details, 8000)}\n  → ${bugHint}`);
    return 1;
  }
  if (!io.isJson) complainOf(error, io);
  return exitCodeOf[error.code];
}

/** The three parts of a failure for people: what failed, the cause, what to do. `message`: instead of the error's own. */
export function complainOf(error: KnownError, io: Io, message = error.message): void {
  const { red, dim } = paint(io.hasColor);
  const isOurs = error.code === "cancelled"; // our own words, with names that were cleaned where they came from
  io.complain(`${red("✗")} ${isOurs ? message : safeText(message, 8000)}`);
  const cause = isOurs ? undefined : causeText(error);
  if (cause) io.complain(`  ${dim(safeText(cause).replaceAll("\n", "\n  "))}`);
  if (error.hint) io.complain(`  → ${safeText(error.hint)}`);
}
