import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect } from "vitest";
import { listFiles } from "../../src/package/list-files.ts";
import { test, write } from "./temporary-folder.ts";

const paths = async (folder: string) => (await listFiles(folder)).map(({ path }) => path);
const refusal = (message: RegExp) => expect.objectContaining({ code: "deploy/package-invalid", message: expect.stringMatching(message) });

test("leaves out secrets, caches and dependencies even when an ignore file asks for them", async ({ folder }) => {
  write(folder, {
    "main.py": "",
    ".env.example": "",
    ".webappignore": "!.env\n!node_modules\n!*.pyc\n",
    ".env": "",
    "config/.env": "",
    ".env.local": "",
    "node_modules/a/index.js": "",
    "web/node_modules/a/index.js": "",
    "__pycache__/main.pyc": "",
    "main.pyc": "",
    ".venv/bin/python": "",
    "antenv/x": "",
    "my-environment/pyvenv.cfg": "",
    "my-environment/lib/x.py": "",
    ".git/HEAD": "",
    ".azure/config": "",
    ".DS_Store": "",
    "passwordless-pg.json": "{}",
  });
  expect(await paths(folder)).toEqual([".env.example", ".webappignore", "main.py"]);
});

test("reads nested ignore files; .webappignore has the last word", async ({ folder }) => {
  write(folder, {
    ".gitignore": "dist/\n*.log\n",
    ".webappignore": "!dist/\nREADME.md\n/tests\n",
    "app.js": "",
    "a.log": "",
    "README.md": "",
    "docs/README.md": "",
    "dist/bundle.js": "",
    "tests/x.js": "",
    "sub/tests/x.js": "",
    "sub/.gitignore": "!keep.log\n/here.js\n",
    "sub/keep.log": "",
    "sub/other.log": "",
    "sub/here.js": "",
    "sub/deep/here.js": "",
  });
  expect(await paths(folder)).toEqual([
    ".gitignore",
    ".webappignore",
    "app.js",
    "dist/bundle.js",
    "sub/.gitignore",
    "sub/deep/here.js",
    "sub/keep.log",
    "sub/tests/x.js",
  ]);
});

test("sorts by bytes, whatever the language", async ({ folder }) => {
  write(folder, { "b.js": "", "B.js": "", "é.js": "", "z.js": "", "a/x.js": "", "a.js": "", "\u{1F600}.js": "", "\uFF5E.js": "" });
  const found = await paths(folder);
  expect(found).toEqual([...found].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right))));
  expect(found.slice(0, 3)).toEqual(["B.js", "a.js", "a/x.js"]);
});

test("follows links inside the app only", async ({ folder }) => {
  write(folder, { "shared/a.js": "12345", "main.js": "", ".env": "SECRET=1" });
  symlinkSync("shared", join(folder, "linked"));
  symlinkSync("shared/a.js", join(folder, "b.js"));
  symlinkSync(".env", join(folder, "settings.txt"));
  expect(await listFiles(folder)).toMatchObject([
    { path: "b.js", size: 5 },
    { path: "linked/a.js", size: 5 },
    { path: "main.js", size: 0 },
    { path: "shared/a.js", size: 5 },
  ]);
});

test.for([
  ["outside the app", "/etc/hostname", /x is a link to a place outside/],
  ["a loop", "..", /x is a link to a folder that it lies in|outside/],
  ["nowhere", "missing", /x: could not follow the link/],
] as const)("refuses a link to %s, unless it is ignored", async ([, target, message], { folder }) => {
  write(folder, { "main.js": "", "sub/a.js": "" });
  symlinkSync(target, join(folder, "sub/x"));
  await expect(listFiles(folder)).rejects.toThrow(refusal(message));
  write(folder, { ".webappignore": "sub/x\n" });
  expect(await paths(folder)).toEqual([".webappignore", "main.js", "sub/a.js"]);
});

test("refuses special files, names no archive can hold, and folders without an app", async ({ folder }) => {
  await expect(listFiles(join(folder, "absent"))).rejects.toThrow(refusal(/absent: could not read the folder/));
  await expect(listFiles(folder)).rejects.toThrow(refusal(/holds nothing to deploy/));
  write(folder, { "README.md": "", ".gitignore": "" });
  await expect(listFiles(folder)).rejects.toThrow(refusal(/holds nothing to deploy/));
  write(folder, { "a\\b.js": "" });
  await expect(listFiles(folder)).rejects.toThrow(refusal(/has a backslash/));
  rmSync(join(folder, "a\\b.js"));
  execFileSync("mkfifo", [join(folder, "pipe")]);
  await expect(listFiles(folder)).rejects.toThrow(refusal(/pipe is neither a file/));
});

const segment = fc.constantFrom("a", "b", "c", "a.log", "b.txt", "build", "x y", "ü");
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join("/"));
const pattern = fc.oneof(
  fc.constantFrom(
    "*.log",
    "build/",
    "/build",
    "a/**/b",
    "**/c",
    "a/*",
    "!a/b",
    "!*.log",
    "b.*",
    "[ab]",
    "?",
    "# note",
    "",
    "x\\ y",
    "!build/",
    "/a/b/",
  ),
  path,
  path.map((one) => `!${one}`),
);

test("ignores exactly what git ignores", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(path, { minLength: 1, maxLength: 12 }),
      fc.array(pattern, { maxLength: 5 }),
      fc.array(pattern, { maxLength: 4 }),
      async (files, rules, nestedRules) => {
        const folder = mkdtempSync(join(tmpdir(), "ignore-test-"));
        try {
          // A path that is a folder of another one cannot be a file too.
          const leaves = files.filter((one) => !files.some((other) => other.startsWith(`${one}/`)));
          write(folder, { ".gitignore": rules.join("\n"), "main.py": "", ...Object.fromEntries(leaves.map((leaf) => [`${leaf}/f`, ""])) });
          mkdirSync(join(folder, "a"), { recursive: true });
          write(folder, { "a/.gitignore": nestedRules.join("\n") });
          const git = (...args: string[]) => execFileSync("git", ["-C", folder, ...args], { encoding: "utf8" });
          git("init", "-q");
          const expected = git("ls-files", "-coz", "--exclude-standard").split("\0").filter(Boolean);
          expect(new Set(await paths(folder))).toEqual(new Set(expected));
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      },
    ),
    { numRuns: 40 },
  );
}, 60_000);
