import { describe, expect } from "vitest";
import { plainApp, test } from "../../support/command-line.ts";

test("create makes its steps and what they need, and nothing else", async ({ cli }) => {
  const directory = cli.folder(plainApp);
  const { code, documents, said } = await cli.run("webapp create --yes --json --name alone", { directory });
  expect(code, said).toBe(0);
  const [body] = documents as [{ ok: boolean; steps: { name: string }[]; warnings: object[] }];
  expect([body.ok, body.warnings]).toEqual([true, []]);
  expect(body.steps.map(({ name }) => name)).toEqual([
    "resource group",
    "App Service plan api",
    "web app api",
    "web app configuration api",
    "basic publishing credentials api",
    "log settings api",
  ]);
  const again = await cli.run("webapp create", { directory });
  expect([again.code, again.results]).toEqual([0, ["done"]]);
});

test("create stopped by Ctrl-C names the command that goes on", async ({ cli }) => {
  const { code, said } = await cli.run("server create --yes --name halted", {
    directory: cli.folder(plainApp),
    stopAt: /\+ resource group created/,
  });
  expect([code, said]).toEqual([
    130,
    expect.stringMatching(/made, and stays: resource group rg-halted[\s\S]*run `passwordless-pg server create` again/),
  ]);
});

describe("what Azure and the database say", () => {
  test.for<[words: string, value: unknown]>([
    ["server show", expect.objectContaining({ name: "shop-db-t3st", state: "Ready", version: "16" })],
    ["webapp show", [expect.objectContaining({ key: "api", site: expect.objectContaining({ name: "shop-api-t3st" }) })]],
    ["connection list", { api: [expect.objectContaining({ name: "postgres_api" })] }],
    ["connection validate", { api: expect.anything() }],
    [
      "principal show",
      [
        expect.objectContaining({
          key: "api",
          role: "shop-api-t3st",
          access: expect.objectContaining({ barredBy: [], loginBlockers: [] }),
        }),
      ],
    ],
    ["firewall list", [expect.objectContaining({ name: "azure-services", start: "0.0.0.0", end: "0.0.0.0" })]],
  ])("%s", async ([words, value], { cli }) => {
    const { code, results } = await cli.run(words, { directory: await cli.project() });
    expect([code, JSON.parse(results.join())]).toEqual([0, value]);
  });

  test("of a server that is not there: 5, with the way to it", async ({ cli }) => {
    const directory = cli.folder({ ...plainApp, "passwordless-pg.json": JSON.stringify({ name: "gone", server: { name: "gone-db" } }) });
    const { code, said } = await cli.run("server show", { directory });
    expect([code, said]).toEqual([
      5,
      expect.stringMatching(/flexible server gone-db does not exist in rg-gone\n {2}→ run `passwordless-pg init`/),
    ]);
  });
});

test("stop and start wait for Azure and say that it is done", async ({ cli }) => {
  const directory = await cli.project();
  const stopped = await cli.run("server stop", { directory });
  expect([stopped.code, stopped.results, stopped.messages]).toEqual([0, ["done"], ["… waiting for Azure: working"]]);
  const shown = await cli.run("server show", { directory });
  expect(JSON.parse(shown.results.join())).toMatchObject({ state: "Stopped" });
  expect((await cli.run("server start --json", { directory })).documents).toEqual([{ ok: true }]);
  for (const verb of ["stop", "start", "restart"]) expect((await cli.run(`webapp ${verb}`, { directory })).code).toBe(0);
  expect((await cli.run("server restart", { directory })).code).toBe(0);
});
