import { expect, test } from "vitest";
import { tryEveryPoint } from "./crash-points.ts";

test("every point of up and down, killed or stopped there: the same command then ends as if nothing had happened", async () => {
  expect(await tryEveryPoint("plain")).toEqual([]);
});

test("the same where the firewall lets only the apps in, and every run needs an opening", async () => {
  expect(await tryEveryPoint("opening")).toEqual([]);
});
