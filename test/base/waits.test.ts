import { describe, expect, test } from "vitest";
import { orCancelled } from "../../src/base/cancellation.ts";
import { systemClock } from "../../src/base/clock.ts";
import { KnownError } from "../../src/base/errors.ts";
import { poll } from "../../src/base/poll.ts";
import { retry } from "../../src/base/retry.ts";
import { isTransient } from "../../src/base/transient.ts";
import { withTimeout } from "../../src/base/with-timeout.ts";
import { leapingClock } from "../support/leaping-clock.ts";

const never = new AbortController().signal;
const forever = new Promise<string>(() => {});

describe("poll", () => {
  const counter = () => {
    let looks = 0;
    return async () => {
      looks += 1;
      return looks;
    };
  };

  test("looks until it is done, and tells what it found between", async () => {
    const clock = leapingClock();
    const seen: number[] = [];
    const wait = { clock, signal: never, deadlineMs: 60_000, intervalMs: (elapsedMs: number) => 1_000 + elapsedMs };
    expect(await poll(counter(), (looks) => looks === 4, { ...wait, onWait: (looks) => seen.push(looks) })).toBe(4);
    expect(seen).toEqual([1, 2, 3]);
    expect(clock.slept).toEqual([1_000, 2_000, 4_000]);
  });

  test("ends at its deadline, not an interval later: with the failure, else with what it found last", async () => {
    const clock = leapingClock();
    const wait = { clock, signal: never, deadlineMs: 10_000, intervalMs: 8_000 };
    expect(await poll(counter(), () => false, wait)).toBe(3);
    expect(clock.slept).toEqual([8_000, 2_001]);
    const late = (looks: number, elapsedMs: number) => new Error(`${looks} looks in ${elapsedMs} ms`);
    await expect(poll(counter(), () => false, { ...wait, late })).rejects.toThrow("3 looks in 10001 ms");
  });

  test("ends with Ctrl-C in a pause", async () => {
    const stop = new AbortController();
    const wait = { clock: systemClock, signal: stop.signal, deadlineMs: 60_000, intervalMs: 30_000, onWait: () => stop.abort() };
    await expect(poll(counter(), () => false, wait)).rejects.toMatchObject({ code: "cancelled" });
  });
});

describe("retry", () => {
  const failing = async (tries: number): Promise<string> => {
    if (tries < 4) throw new Error(`try ${tries}`);
    return "done";
  };

  test("tries again after the pause it is told", async () => {
    const clock = leapingClock();
    expect(await retry(failing, { clock, signal: never, pauseMs: ({ tries, elapsedMs }) => 10 * tries + elapsedMs })).toBe("done");
    expect(clock.slept).toEqual([10, 30, 70]);
  });

  test("gives up with the error of the last try", async () => {
    const pauseMs = ({ tries }: { readonly tries: number }) => [5, 5][tries - 1];
    await expect(retry(failing, { clock: leapingClock(), signal: never, pauseMs })).rejects.toThrow("try 3");
  });

  test("does not try again after Ctrl-C", async () => {
    const stop = new AbortController();
    stop.abort();
    await expect(retry(failing, { clock: leapingClock(), signal: stop.signal, pauseMs: () => 1 })).rejects.toThrow("try 1");
  });
});

describe("a time limit", () => {
  test("ends with the work, or with what is said when it is late", async () => {
    expect(await withTimeout(Promise.resolve("here"), 60_000, () => "late")).toBe("here");
    expect(await withTimeout(forever, 1, () => "late")).toBe("late");
    const late = (): never => {
      throw new Error("too late");
    };
    await expect(withTimeout(forever, 1, late)).rejects.toThrow("too late");
    await expect(withTimeout(Promise.reject(new Error("failed")), 60_000, late)).rejects.toThrow("failed");
  });

  test("gives its timer back", async () => {
    let sleeper: AbortSignal | undefined;
    const clock = {
      now: () => 0,
      sleep: (_ms: number, signal?: AbortSignal) => {
        sleeper = signal;
        return new Promise<void>(() => {});
      },
    };
    await withTimeout(Promise.resolve(), 60_000, () => {}, clock);
    expect(sleeper?.aborted).toBe(true);
  });
});

test("Ctrl-C ends the wait for work that hangs, with the reason when it is one of ours", async () => {
  const stop = new AbortController();
  const work = orCancelled(stop.signal, forever);
  stop.abort(new KnownError("cancelled", "stopped by SIGTERM"));
  await expect(work).rejects.toThrow("stopped by SIGTERM");
});

test("the system's clock leaves no listener on a signal that outlives the sleep", async () => {
  let listeners = 0;
  const signal = Object.assign(new AbortController().signal, {
    addEventListener: () => {
      listeners += 1;
    },
    removeEventListener: () => {
      listeners -= 1;
    },
  });
  await systemClock.sleep(1, signal);
  expect(listeners).toBe(0);
});

test.each([
  [new KnownError("azure/unreachable", "x"), true],
  [new KnownError("azure/busy", "x", { retryAfterMs: 60_000 }), true],
  [new KnownError("azure/busy", "x", { retryAfterMs: 3_600_000 }), false],
  [new KnownError("azure/denied", "x"), false],
  [new KnownError("cancelled", "x"), false],
  [Object.assign(new Error("x"), { code: "ECONNRESET" }), true],
  [Object.assign(new Error("x"), { code: "EAI_AGAIN" }), true],
  [new TypeError("fetch failed", { cause: { code: "UND_ERR_SOCKET" } }), true],
  [Object.assign(new Error("x"), { code: "ENOENT" }), false],
  [new SyntaxError("x"), false],
  [undefined, false],
])("%o passes by itself: %s", (error, expected) => {
  expect(isTransient(error)).toBe(expected);
});
