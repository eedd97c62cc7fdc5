import fc from "fast-check";
import { expect, test } from "vitest";
import { covers, rangesOf } from "../../src/steps/firewall.ts";

test("neighbouring addresses share a rule, doubles count once", () => {
  expect(rangesOf(["20.1.2.4", "20.1.2.3", "20.1.2.4", "20.9.0.1"])).toEqual([
    { name: "app-20-1-2-3", start: "20.1.2.3", end: "20.1.2.4" },
    { name: "app-20-9-0-1", start: "20.9.0.1", end: "20.9.0.1" },
  ]);
});

test("the rules let in exactly the addresses they were made of", () => {
  fc.assert(
    fc.property(fc.array(fc.ipV4(), { minLength: 1, maxLength: 40 }), fc.ipV4(), (addresses, stranger) => {
      const rules = rangesOf(addresses);
      for (const address of addresses) expect(rules.some((rule) => covers(rule, address))).toBe(true);
      if (!addresses.includes(stranger)) expect(rules.some((rule) => covers(rule, stranger))).toBe(false);
    }),
  );
});
