import { expect } from "vitest";
import { plainApp, test } from "../../support/command-line.ts";

test("of a new project: every step is created, with the price; exit code 3, and nothing is written", async ({ cli }) => {
  const directory = cli.folder(plainApp);
  const writes = await cli.writesOf(async () => {
    const { code, results } = await cli.run("plan", { directory });
    expect([code, results]).toEqual([
      3,
      [expect.stringMatching(/^\+ resource group .*create[\s\S]*\n(\d+) of \1 steps would change something\.\nAbout [\d.]+ USD a month/)],
    ]);
  });
  expect(writes).toEqual([]);
});

test("of a project that is as wanted: 0, in words and in JSON", async ({ cli }) => {
  const directory = await cli.project();
  const words = await cli.run("plan", { directory });
  expect([words.code, words.results]).toEqual([0, [expect.stringMatching(/\nNothing to change\.\n/)]]);
  const { code, documents } = await cli.run("plan --json", { directory });
  expect([code, documents]).toEqual([0, [expect.objectContaining({ ok: true, changes: 0, blocked: 0, warnings: [] })]]);
});

test("a difference is told field by field", async ({ cli }) => {
  const directory = await cli.project();
  const site = `${cli.emulator.subscription}/resourceGroups/rg-shop/providers/Microsoft.Web/sites/shop-api-t3st/config/web?api-version=2025-05-01`;
  await cli.emulator.arm("PATCH", site, { properties: { ftpsState: "AllAllowed" } });
  const { code, results } = await cli.run("plan", { directory });
  expect([code, results]).toEqual([
    3,
    [expect.stringMatching(/~ web app configuration api +update\n {4}ftpsState: AllAllowed → Disabled\n/)],
  ]);
});
