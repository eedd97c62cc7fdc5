import { orCancelled } from "../base/cancellation.ts";
import type { Clock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import { poll } from "../base/poll.ts";

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

/** No recorded hint is longer than a minute; one beyond this says nothing about the operation. */
const LONGEST_HINT_MS = 5 * 60_000;
/** The least that a Retry-After can say, but 0: the end is near. */
const NEAR_HINT_MS = 1_000;
/** Recorded ends come up to 2.2 % after a multiple of the hint (138 s of 15): asked at the very multiple, the next one would be waited for. */
const MARGIN = 1.0225;
/** Hints up to here are worth two more looks, longer ones one. */
const SHORT_HINT_MS = 15_000;

/** Where in its wait an operation is. */
interface Waited {
  /** Polls made so far. */
  readonly polls: number;
  /** Since Azure has accepted it. */
  readonly elapsedMs: number;
  /** The Retry-After of the newest answer. */
  readonly hintMs: number | undefined;
}

/**
 * Pause before the next poll. Two wishes pull at it: at most one and a half times the reads that az makes, which sits out each Retry-After
 * (design 8), and an end that is noticed within 5 % of the operation's time.
 *
 * With a hint, the hint is kept and a little more; when the first has passed and it still runs, one look more (two for a hint of up to 15 s),
 * each a twentieth later, then each hint again. For the recorded pairs that gives both: create 300 s (hint 60) 7 reads where az makes 6,
 * noticed 2.3 % late; PATCH 121 s 4 where az makes 3, 1.4 %; delete 138 s (hint 15) 12 where az makes 10, 0.1 %; database 10.5 s (hint 10) 3 where
 * az makes 2, 2.3 %. Contradictions: an administrator's removal (29 s, hint 30) is noticed 1.7 s = 5.8 % late, since the hint wins; a
 * parameter (11 s, hint 10) costs 4 reads where az makes 2, since 9 s of waiting for a read are too many. An end between two multiples is
 * noticed up to a hint late, as by az: no recording tells of one, for all were made by clients that asked at the multiples only.
 *
 * Without a hint (Service Connector, 4 to 48 s recorded; az asks after 1 s, then each 30 s) both cannot be had, for nothing tells the end:
 * each second, later a quarter of the time. 10 s cost 10 reads where az makes 3, and are noticed after 10.1 s where az needs 31.
 */
function pollInterval({ polls, elapsedMs, hintMs = 0 }: Waited): number {
  if (hintMs <= NEAR_HINT_MS) return soon(polls, elapsedMs, hintMs > 0);
  const kept = Math.min(hintMs, LONGEST_HINT_MS) * MARGIN;
  const looks = hintMs <= SHORT_HINT_MS ? 2 : 1;
  if (polls === 0) return kept;
  if (polls <= looks) return elapsedMs / 20;
  return polls === looks + 1 ? Math.min(kept, Math.max(2 * kept - elapsedMs, elapsedMs / 20)) : kept;
}

function soon(polls: number, elapsedMs: number, isNear: boolean): number {
  if (polls === 0) return 100;
  const longest = isNear ? NEAR_HINT_MS : 10_000;
  return Math.min(longest, Math.max(isNear ? 100 : 1_000, elapsedMs / (isNear ? 16 : 4)));
}

/** Pause before the next look at a state that somebody else's operation is going to end, in a time that nothing tells: 38 looks in 5 minutes. */
export function lookInterval(elapsedMs: number): number {
  return Math.min(15_000, Math.max(2_000, elapsedMs / 10));
}

/** Starts an operation and polls it to its end. Throws `azure/timeout` after the deadline, `cancelled`, or what the poller rejects with. */
export async function pollUntilDone<T>(begin: () => Promise<Poller<T>>, waiting: Waiting): Promise<T> {
  const { clock, signal, what, deadlineMs } = waiting;
  const poller = await orCancelled(signal, begin());
  let looks = 0;
  const look = async (): Promise<boolean> => {
    if (looks > 0) await orCancelled(signal, poller.poll());
    looks += 1;
    return poller.isDone();
  };
  await poll(look, (isDone) => isDone, {
    clock,
    signal,
    deadlineMs,
    intervalMs: (elapsedMs) => pollInterval({ polls: looks - 1, elapsedMs, hintMs: waiting.retryAfterMs() }),
    onWait: (_isDone, elapsedMs) => waiting.onProgress?.(`${what}: running for ${Math.round(elapsedMs / 1000)} s`),
    late: (_isDone, elapsedMs) =>
      new KnownError("azure/timeout", `gave up waiting to ${what} after ${Math.round(elapsedMs / 60_000)} minutes`, {
        hint: "the operation may still end by itself: look at the resource, then run the command again",
      }),
  });
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
