import type { Clock } from "./clock.ts";
import { KnownError } from "./errors.ts";

/** What a Ctrl-C turns every wait into. */
export function cancelled(signal: AbortSignal): KnownError {
  return signal.reason instanceof KnownError ? signal.reason : new KnownError("cancelled", "cancelled");
}

/** Settles with the work, or at once with `cancelled` when the signal comes first; the work's own end is then nobody's. */
export async function orCancelled<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  if (signal.aborted) {
    work.catch(() => {});
    throw cancelled(signal);
  }
  let stop = () => {};
  const cancellation = new Promise<never>((_resolve, reject) => {
    stop = () => reject(cancelled(signal));
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([work, cancellation]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Sleeps on the clock; `cancelled` when the signal comes first. */
export async function pause(clock: Clock, signal: AbortSignal, ms: number): Promise<void> {
  try {
    await clock.sleep(ms, signal);
  } catch (error) {
    throw signal.aborted ? cancelled(signal) : error;
  }
}
