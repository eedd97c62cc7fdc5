import { describe, expect, test } from "vitest";
import { tidyUp } from "../../src/cli/last-net.ts";

const never = new Promise<never>(() => undefined);
const limits = { stopMs: 20, giveBackMs: 20 };

describe("after a fault", () => {
  test("work that gives back itself is waited for, and nothing is given back twice", async () => {
    const given: string[] = [];
    const borrowed = new Set<() => Promise<void>>();
    const giveBack = async (): Promise<void> => void given.push("opening");
    borrowed.add(giveBack);
    const work = giveBack().then(() => borrowed.delete(giveBack));
    await tidyUp(work, borrowed, { stopMs: 5_000, giveBackMs: 5_000 });
    expect(given).toEqual(["opening"]);
  });

  test("work that never ends is not waited for: everything it holds is given back, also when one of them fails", async () => {
    const given: string[] = [];
    const failing = async (): Promise<void> => Promise.reject(new Error("no"));
    const giving = async (): Promise<void> => void given.push("opening");
    await tidyUp(never, new Set([failing, giving]), limits);
    expect(given).toEqual(["opening"]);
  });

  test("neither work that fails nor giving back that never ends holds the process", async () => {
    await tidyUp(Promise.reject(new Error("broken")), new Set([() => never]), limits);
  });
});
