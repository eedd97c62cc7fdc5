import { pause } from "./cancellation.ts";
import type { Clock } from "./clock.ts";

interface Wait<T> {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** From the first look on. */
  readonly deadlineMs: number;
  /** Pause before the next look, by the time since the first. */
  readonly intervalMs: number | ((elapsedMs: number) => number);
  /** Told before each pause. */
  readonly onWait?: (found: T, elapsedMs: number) => void;
  /** What is thrown when the deadline has come; without it the wait ends with what was found last. */
  readonly late?: (found: T, elapsedMs: number) => Error;
}

/** The one wait for a state: looks until what is found is done. Throws what `look` and `late` give, and `cancelled`. */
export async function poll<T, Done extends T>(
  look: () => Promise<T>,
  isDone: (found: T) => found is Done,
  wait: Wait<T> & Required<Pick<Wait<T>, "late">>,
): Promise<Done>;
export async function poll<T>(look: () => Promise<T>, isDone: (found: T) => boolean, wait: Wait<T>): Promise<T>;
export async function poll<T>(look: () => Promise<T>, isDone: (found: T) => boolean, wait: Wait<T>): Promise<T> {
  const { clock, signal, deadlineMs, intervalMs, onWait, late } = wait;
  const began = clock.now();
  for (;;) {
    const found = await look();
    if (isDone(found)) return found;
    const elapsedMs = clock.now() - began;
    if (elapsedMs > deadlineMs) {
      if (late) throw late(found, elapsedMs);
      return found;
    }
    onWait?.(found, elapsedMs);
    const interval = typeof intervalMs === "number" ? intervalMs : intervalMs(elapsedMs);
    await pause(clock, signal, Math.min(interval, deadlineMs - elapsedMs + 1));
  }
}
