import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { clientsOnPage, coveragePage, type Operation, pageFile, scmOperations } from "../support/coverage-page.ts";
import { test } from "../support/emulator.ts";

test("the coverage page says what the routes say: operations, api-versions, sources", async ({ emulator }) => {
  const { body } = await emulator.fetch(`${emulator.control.url}/_local/coverage`, {
    headers: { authorization: `Bearer ${emulator.control.key}` },
  });
  const operations: readonly Operation[] = [...body.value, ...scmOperations()];
  const page = readFileSync(pageFile, "utf8");
  const wanted = coveragePage(operations, clientsOnPage(page));
  if (process.env.UPDATE === "1") writeFileSync(pageFile, wanted);
  else expect(page).toBe(wanted);
});
