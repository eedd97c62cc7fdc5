import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { plainApp, test } from "../../support/command-line.ts";

describe("a folder without a project file", () => {
  const answers = ["shop", ""];

  test("asks for name, region and the plan; no is no: 1, and nothing is written", async ({ cli }) => {
    const directory = cli.folder(plainApp);
    const writes = await cli.writesOf(async () => {
      const { code, questions, documents, results } = await cli.run("init", { directory, answers: [...answers, "n"] });
      expect(code).toBe(1);
      expect(questions).toEqual(["Project name", "Azure region", "Apply this plan?"]);
      expect([...documents, ...results]).toEqual([]);
    });
    expect(writes).toEqual([]);
    expect(() => readFileSync(join(directory, "passwordless-pg.json"))).toThrow("ENOENT");
  });

  test("nobody to ask and no --yes: refused before anything is read", async ({ cli }) => {
    const { code, said } = await cli.run("init", { directory: cli.folder(plainApp) });
    expect([code, said]).toEqual([2, expect.stringMatching(/nobody can answer whether to make a project of .*\n {2}→ add --yes/)]);
  });
});

test("yes makes everything, says what came of each step, and what to do next", async ({ cli }) => {
  const directory = cli.folder(plainApp);
  const { code, said, results } = await cli.run("init", { directory, answers: ["asked", "", "y"] });
  expect(code, said).toBe(0);
  expect(said).toMatch(/^\+ resource group +create/m);
  expect(said).toMatch(/^… flexible server: create$/m);
  expect(said).toMatch(/^\+ flexible server created \d/m);
  expect(results).toEqual([expect.stringMatching(/^rg-asked is as .*passwordless-pg\.json asks\.\nNext: `passwordless-pg deploy`$/)]);
});

test("again it changes nothing; the document names what is there", async ({ cli }) => {
  const directory = await cli.project();
  const writes = await cli.writesOf(async () => {
    const { code, documents } = await cli.run("init --yes --json", { directory });
    expect(code).toBe(0);
    expect(documents).toEqual([
      expect.objectContaining({
        ok: true,
        cloud: "local",
        resourceGroup: "rg-shop",
        server: { name: "shop-db-t3st", host: expect.any(String), port: 5432 },
        database: "shop",
        apps: { api: expect.objectContaining({ name: "shop-api-t3st", role: "shop-api-t3st", principalId: expect.any(String) }) },
        warnings: [],
      }),
    ]);
  });
  expect(writes).toEqual([]);
});

test("a step that cannot be made true: its reason, its hint and its exit code, in words and in JSON", async ({ cli }) => {
  const project = await cli.project();
  const file = JSON.parse(readFileSync(join(project, "passwordless-pg.json"), "utf8")) as object;
  const directory = cli.folder({ ...plainApp, "passwordless-pg.json": JSON.stringify({ ...file, location: "westeurope" }) });
  const words = await cli.run("init --yes", { directory });
  expect([words.code, words.said]).toEqual([1, expect.stringMatching(/✗ flexible server: .*\n {2}→ .*eastus/)]);
  const { code, documents } = await cli.run("init --yes --json", { directory });
  expect([code, documents]).toEqual([
    1,
    [
      expect.objectContaining({
        ok: false,
        error: expect.objectContaining({ code: "step/blocked", hint: expect.stringContaining("eastus") }),
      }),
    ],
  ]);
});

test("Ctrl-C tells what stays under the field's names, and under the ones before for one version", async ({ cli }) => {
  const directory = cli.folder(plainApp);
  const { code, documents } = await cli.run("init --yes --json --name stopped", { directory, stopAt: /\+ resource group created/ });
  expect(code).toBe(130);
  const [body] = documents as [Record<string, unknown>];
  expect(body).toMatchObject({
    ok: false,
    created: expect.arrayContaining(["resource group rg-stopped"]),
    updated: [],
    resourceGroup: "rg-stopped",
    error: { code: "cancelled", hint: expect.stringMatching(/^run `passwordless-pg init` again to go on; `passwordless-pg down` removes/) },
  });
  expect([body?.made, body?.changed]).toEqual([body?.created, body?.updated]);
});

test("a project file that was changed between the plan and the yes is left alone", async ({ cli }) => {
  const directory = cli.folder({ ...plainApp, "passwordless-pg.json": JSON.stringify({ name: "mine" }) });
  const path = join(directory, "passwordless-pg.json");
  const changed = JSON.stringify({ name: "mine-now" });
  const { code, said } = await cli.run("init", { directory, answers: ["y"], onLine: () => writeFileSync(path, changed) });
  expect([code, said]).toEqual([2, expect.stringMatching(/passwordless-pg\.json was changed while this command was at work/)]);
  expect(readFileSync(path, "utf8")).toBe(changed);
});
