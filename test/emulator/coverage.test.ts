import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { coveragePage, type Operation, pageFile, scmOperations, withoutClients } from "../support/coverage-page.ts";
import { test } from "../support/emulator.ts";

test("the coverage page says what the routes say: operations, api-versions, sources", async ({ emulator }) => {
  const { body } = await emulator.fetch(`${emulator.control.url}/_local/coverage`, {
    headers: { authorization: `Bearer ${emulator.control.key}` },
  });
  const operations: readonly Operation[] = [...body.value, ...scmOperations()];
  const wanted = coveragePage(operations, () => []);
  expect(withoutClients(readFileSync(pageFile, "utf8"))).toBe(withoutClients(wanted));
});
