import { KnownError } from "../base/errors.ts";

/** Is it Ctrl-C or its like, whatever it looks like from below (AbortError of Node, of the SDK)? */
export function isStop(error: unknown, signal: AbortSignal): boolean {
  if (!signal.aborted) return false;
  if (error instanceof KnownError) return error.code === "cancelled";
  return error instanceof Error && (error.name === "AbortError" || error === signal.reason);
}

/** `stopped by SIGINT` */
export function describeStop(signal: AbortSignal): string {
  return signal.reason instanceof Error ? signal.reason.message : "stopped";
}

/** The error of a run that was stopped before it did anything. */
export function nothingChanged(signal: AbortSignal): KnownError {
  return new KnownError("cancelled", `${describeStop(signal)}; nothing was changed`, { hint: "run the same command again to go on" });
}
