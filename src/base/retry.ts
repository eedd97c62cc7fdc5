import { pause } from "./cancellation.ts";
import type { Clock } from "./clock.ts";

/** A try that failed. */
export interface Trouble {
  readonly error: unknown;
  /** Made so far. */
  readonly tries: number;
  /** Since the first try began. */
  readonly elapsedMs: number;
}

interface Patience {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Pause before the next try; `undefined`: the error is the end. */
  readonly pauseMs: (trouble: Trouble) => number | undefined;
}

/** The one way to try again: `work`, told which try it is, until it ends well or `pauseMs` gives up. Throws the last try's error, or `cancelled`. */
export async function retry<T>(work: (tries: number) => Promise<T>, { clock, signal, pauseMs }: Patience): Promise<T> {
  const began = clock.now();
  for (let tries = 1; ; tries += 1) {
    let ms: number | undefined;
    try {
      return await work(tries);
    } catch (error) {
      if (!signal.aborted) ms = pauseMs({ error, tries, elapsedMs: clock.now() - began });
      if (ms === undefined) throw error;
    }
    await pause(clock, signal, ms);
  }
}
