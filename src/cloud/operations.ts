import type { Clock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import { cancelled } from "./errors.ts";

/** A started long-running operation; both SDK generations and our own requests are adapted to this. */
export interface Poller<T> {
  isDone(): boolean;
  /** Asks Azure once. Rejects when the operation has failed. */
  poll(): Promise<void>;
  result(): T;
}

export interface Waiting {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly what: string;
  readonly deadlineMs: number;
  /** The Retry-After of the newest answer. */
  readonly retryAfterMs: () => number | undefined;
  /** Told after every poll that found the operation running. */
  readonly onProgress?: (note: string) => void;
}

const LONGEST_INTERVAL_MS = 10_000;
const SHORTEST_INTERVAL_MS = 200;
const INTERVAL_WITHOUT_HINT_MS = 2_000;

/**
 * Pause before the next poll. Recorded operations end long inside Azure's hint (61 s of work, a hint of 60 s), so the hint is only the
 * upper bound, with 10 s as its cap; below it, a thirty-second of the time already waited: about 3 % late at most, half of it in the mean, since
 * the operations of one server follow each other and each of them is late.
 */
export function pollInterval(elapsedMs: number, hintMs: number | undefined): number {
  const bound = Math.min(hintMs ?? INTERVAL_WITHOUT_HINT_MS, LONGEST_INTERVAL_MS);
  return Math.max(SHORTEST_INTERVAL_MS, Math.min(bound, elapsedMs / 32));
}

/** Settles with the work, or at once with `cancelled` when the signal comes first; an SDK notices a signal only at its next poll. */
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

/** Starts an operation and polls it to its end. Throws `azure/timeout` after the deadline, `cancelled`, or what the poller rejects with. */
export async function drive<T>(begin: () => Promise<Poller<T>>, waiting: Waiting): Promise<T> {
  const { clock, signal, what, deadlineMs } = waiting;
  const started = clock.now();
  const poller = await orCancelled(signal, begin());
  while (!poller.isDone()) {
    const elapsedMs = clock.now() - started;
    if (elapsedMs > deadlineMs) {
      throw new KnownError("azure/timeout", `gave up waiting to ${what} after ${Math.round(elapsedMs / 60_000)} minutes`, {
        hint: "the operation may still end by itself: look at the resource, then run the command again",
      });
    }
    waiting.onProgress?.(`${what}: running for ${Math.round(elapsedMs / 1000)} s`);
    await pause(clock, signal, pollInterval(elapsedMs, waiting.retryAfterMs()));
    await orCancelled(signal, poller.poll());
  }
  return poller.result();
}

/** The poller of `@azure/core-lro` 2 (PostgreSQL, Resources). */
export function fromSimplePoller<T>(poller: { isDone(): boolean; poll(): Promise<unknown>; getResult(): T | undefined }): Poller<T> {
  return {
    isDone: () => poller.isDone(),
    poll: async () => {
      await poller.poll();
    },
    // The type says optional, but a poller that ended well has the resource of its final GET.
    result: () => poller.getResult() as T,
  };
}

/** The poller of `@azure/core-lro` 3 (App Service). It is itself a promise of the end: never return it from an async function. */
export async function fromThenablePoller<T>(
  start: () => {
    readonly isDone: boolean;
    readonly result: T | undefined;
    submitted(): Promise<void>;
    poll(): Promise<unknown>;
  },
): Promise<Poller<T>> {
  const poller = start();
  await poller.submitted();
  return {
    isDone: () => poller.isDone,
    poll: async () => {
      await poller.poll();
    },
    result: () => poller.result as T,
  };
}
