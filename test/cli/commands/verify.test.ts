import { expect } from "vitest";
import { test } from "../../support/command-line.ts";

test("one line a check as it comes, then the sum; 8 when one fails; the document holds the same", async ({ cli }) => {
  const directory = await cli.project();
  const deployed = await cli.run("deploy", { directory });
  expect(deployed.code, deployed.said).toBe(0);
  const { subscription } = cli.emulator;
  const config = `${subscription}/resourceGroups/rg-shop/providers/Microsoft.Web/sites/shop-api-t3st/config/web?api-version=2025-05-01`;
  await cli.emulator.arm("PATCH", config, { properties: { ftpsState: "AllAllowed" } });
  const words = await cli.run("verify", { directory });
  expect(words.code, words.said).toBe(8);
  expect(words.messages[0]).toBe("checking the chain from Azure's control plane to a row in the database");
  expect(words.results[0]).toMatch(/^✓ server is ready {2}\S+ runs PostgreSQL 16, state Ready$/);
  expect(words.results).toContainEqual(expect.stringMatching(/^✗ api: TLS 1\.2 or newer, FTPS off .*AllAllowed[\s\S]*\n {2}→ /));
  expect(words.results.at(-1)).toMatch(/^1 of \d+ checks failed\.$/);
  const { code, documents, results } = await cli.run("verify --json", { directory });
  expect([code, results]).toEqual([8, []]);
  const [body] = documents as [{ ok: boolean; checks: { name: string; ok: boolean }[] }];
  expect(body.ok).toBe(false);
  expect(body.checks).toHaveLength(words.results.length - 1);
  expect(body.checks).toContainEqual(expect.objectContaining({ name: "server is ready", ok: true }));
});
