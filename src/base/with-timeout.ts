import { type Clock, systemClock } from "./clock.ts";

/**
 * The work's own end, or after `ms` milliseconds what `late` answers or throws. The work goes on: `late` may end it, and what it ends with
 * is then nobody's.
 */
export async function withTimeout<T, Late>(work: Promise<T>, ms: number, late: () => Late, clock: Clock = systemClock): Promise<T | Late> {
  const over = new AbortController();
  const time = clock.sleep(ms, over.signal).then(late);
  work.catch(() => {});
  time.catch(() => {});
  try {
    return await Promise.race([work, time]);
  } finally {
    over.abort();
  }
}
