import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { Ajv } from "ajv";
import { expect, test } from "vitest";
import schema from "../../src/project/schema.json" with { type: "json" };
import { createSetup } from "../../src/project/setup.ts";
import { validateProject } from "../../src/project/validate.ts";
import { CHANGED_LATER, keysOf, projectFilePage } from "../support/project-file-page.ts";

const pageFile = resolve(import.meta.dirname, "../../docs/project-file.md");
const keys = keysOf(schema);

test("the page is what the schema says (UPDATE=1 writes it)", () => {
  const page = projectFilePage(schema);
  if (process.env.UPDATE) writeFileSync(pageFile, page);
  expect(readFileSync(pageFile, "utf8")).toBe(page);
});

test("the example at the head of the page and those of environments are project files", () => {
  const example = /```json\n([\s\S]*?)```/.exec(projectFilePage(schema))?.[1] ?? "";
  expect(validateProject(JSON.parse(example))).toEqual([]);
  for (const environments of schema.properties.environments.examples) {
    expect(validateProject({ name: "shop", environments })).toEqual([]);
  }
});

test("the defaults of the schema are those that the setup takes", () => {
  const { location, server, plans, sites } = createSetup(
    { name: "shop", apps: { api: { runtime: "node|22-lts" } } },
    { folder: "/shop", suffix: "7f3a", detected: {}, validate: validateProject },
  );
  const [app] = sites;
  const taken: Record<string, unknown> = {
    location,
    "server.version": server.version,
    "server.sku": server.sku,
    "server.storageGb": server.storageGb,
    "server.firewall": server.firewall,
    "apps.KEY.plan": plans[0]?.sku,
    "apps.KEY.access": app?.access,
    "apps.KEY.settings": app?.settings,
    "apps.KEY.include": app?.include,
  };
  for (const [path, value] of Object.entries(taken)) {
    expect(keys.find((key) => key.path === path)?.schema.default, path).toEqual(value);
  }
});

test.for(keys)("$path has a description, a default, examples and what a change does", ({ path, isRequired, schema: part }) => {
  const [meaning = "", ...changes] = (part.description ?? "").split(CHANGED_LATER);
  expect(meaning.length).toBeGreaterThan(10);
  expect(changes).toHaveLength(1);
  expect(part.default !== undefined || /\bDefault: /.test(meaning) || isRequired, `${path}: default, as a value or in words`).toBe(true);
  expect(part.examples ?? []).not.toEqual([]);
});

test.for(keys.filter(({ path }) => path !== "environments"))("$path: its examples and its default are valid", ({ schema: part }) => {
  const validate = new Ajv({ strict: true, allowUnionTypes: true }).compile({ ...part, definitions: schema.definitions });
  const values = [...(part.examples ?? []), ...(part.default === undefined ? [] : [part.default])];
  expect(values.filter((value) => !validate(value))).toEqual([]);
});
