import { expect } from "vitest";
import { plainApp, test } from "../../support/command-line.ts";

test("makes, deploys and proves; a second time everything is kept, and the document holds steps and checks", async ({ cli }) => {
  const directory = cli.folder(plainApp);
  const words = await cli.run("up --yes --name shop", { directory });
  expect(words.code, words.said).toBe(0);
  expect(words.messages).toContainEqual(expect.stringMatching(/^wrote .*passwordless-pg\.json$/));
  expect(words.messages).toContainEqual(expect.stringMatching(/^\+ deployment api created \d/));
  expect(words.messages).toContainEqual(expect.stringMatching(/^✓ api: app answers/));
  expect(words.results).toEqual([expect.stringMatching(/^Proved: (\d+) of \1 checks passed\.\napi {2}http:\/\//)]);
  const { code, documents } = await cli.run("up --yes --json", { directory });
  expect(code).toBe(0);
  const [body] = documents as [{ ok: boolean; steps: { outcome: string }[]; checks: { ok: boolean }[] }];
  expect(body.ok).toBe(true);
  expect(new Set(body.steps.map(({ outcome }) => outcome))).toEqual(new Set(["kept"]));
  expect(body.checks.filter(({ ok }) => !ok)).toEqual([]);
});

test("what is deployed but not proved ends with 8; the error of the document says so", async ({ cli }) => {
  const directory = await cli.project();
  // A setting of somebody's own, which no step touches.
  const settings = `${cli.emulator.subscription}/resourceGroups/rg-shop/providers/Microsoft.Web/sites/shop-api-t3st/config/appsettings`;
  const { body } = await cli.emulator.arm("POST", `${settings}/list?api-version=2025-05-01`);
  const properties = { ...body.properties, DB_PASSWORD: "hunter2hunter2" };
  await cli.emulator.arm("PUT", `${settings}?api-version=2025-05-01`, { properties });
  const { code, documents } = await cli.run("up --yes --json", { directory });
  expect(code).toBe(8);
  expect(documents).toEqual([expect.objectContaining({ ok: false, error: expect.objectContaining({ code: "verify/failed" }) })]);
});

test("Ctrl-C while it checks: everything that was made is told", async ({ cli }) => {
  const directory = cli.folder(plainApp);
  const { code, said } = await cli.run("up --yes --name stopped", { directory, stopAt: /… verify: checking/ });
  expect(code).toBe(130);
  expect(said).toMatch(/✗ stopped by SIGINT; nothing is undone\n {2}made, and stays: resource group rg-stopped, .*deployment api/);
  expect(said).toMatch(/→ run `passwordless-pg up` again to go on; `passwordless-pg down` removes what this project made$/m);
});

test("a template is laid into a new folder only", async ({ cli }) => {
  const directory = cli.folder({ "server.js": "" });
  const { code, said } = await cli.run("up --yes --name laid --template express", { directory });
  expect([code, said]).toEqual([2, expect.stringMatching(/server\.js/)]);
});
