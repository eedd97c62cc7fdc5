import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect } from "vitest";
import { bundle } from "../../src/build/bundle.ts";
import { copiedCode } from "../../src/build/copied-code.ts";
import { noticesOf, packagesOf } from "../../src/build/notices.ts";
import { test, write } from "../package/temporary-folder.ts";

const root = resolve(import.meta.dirname, "../..");

/** By the path alone: `node_modules/a/node_modules/@b/c/x.js` is a file of `@b/c`. */
function ownersOf(inputs: readonly string[]): Map<string, string[]> {
  const owners = new Map<string, string[]>();
  for (const input of inputs) {
    const [folder] = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? [];
    if (folder) owners.set(folder, [...(owners.get(folder) ?? []), input]);
  }
  return owners;
}

test("the built THIRD_PARTY_NOTICES has name, version and licence text of each package in the bundles", async () => {
  const { inputs } = await bundle("dist", { isWritten: false });
  const notices = readFileSync(join(root, "dist/THIRD_PARTY_NOTICES"), "utf8");
  const sections = new Map(
    notices.split(/^=+\n\n(.+)\n\n=+$/m).flatMap((part, index, all) => (index % 2 === 1 ? [[part, all[index + 1]]] : [])) as [
      string,
      string,
    ][],
  );
  const owners = ownersOf(Object.keys(inputs));
  expect(owners.size).toBeGreaterThan(90);
  for (const folder of owners.keys()) {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) as Record<string, string>;
    const text = sections.get(`${name} ${version} (${license})`) ?? "";
    expect(text, name).toMatch(/permission|redistribution|Apache License/i);
    expect(text.length, name).toBeGreaterThan(500);
    for (const file of readdirSync(join(root, folder)).filter((one) => /^(licen[cs]e|notice|copying|third)/i.test(one))) {
      expect(text, `${name}/${file}`).toContain(
        readFileSync(join(root, folder, file), "utf8")
          .replaceAll("\r\n", "\n")
          .trim(),
      );
    }
  }
  expect(noticesOf(packagesOf(Object.keys(inputs)))).toBe(notices);
});

test("a package that copied code from another names it, and so do the notices", async () => {
  const { inputs } = await bundle("dist", { isWritten: false });
  const found: string[] = [];
  for (const input of Object.keys(inputs).filter((one) => one.includes("node_modules/"))) {
    const words = /(?:adapted|ported|copied|taken|borrowed|vendored|derived) from (?:https?:|PostgreSQL)/i;
    if (words.test(readFileSync(join(root, input), "utf8"))) found.push(input.replace(/^.*node_modules\//, ""));
  }
  // Brian Carlson's own: the licence of pg-connection-string names him, as that of pg does.
  const own = ["pg-connection-string/index.js"];
  expect(found.sort()).toEqual([...copiedCode.map(({ inside, file }) => `${inside}/${file}`), ...own].sort());
  const notices = readFileSync(join(root, "dist/THIRD_PARTY_NOTICES"), "utf8");
  for (const { what, text } of copiedCode) expect(notices.includes(what) && notices.includes(text.trim()), what).toBe(true);
});

const manifest = (more: object = {}) => JSON.stringify({ name: "a", version: "1.2.3", license: "MIT", ...more });
const license = "MIT License\n\nCopyright (c) Ada\n\nPermission is hereby granted, free of charge, to any person";

test("a package without a licence text, or without one in its manifest, ends the build", ({ folder }) => {
  const input = join(folder, "node_modules/a/index.js");
  write(folder, { "node_modules/a/index.js": "", "node_modules/a/package.json": manifest() });
  expect(() => packagesOf([input])).toThrow(/a 1\.2\.3 ships no licence/);
  write(folder, { "node_modules/a/LICENSE": "see the web" });
  expect(() => packagesOf([input])).toThrow(/a 1\.2\.3 ships no licence/);
  write(folder, { "node_modules/a/LICENSE": license });
  expect(packagesOf([input])).toEqual([{ name: "a", version: "1.2.3", license: "MIT", texts: [license] }]);
  write(folder, { "node_modules/a/package.json": manifest({ license: undefined }) });
  expect(() => packagesOf([input])).toThrow(/ships no licence/);
  write(folder, { "node_modules/a/package.json": "{}" });
  expect(() => packagesOf([input])).toThrow(/no package with a name and a version/);
});

test("notices beside the licence, a licence in the README, packages within packages, stubs that are none, each once", ({ folder }) => {
  write(folder, {
    "node_modules/a/dist/esm/index.js": "",
    "node_modules/a/dist/esm/package.json": '{"type":"module"}',
    "node_modules/a/package.json": manifest(),
    "node_modules/a/README.md": `# a\n\ntext\n\n## License\n\n${license}\n`,
    "node_modules/a/node_modules/@s/b/index.js": "",
    "node_modules/a/node_modules/@s/b/package.json": manifest({ name: "@s/b", license: "Apache-2.0" }),
    "node_modules/a/node_modules/@s/b/LICENCE.txt": license,
    "node_modules/a/node_modules/@s/b/NOTICE": "Notice of b",
    "node_modules/c/node_modules/@s/b/index.js": "",
    "node_modules/c/node_modules/@s/b/package.json": manifest({ name: "@s/b", license: "Apache-2.0" }),
    "node_modules/c/node_modules/@s/b/LICENCE.txt": license,
  });
  const inputs = ["a/dist/esm/index.js", "c/node_modules/@s/b/index.js", "a/node_modules/@s/b/index.js"];
  const packages = packagesOf([...inputs.map((input) => join(folder, "node_modules", input)), "src/cli/main.ts"]);
  expect(packages).toEqual([
    { name: "@s/b", version: "1.2.3", license: "Apache-2.0", texts: [license, "Notice of b"] },
    { name: "a", version: "1.2.3", license: "MIT", texts: [license] },
  ]);
});

test("npm packs the program, the notices, the schema, the pages and the templates, and nothing of the sources", () => {
  const packed = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, encoding: "utf8" });
  const [{ files, name }] = JSON.parse(packed) as [{ name: string; files: { path: string; size: number }[] }];
  const paths = files.map(({ path }) => path);
  const sources = (folder: string): string[] =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name: file }) => join(parentPath, file).slice(root.length + 1));
  const templates = sources("templates").filter((path) => !/node_modules|__pycache__|\.venv/.test(path));
  for (const path of [...templates, "LICENSE", "README.md", "CHANGELOG.md", "package.json", "bin/passwordless-pg.js"])
    expect(paths).toContain(path);
  for (const path of ["main.js", "daemon.js", "THIRD_PARTY_NOTICES", "passwordless-pg.schema.json"])
    expect(paths).toContain(`dist/${path}`);
  expect(files.find(({ path }) => path === "dist/THIRD_PARTY_NOTICES")?.size).toBeGreaterThan(50_000);
  expect(paths.filter((path) => !/^(bin|dist|docs|templates)\/|^(LICENSE|README\.md|CHANGELOG\.md|package\.json)$/.test(path))).toEqual([]);
  expect(name).toBe("passwordless-pg");
  expect(existsSync(join(root, "dist/chunks"))).toBe(true);
});
