import { setTimeout as sleep } from "node:timers/promises";

/** So long may work that was told to stop take until it has. */
const stopMs = 5_000;
/** Giving back may be an operation on Azure of a minute. */
const giveBackMs = 2 * 60_000;

/**
 * Faults that nobody awaits: an error event without a listener, a promise that was rejected and forgotten, one that can never settle (the
 * process has nothing left to do before `work` has ended). `first` settles with the first of them and never rejects; what comes after a stop
 * and only says so (`isExpected`) is none.
 */
export function watchFaults(work: Promise<unknown>, isExpected: (error: unknown) => boolean): Promise<{ readonly error: unknown }> {
  let found: (fault: { readonly error: unknown }) => void = () => undefined;
  const first = new Promise<{ readonly error: unknown }>((done) => {
    found = done;
  });
  const onFault = (error: unknown): void => {
    if (!isExpected(error)) found({ error });
  };
  // Never taken off: what comes after the end of the run must not look like a crash either.
  process.on("uncaughtException", onFault);
  process.on("unhandledRejection", onFault);
  let hasEnded = false;
  void work.finally(() => {
    hasEnded = true;
  });
  process.once("beforeExit", () => {
    if (!hasEnded) found({ error: new Error("the run stood still before its end") });
  });
  return first;
}

/** After a fault: waits for the work that was told to stop, then gives back what it still holds. Takes some minutes at most, and never throws. */
export async function tidyUp(
  work: Promise<unknown>,
  borrowed: ReadonlySet<() => Promise<void>>,
  limits: { readonly stopMs: number; readonly giveBackMs: number } = { stopMs, giveBackMs },
): Promise<void> {
  await within(limits.stopMs, work);
  // What the work has taken off the list meanwhile, it has given back itself.
  await within(limits.giveBackMs, Promise.allSettled([...borrowed].map((giveBack) => giveBack())));
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const late = new AbortController();
  try {
    await Promise.race([work, sleep(ms, undefined, { signal: late.signal })]);
  } catch {
    // Its own words were said where it failed.
  } finally {
    late.abort();
  }
}
