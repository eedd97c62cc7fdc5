import { expect, test } from "vitest";
import { defined } from "../../src/base/defined.ts";

test("leaves out what is undefined, and nothing else", () => {
  const given: { a?: string | undefined; b: number; c: null; d: string; e: boolean } = { a: undefined, b: 0, c: null, d: "", e: false };
  expect(defined(given)).toStrictEqual({ b: 0, c: null, d: "", e: false });
});
