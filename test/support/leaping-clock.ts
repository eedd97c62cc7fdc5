import type { Clock } from "../../src/base/clock.ts";

/** A clock on which every sleep is over at once and takes its full time. */
export function leapingClock(): Clock & { readonly slept: readonly number[] } {
  let now = Date.now();
  const slept: number[] = [];
  return {
    slept,
    now: () => now,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      slept.push(ms);
      now += ms;
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}
