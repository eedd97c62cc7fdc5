import { expect, test } from "vitest";
import { memoize, memoizeByKey } from "../../src/base/memoize.ts";

test("asks once, also when two ask at the same time, and once for each key", async () => {
  const asked: string[] = [];
  const work = async (key = "only") => {
    asked.push(key);
    return asked.length;
  };
  const one = memoize(() => work());
  expect(await Promise.all([one(), one()])).toEqual([1, 1]);
  const each = memoizeByKey(work);
  expect(await Promise.all([each("a"), each("b"), each("a")])).toEqual([2, 3, 2]);
  expect(asked).toEqual(["only", "a", "b"]);
});
