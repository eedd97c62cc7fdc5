import { describe, expect, it } from "vitest";
import type { Clock } from "../../src/base/clock.ts";
import { type Poller, pollUntilDone } from "../../src/cloud/operations.ts";
import { leapingClock } from "../support/leaping-clock.ts";

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

const waiting = (more: Partial<Parameters<typeof pollUntilDone>[1]> = {}) => ({
  clock: leapingClock(),
  signal: new AbortController().signal,
  what: "make it",
  deadlineMs: 60_000,
  retryAfterMs: () => 60_000,
  ...more,
});

/** An operation that ends by the clock, as Azure's do. */
function lasting(ms: number, clock: Clock): Poller<string> & { readonly polls: () => number } {
  const endsAt = clock.now() + ms;
  let polls = 0;
  let isSeen = false;
  return {
    isDone: () => isSeen,
    poll: async () => {
      polls += 1;
      isSeen = clock.now() >= endsAt;
    },
    result: () => "done",
    polls: () => polls,
  };
}

/** How often is asked, and how much later than its end an operation is known to have ended. */
async function wait(seconds: number, hintSeconds: number | undefined) {
  const clock = leapingClock();
  const started = clock.now();
  const poller = lasting(seconds * 1000, clock);
  const retryAfterMs = () => hintSeconds && hintSeconds * 1000;
  await pollUntilDone(async () => poller, waiting({ clock, retryAfterMs, deadlineMs: 30 * 60_000 }));
  return { polls: poller.polls(), lateness: (clock.now() - started) / (seconds * 1000) - 1, first: clock.slept[0] ?? 0 };
}

/** Polls of a client that sits out each hint and sees the end as soon as such a one could; recorded ones come a moment later. */
const azPolls = (seconds: number, hintSeconds: number): number => Math.ceil(seconds / (hintSeconds * 1.035));

describe("the wait for operations as they were recorded", () => {
  // Durations and hints: azure/postgres.md 1.4 and its corrections (A to F, and the cassettes of PowerShell).
  const finalGet = 1;
  it.each([
    { what: "server create", seconds: 120, hint: 60 },
    { what: "server create", seconds: 180, hint: 60 },
    { what: "server create", seconds: 240, hint: 60 },
    { what: "server create", seconds: 243, hint: 60 },
    { what: "server create", seconds: 300, hint: 60, az: 5 },
    { what: "server create with Entra", seconds: 423, hint: 60, az: 7 },
    { what: "server update", seconds: 60, hint: 60 },
    { what: "server update to Entra only", seconds: 121, hint: 60, az: 2 },
    { what: "server start, stop", seconds: 180, hint: 60 },
    { what: "server delete", seconds: 45, hint: 15 },
    { what: "server delete", seconds: 61, hint: 15 },
    { what: "server delete", seconds: 138, hint: 15, az: 9 },
    { what: "administrator, firewall rule", seconds: 60, hint: 60 },
    { what: "administrator, firewall rule", seconds: 61, hint: 60, az: 1 },
    { what: "database", seconds: 10, hint: 10 },
    { what: "database", seconds: 10.5, hint: 10, az: 1 },
    // The two contradictions, see `pollInterval`.
    { what: "administrator removed", seconds: 29, hint: 30, lateness: 0.058 },
    { what: "parameter", seconds: 11, hint: 10, az: 1, reads: 4 },
  ])("$what, $seconds s with a hint of $hint s", async ({ seconds, hint, az, ...other }) => {
    const azReads = (az ?? azPolls(seconds, hint)) + finalGet;
    const { polls, lateness, first } = await wait(seconds, hint);
    expect(first, "the hint is kept").toBeGreaterThanOrEqual(hint * 1000);
    expect(polls + finalGet).toBeLessThanOrEqual(other.reads ?? 1.5 * azReads);
    expect(lateness).toBeLessThanOrEqual(other.lateness ?? 0.05);
  });

  // Service Connector, azure/servicelinker.md 5; az asks after 1 s and then each 30 s, its reads and its end are 3 and 31 s for all but the last.
  it.each([
    { seconds: 3.2, polls: 6, lateS: 1 },
    { seconds: 4.6, polls: 7, lateS: 1 },
    { seconds: 6.4, polls: 8, lateS: 1.2 },
    { seconds: 10, polls: 9, lateS: 1 },
    { seconds: 20.4, polls: 13, lateS: 5 },
    { seconds: 48, polls: 17, lateS: 10 },
  ])("a connection, $seconds s without a hint: at most $polls polls and $lateS s late", async ({ seconds, ...expected }) => {
    const { polls, lateness } = await wait(seconds, undefined);
    expect(polls).toBeLessThanOrEqual(expected.polls);
    expect(lateness * seconds).toBeLessThanOrEqual(expected.lateS);
  });

  it("all that `up` waits for: at most one and a half times the reads of az", async () => {
    const hinted = [240, 60, 60, 10.5].map((seconds) => ({ seconds, hint: seconds > 60 ? 60 : Math.floor(seconds) }));
    const ours = await Promise.all(hinted.map(({ seconds, hint }) => wait(seconds, hint)));
    const sum = (reads: readonly number[]): number => reads.reduce((total, one) => total + one, 0);
    expect(sum(ours.map(({ polls }) => polls + finalGet))).toBeLessThanOrEqual(
      1.5 * sum(hinted.map(({ seconds, hint }) => azPolls(seconds, hint) + finalGet)),
    );
  });

  it("a hint of a second, the least there is: the end is noticed within a second, also after a long time", async () => {
    for (const seconds of [0.1, 0.3, 2, 60]) {
      const { lateness } = await wait(seconds, 1);
      expect(lateness * seconds).toBeLessThanOrEqual(Math.min(1, Math.max(0.1, seconds / 8)));
    }
  });

  it("a hint beyond reason is not sat out: the deadline comes first", async () => {
    const clock = leapingClock();
    const started = clock.now();
    const never = lasting(Number.POSITIVE_INFINITY, clock);
    const ended = pollUntilDone(async () => never, waiting({ clock, retryAfterMs: () => 3_600_000, deadlineMs: 60_000 }));
    await expect(ended).rejects.toMatchObject({ code: "azure/timeout", hint: expect.stringMatching(/\w/) });
    expect(clock.now() - started).toBeLessThanOrEqual(60_001);
  });
});

describe("drive", () => {
  it("polls to the end and gives the result", async () => {
    const notes: string[] = [];
    expect(await pollUntilDone(async () => operation(3), waiting({ deadlineMs: 600_000, onProgress: (note) => notes.push(note) }))).toBe(
      "done",
    );
    expect(notes).toHaveLength(3);
  });

  it("gives up at its deadline", async () => {
    const clock = leapingClock();
    await expect(pollUntilDone(async () => operation(Number.POSITIVE_INFINITY), waiting({ clock }))).rejects.toMatchObject({
      code: "azure/timeout",
    });
    const waitedMs = clock.slept.reduce((sum, ms) => sum + ms, 0);
    expect(waitedMs).toBeGreaterThan(60_000);
    expect(waitedMs).toBeLessThan(61_000);
  });

  // trap: postgres 10
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
    await expect(pollUntilDone(async () => hanging, waiting({ signal: controller.signal }))).rejects.toMatchObject({ code: "cancelled" });
  });
});
