import { expect, test } from "vitest";
import { tryEveryPoint } from "./crash-points.ts";

test("every point of up and down, killed or stopped there: the same command then ends as if nothing had happened", async () => {
  expect(await tryEveryPoint("opening")).toEqual([]);
});

test("the same without a firewall opening: the same calls without those for it, so every fifth", async () => {
  expect(await tryEveryPoint("plain", 5)).toEqual([]);
});

test("the same with odd names, three apps and three levels: three times the same calls, so every third", async () => {
  expect(await tryEveryPoint("hostile", 3)).toEqual([]);
});
