import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect } from "vitest";
import { listFiles } from "../../src/package/list-files.ts";
import { test, write } from "./temporary-folder.ts";

const paths = async (folder: string) => (await listFiles(folder)).files.map(({ path }) => path);
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
    "passwordless-pg.schema.json": "{}",
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

test.for([
  ["a/*", "!x y", "a/x y/deep/f"],
  ["a/**/b", "!c/b", "a/c/b/d/f"],
  ["a/*", "!\\[x\\]*", "a/[x]*/deep/f"],
] as const)("a folder that an inner ignore file brings back is whole: %s, %s", async ([outer, inner, kept], { folder }) => {
  write(folder, { ".gitignore": `${outer}\n`, "a/.gitignore": `${inner}\n`, "main.js": "", [kept]: "" });
  execFileSync("git", ["-C", folder, "init", "-q"]);
  const git = execFileSync("git", ["-C", folder, "ls-files", "-coz", "--exclude-standard"], { encoding: "utf8" });
  expect(await paths(folder)).toContain(kept);
  expect(new Set(await paths(folder))).toEqual(new Set(git.split("\0").filter(Boolean)));
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
  const found = await listFiles(folder);
  expect(found.files).toMatchObject([
    { path: "b.js", size: 5 },
    { path: "linked/a.js", size: 5 },
    { path: "main.js", size: 0 },
    { path: "shared/a.js", size: 5 },
  ]);
  expect(found.credentials).toEqual([".env", "settings.txt"]);
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

// trap: kudu 8
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

const CREDENTIALS = [
  ...[".env", ".env.local", ".env-prod", ".env_test", "prod.env", "app.env.staging", "env.production", ".envrc", ".flaskenv", ".env.json"],
  ...[".git-credentials", ".netrc", "_netrc", ".pgpass", ".pypirc", ".htpasswd", "local.settings.json", ".my.cnf", ".vault-token"],
  ...["local.settings.dev.json", "local_settings.json", ".pgpass.local", "dotenv", "_env", "tfplan", "rclone.conf", ".dockerconfigjson"],
  ...["terraform.tfstate", "terraform.tfstate.backup", "terraform.tfstate.1700000000.backup", "prod.tfvars", "site.PublishSettings"],
  ...[".aws/credentials", ".ssh/id_ed25519", ".ssh/config", ".kube/config", ".docker/config.json", ".azure/msal_token_cache.json"],
  ...[".config/gcloud/credentials.db", ".config/gh/hosts.yml", ".terraform/terraform.tfstate", ".gnupg/secring.gpg", ".bash_history"],
  ...[".envs/.production/.django", ".cargo/credentials.toml"],
];
/** What editors, shells, file managers and other systems make of a name. */
const SPELLINGS: readonly ((name: string) => string)[] = [
  (name) => name,
  (name) => name.toUpperCase(),
  (name) => name.replace(/[a-z]/, (letter) => letter.toUpperCase()),
];
const COPIES = ["~", ".bak", ".old", ".orig", ".swp", ".save", " copy", " (1)", " 2", ".bak.2", "-backup"];
const folderOf = (name: string) => (name.includes("/") ? name.slice(0, name.indexOf("/") + 1) : name);

test.for(CREDENTIALS)("%s stays out in any case, at any depth, as a copy, under another name, and it is said", async (name, { folder }) => {
  for (const depth of ["", "src/", "a/b/c/"]) {
    const names = SPELLINGS.map((spell) => spell(name));
    if (!name.includes("/")) names.push(...COPIES.map((mark) => name + mark), `#${name}#`, `Copy of ${name}`);
    for (const spelled of new Set(names)) {
      rmSync(folder, { recursive: true, force: true });
      write(folder, { "main.py": "", ".webappignore": "!**\n", [depth + spelled]: "x" });
      mkdirSync(join(folder, "links"));
      symlinkSync(`../${depth}${spelled}`, join(folder, "links/settings.txt"));
      const { files, credentials } = await listFiles(folder);
      expect(
        files.map(({ path }) => path),
        depth + spelled,
      ).toEqual([".webappignore", "main.py"]);
      expect(credentials).toHaveLength(2);
      expect(credentials).toContain("links/settings.txt");
      const left = credentials.find((path) => path !== "links/settings.txt") ?? "";
      expect(depth + spelled).toMatch(new RegExp(`^${left.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`));
      expect(left.length).toBeGreaterThanOrEqual((depth + folderOf(spelled)).length);
    }
  }
});

test("what only looks like credentials by its name goes in", async ({ folder }) => {
  const files = [
    ...[".env.example", ".env.sample", ".env.template", ".env.dist", ".env.local.example", "example.env", "env.js", "next-env.d.ts"],
    ...["src/env.ts", "environment.py", "environments/production.py", "dotenv.py", "env/settings.py", ".npmrc", ".dockerignore"],
    ...[
      ".docker/nginx.conf",
      ".config/app.toml",
      "config/azure/app.py",
      "tfstate.py",
      "aws/client.py",
      "ssh.js",
      "history.py",
      "id_rsa.pub",
    ],
    ...[
      "environment",
      "venv.py",
      "kube/deployment.yaml",
      "config.json",
      "contexts/user.js",
      "local.settings.example.json",
      "vite-env.d.ts",
    ],
  ];
  write(folder, Object.fromEntries(files.map((file) => [file, ""])));
  expect(await paths(folder)).toEqual([...files].sort());
  expect((await listFiles(folder)).credentials).toEqual([]);
});

test("credentials that an ignore file names are no news", async ({ folder }) => {
  write(folder, { "main.py": "", ".gitignore": ".env\n/.aws/\n", ".env": "", ".aws/config": "", "sub/prod.env": "" });
  expect((await listFiles(folder)).credentials).toEqual(["sub/prod.env"]);
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
