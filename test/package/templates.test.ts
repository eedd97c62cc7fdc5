import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { layTemplate, listTemplates } from "../../src/package/templates.ts";
import { test, write } from "./temporary-folder.ts";

const ROOT = join(import.meta.dirname, "../../templates");

test("lists the shipped templates", () => {
  expect(listTemplates(ROOT)).toEqual(["express", "fastapi"]);
});

test("lays a template into a folder that is not there, and again without writing", ({ folder }) => {
  const app = join(folder, "new/app");
  const written = layTemplate(ROOT, "fastapi", app);
  expect(written).toContain(".gitignore");
  expect(readdirSync(app).sort()).toEqual([...written].sort());
  expect(readFileSync(join(app, ".gitignore"))).toEqual(readFileSync(join(ROOT, "fastapi/gitignore")));
  expect(layTemplate(ROOT, "fastapi", app)).toEqual([]);
  rmSync(join(app, "main.py"));
  expect(layTemplate(ROOT, "fastapi", app)).toEqual(["main.py"]);
});

test("names every file in the way and touches none", ({ folder }) => {
  write(folder, { "server.js": "mine", ".gitignore": "mine too", "other.txt": "stays" });
  expect(() => layTemplate(ROOT, "express", folder)).toThrow(
    expect.objectContaining({ code: "usage/invalid", message: expect.stringMatching(/: \.gitignore, server\.js$/) }),
  );
  expect(readdirSync(folder).sort()).toEqual([".gitignore", "other.txt", "server.js"]);
});

test("refuses an unknown template and names the known ones", ({ folder }) => {
  expect(() => layTemplate(ROOT, "../src", folder)).toThrow(
    expect.objectContaining({ code: "usage/invalid", hint: "templates: express, fastapi" }),
  );
});
