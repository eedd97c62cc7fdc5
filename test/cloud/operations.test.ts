import { describe, expect, it } from "vitest";
import { drive, type Poller, pollInterval } from "../../src/cloud/operations.ts";
import { leapingClock } from "./replay-server.ts";

/** An operation that is done after so many polls. */
function operation(polls: number): Poller<string> {
  let left = polls;
  return {
    isDone: () => left <= 0,
    poll: async () => {
      left -= 1;
    },
    result: () => "done",
  };
}

const waiting = (more: Partial<Parameters<typeof drive>[1]> = {}) => ({
  clock: leapingClock(),
  signal: new AbortController().signal,
  what: "make it",
  deadlineMs: 60_000,
  retryAfterMs: () => 60_000,
  ...more,
});

describe("pollInterval", () => {
  it.each([
    [0, 60_000, 200],
    [0, 0, 200],
    [100_000, 0, 200],
    [100_000, 60_000, 3_125],
    [100_000, 1_000, 1_000],
    [900_000, 60_000, 10_000],
    [900_000, undefined, 2_000],
  ])("after %i ms with a hint of %s ms is %i ms", (elapsed, hint, expected) => {
    expect(pollInterval(elapsed, hint)).toBe(expected);
  });
});

describe("drive", () => {
  it("polls to the end and gives the result", async () => {
    const notes: string[] = [];
    expect(await drive(async () => operation(3), waiting({ onProgress: (note) => notes.push(note) }))).toBe("done");
    expect(notes).toHaveLength(3);
  });

  it("gives up at its deadline", async () => {
    const clock = leapingClock();
    await expect(drive(async () => operation(Number.POSITIVE_INFINITY), waiting({ clock }))).rejects.toMatchObject({
      code: "azure/timeout",
    });
    const waitedMs = clock.slept.reduce((sum, ms) => sum + ms, 0);
    expect(waitedMs).toBeGreaterThan(60_000);
    expect(waitedMs).toBeLessThan(80_000);
  });

  it("answers a cancellation at once, while a poll hangs", async () => {
    const controller = new AbortController();
    const hanging: Poller<string> = {
      isDone: () => false,
      poll: () => {
        controller.abort();
        return new Promise(() => {});
      },
      result: () => "never",
    };
    await expect(drive(async () => hanging, waiting({ signal: controller.signal }))).rejects.toMatchObject({ code: "cancelled" });
  });
});
