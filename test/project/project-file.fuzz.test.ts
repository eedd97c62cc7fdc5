import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { KnownError } from "../../src/base/errors.ts";
import { findProject, type ProjectFile } from "../../src/project/file.ts";
import { createSetup, type Setup, withNames } from "../../src/project/setup.ts";
import { validateProject } from "../../src/project/validate.ts";
import { deepJson, mutated, runs } from "../support/fuzz.ts";
import { workedMs } from "../support/patience.ts";

const folder = mkdtempSync(join(tmpdir(), "ppg-project-"));
afterAll(() => rmSync(folder, { recursive: true }));

const valid = {
  $schema: "x",
  name: "shop",
  location: "eastus",
  resourceGroup: "rg-shop",
  server: { name: "shop-db", version: "16", sku: "Standard_B1ms", storageGb: 32, firewall: "azure-services" },
  database: "shop",
  apps: {
    api: {
      host: "webapp",
      name: "shop-api",
      runtime: "python|3.12",
      path: "api",
      plan: "B1",
      access: "owner",
      startup: "x",
      health: "/h",
      settings: { A: "b" },
    },
    web: { runtime: "node|22-lts", access: "read" },
  },
  environments: {
    test: { location: "westus", server: { sku: "Standard_B2s" }, apps: { api: { plan: "S1" }, job: { runtime: "node|22-lts" } } },
  },
};

const context = { folder: "/app", suffix: "abcd", validate: validateProject, detected: { api: { runtime: "python|3.12" } } };

/** A setup, or the one error that lists what is wrong. */
function judge(content: unknown, environment?: string): Setup | KnownError {
  try {
    return createSetup(content, { ...context, environment });
  } catch (error) {
    if (!(error instanceof KnownError)) throw error;
    expect(error.code).toBe("project/invalid");
    expect(error.message).toMatch(/^the project file has \d+ problems?:\n( {2}- .+\n?)+/);
    expect(error.message.length).toBeLessThan(20_000);
    return error;
  }
}

function checkSetup(setup: Setup, content: unknown, environment?: string): void {
  expect(setup.server.name).toMatch(/^[a-z0-9-]{3,63}$/);
  expect(setup.sites.length).toBeGreaterThan(0);
  for (const app of setup.sites) {
    expect(app.label).toMatch(/^[a-z][a-z0-9-]{0,19}$/);
    expect(app.address.app).toMatch(/^[A-Za-z0-9-]{2,60}$/);
    expect(Object.values(app.settings).every((value) => typeof value === "string")).toBe(true);
    expect(`${app.folder}${app.startup}${app.runtime}`).not.toContain("\0");
  }
  // Names are written back once: with them in the file nothing changes any more.
  const named = JSON.parse(JSON.stringify(withNames(content as ProjectFile, setup, environment))) as unknown;
  expect(judge(named, environment)).toEqual(setup);
}

const environment = fc.constantFrom(undefined, undefined, "test", "constructor", "__proto__", "toString", "none", "\u001b[2J");

describe("whatever a project file holds", () => {
  test("it is a setup, or one error with all its problems", () => {
    let fine = 0;
    fc.assert(
      fc.property(mutated(valid), environment, (content, env) => {
        // As it comes from a file.
        const text = JSON.stringify(content);
        if (text === undefined) return;
        const parsed = JSON.parse(text) as unknown;
        const result = judge(parsed, env);
        if (result instanceof KnownError) return;
        fine += 1;
        checkSetup(result, parsed, env);
      }),
      runs(400),
    );
    expect(fine).toBeGreaterThan(10);
    expect({}).not.toHaveProperty("runtime");
  });

  test("no environment is found that is only a word of JavaScript", () => {
    for (const name of ["constructor", "toString", "__proto__", "hasOwnProperty"]) {
      expect(judge(valid, name)).toMatchObject({ message: expect.stringContaining("is not in the file") });
    }
    expect(judge({ ...valid, environments: undefined }, "constructor")).toBeInstanceOf(KnownError);
  });

  test("keys and settings named like parts of JavaScript are data", () => {
    const parsed = JSON.parse('{"name":"shop","apps":{"constructor":{"runtime":"python|3.12","settings":{"__proto__":"x","A":"b"}}}}');
    const setup = judge(parsed) as Setup;
    expect(setup.sites[0]?.label).toBe("constructor");
    expect(Object.keys(setup.sites[0]?.settings ?? {}).sort()).toEqual(["A", "__proto__"]);
    for (const key of ["__proto__", "../x", "A", ""]) {
      const evil = JSON.parse(
        `{"name":"shop","environments":{"test":{"apps":{${JSON.stringify(key)}:{"runtime":"python|3.12","name":"shop-x"}}}}}`,
      );
      expect(judge(evil, "test")).toBeInstanceOf(KnownError);
    }
  });
});

describe("whatever bytes a project file has", () => {
  const read = async (bytes: string | Uint8Array): Promise<unknown> => {
    const path = join(folder, "passwordless-pg.json");
    writeFileSync(path, bytes);
    try {
      return (await findProject(folder)).content;
    } catch (error) {
      if (!(error instanceof KnownError)) throw error;
      expect(error.code).toBe("project/invalid");
      expect(error.message.length).toBeLessThan(1_000);
      return error;
    }
  };

  test("they are JSON, or a known error", async () => {
    const text = JSON.stringify(valid);
    const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 4 }), fc.uint8Array({ maxLength: 20 }), async (changes, more) => {
        const bytes = Buffer.from(text);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        const content = await read(Buffer.concat([bytes, more]));
        if (!(content instanceof KnownError)) judge(content);
      }),
      runs(200),
    );
  });

  test("ten megabytes, or brackets without an end, end in an error soon", async () => {
    const began = workedMs();
    expect(await read(deepJson(5_000_000))).toBeInstanceOf(KnownError);
    expect(await read("[".repeat(1_000_000))).toBeInstanceOf(KnownError);
    expect(await read(`{"name":"${"x".repeat(10_000_000)}"}`)).toBeInstanceOf(KnownError);
    const keys = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`key${index}`, index]));
    const many = judge(await read(JSON.stringify({ name: "shop", ...keys }))) as KnownError;
    expect(many.message).toContain("20000 problems");
    expect(judge({ name: "shop", ["x".repeat(100_000)]: 1 })).toBeInstanceOf(KnownError);
    expect(judge({ name: "shop", a: JSON.parse(deepJson(10_000)) })).toBeInstanceOf(KnownError);
    expect(workedMs() - began).toBeLessThan(10_000);
  });
});
