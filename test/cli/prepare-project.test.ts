import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { expect } from "vitest";
import { prepareProject } from "../../src/cli/prepare-project.ts";
import { listFiles } from "../../src/package/list-files.ts";
import { test, write } from "../package/temporary-folder.ts";
import { createFakeIo } from "../support/io.ts";

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8")) as { version: string };
const app = { "package.json": '{"name":"shop","scripts":{"start":"node a.js"}}', "a.js": "" };
const json = (path: string): Record<string, unknown> => JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;

/** What `init` and `up` do to the folder, with the yes to the plan between; answers with what was printed. */
async function prepare(folder: string, more: { readonly config?: string } = {}): Promise<string> {
  const io = createFakeIo({ directory: folder });
  const { save } = await prepareProject(io, { yes: true, name: "shop", ...more }, ".");
  await save?.();
  return io.messages.join("\n");
}

test("a new project file names a schema that lies beside it, an editor can read it, and it is not deployed", async ({ folder }) => {
  write(folder, app);
  await prepare(folder);
  const file = json(join(folder, "passwordless-pg.json"));
  expect(file.$schema).toBe("./passwordless-pg.schema.json");
  const schema = json(join(folder, String(file.$schema)));
  expect(new Ajv({ strict: false }).compile(schema)(file)).toBe(true);
  expect(schema.$comment).toBe(`passwordless-pg ${version}`);
  expect((await listFiles(folder)).files.map(({ path }) => path)).toEqual(["a.js", "package.json"]);
  expect(readdirSync(folder).sort()).toEqual(["a.js", "package.json", "passwordless-pg.json", "passwordless-pg.schema.json"]);
});

test("nothing that is written names an address that somebody could take", async ({ folder }) => {
  write(folder, app);
  await prepare(folder);
  for (const name of ["passwordless-pg.json", "passwordless-pg.schema.json"]) {
    const addresses = readFileSync(join(folder, name), "utf8").match(/https?:\/\/[^/"]+/g) ?? [];
    expect(
      addresses.filter((one) => one !== "http://json-schema.org"),
      name,
    ).toEqual([]);
  }
});

test.for([
  "https://unpkg.com/passwordless-pg/dist/passwordless-pg.schema.json",
  "https://unpkg.com/passwordless-pg@0.1.0/dist/passwordless-pg.schema.json",
  "https://cdn.jsdelivr.net/npm/passwordless-pg/dist/passwordless-pg.schema.json",
])("the address of an earlier version is read, said, and corrected at the next write: %s", async ($schema, { folder }) => {
  write(folder, { ...app, "passwordless-pg.json": JSON.stringify({ $schema, name: "shop" }) });
  expect(await prepare(folder)).toMatch(/its \$schema is now \.\/passwordless-pg\.schema\.json/);
  const [first, ...others] = Object.entries(json(join(folder, "passwordless-pg.json")));
  expect(first).toEqual(["$schema", "./passwordless-pg.schema.json"]);
  expect(others[0]).toEqual(["name", "shop"]);
  expect(existsSync(join(folder, "passwordless-pg.schema.json"))).toBe(true);
  expect(await prepare(folder)).toBe("");
});

test.for(["./node_modules/passwordless-pg/dist/passwordless-pg.schema.json", "https://example.com/ours.json", undefined])(
  "what a person wrote under $schema stays, and gets no copy: %s",
  async ($schema, { folder }) => {
    write(folder, { ...app, "passwordless-pg.json": JSON.stringify({ $schema, name: "shop" }) });
    await prepare(folder);
    expect(json(join(folder, "passwordless-pg.json")).$schema).toBe($schema);
    expect(existsSync(join(folder, "passwordless-pg.schema.json"))).toBe(false);
  },
);

test("the copy follows the tool: an older one is refreshed, a newer one and somebody else's stay, none is made twice", async ({
  folder,
}) => {
  write(folder, app);
  await prepare(folder);
  const path = join(folder, "passwordless-pg.schema.json");
  const fresh = readFileSync(path, "utf8");
  const other = (text: string) => JSON.stringify({ ...JSON.parse(fresh), $comment: text, title: "other" });
  for (const old of ["passwordless-pg 0.0.9", `passwordless-pg ${version}`, "", fresh.slice(0, 300)]) {
    write(folder, { "passwordless-pg.schema.json": old.startsWith("{") ? old : other(old) });
    await prepare(folder);
    expect(readFileSync(path, "utf8"), old).toBe(fresh);
  }
  for (const stays of [
    other("passwordless-pg 0.10.0"),
    other("passwordless-pg 10.0.0"),
    '{"$id":"urn:another"}',
    "[]",
    fresh.replaceAll("\n", "\r\n"),
  ]) {
    write(folder, { "passwordless-pg.schema.json": stays });
    await prepare(folder);
    expect(readFileSync(path, "utf8")).toBe(stays);
  }
});

test("a copy that cannot be written stops nothing, and the copy goes with --config", async ({ folder }) => {
  write(folder, app);
  await prepare(folder);
  rmSync(join(folder, "passwordless-pg.schema.json"));
  mkdirSync(join(folder, "passwordless-pg.schema.json"));
  write(folder, { "passwordless-pg.schema.json/x": "" });
  expect(await prepare(folder)).toMatch(/^the schema for editors could not be written into .*EISDIR|EEXIST|ENOTEMPTY/);
  expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  write(folder, {
    "deploy/prod.json": JSON.stringify({ $schema: "./passwordless-pg.schema.json", name: "shop", apps: { api: { path: ".." } } }),
  });
  chmodSync(join(folder, "deploy"), 0o755);
  await prepare(folder, { config: "deploy/prod.json" });
  expect(existsSync(join(folder, "deploy/passwordless-pg.schema.json"))).toBe(true);
});
