import { expect, test } from "vitest";
import { tryEveryPoint } from "./crash-points.ts";

test("every point of a project with odd names, three apps and three levels", async () => {
  expect(await tryEveryPoint("hostile")).toEqual([]);
});
