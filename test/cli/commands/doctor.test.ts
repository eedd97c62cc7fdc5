import { expect } from "vitest";
import { test } from "../../support/command-line.ts";

const config = (subscription: string): string =>
  `${subscription}/resourceGroups/rg-shop/providers/Microsoft.Web/sites/shop-api-t3st/config/web?api-version=2025-05-01`;

test("tells what is wrong with the command that repairs it, and repairs it with --fix", async ({ cli }) => {
  const directory = await cli.project();
  const deployed = await cli.run("deploy", { directory });
  expect(deployed.code, deployed.said).toBe(0);
  await cli.emulator.arm("PATCH", config(cli.emulator.subscription), { properties: { ftpsState: "AllAllowed" } });
  const found = await cli.run("doctor", { directory });
  expect(found.code).toBe(8);
  expect(found.results).toContainEqual(expect.stringMatching(/^✗ .*ftpsState[\s\S]*→ .*doctor --fix/));
  const all = await cli.run("doctor --verbose", { directory });
  expect(all.results.length).toBeGreaterThan(found.results.length);
  const fixed = await cli.run("doctor --fix --json", { directory });
  const [body] = fixed.documents as [{ repairs: object[]; checks: { name: string; detail: string; ok: boolean }[] }];
  expect(body.repairs).toEqual([expect.objectContaining({ name: "web app configuration api", outcome: "updated" })]);
  expect(body.checks.filter(({ detail, ok }) => !ok && detail.includes("ftpsState"))).toEqual([]);
});

test("--fix stopped by Ctrl-C tells what is not finished and the command that goes on", async ({ cli }) => {
  const directory = await cli.project();
  await cli.emulator.arm("PATCH", config(cli.emulator.subscription), { properties: { minTlsVersion: "1.0" } });
  const { code, said } = await cli.run("doctor --fix", { directory, stopAt: /… web app configuration api: update/ });
  expect(code).toBe(130);
  expect(said).toMatch(
    /✗ stopped by SIGINT; nothing is undone\n {2}(not finished, Azure may go on with it|changed, and stays so): web app configuration api/,
  );
  expect(said).toMatch(/→ run `passwordless-pg doctor --fix` again to go on$/m);
});
