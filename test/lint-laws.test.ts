import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { describe, expect, test } from "vitest";

// Every law that `biome.json` lays down, broken once: a pattern that matches nothing looks like one that is kept.

const root = resolve(import.meta.dirname, "..");

const floor = ["advice", "base", "cloud", "engine", "logs", "package", "project"];
/** Each may import those before it. */
const upper = ["steps", "removal", "checks", "hosts", "graph", "cli"];
/** What a file of each folder may import from others, by hand: `biome.json` says the opposite, what it may not. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(floor.map((folder) => [folder, folder === "base" ? [] : ["base"]])),
  ...Object.fromEntries(upper.map((folder, index) => [folder, [...floor, ...upper.slice(0, index)]])),
  "cli/commands/local.ts": [...floor, ...upper, "emulator"],
  "cli/local/local-hints.ts": [...floor, ...upper, "emulator"],
  // Its machines have a room `build` of their own, which a pattern cannot tell from the folder of that name.
  emulator: ["base", "build"],
  build: [],
};
const folders = Object.keys(mayImport).filter((name) => !name.includes("/"));

test("every folder under src has a law", () => {
  const found = readdirSync(join(root, "src"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(folders).toEqual(expect.arrayContaining(found.map(({ name }) => name)));
});

describe("imports", () => {
  const targets = [...folders, "test"];
  const files = Object.keys(mayImport).flatMap((name) =>
    name.endsWith(".ts") ? [name] : [`${name}/planted.ts`, `${name}/room/planted.ts`],
  );
  const forms = [
    (path: string, index: number) => `import { a${index} } from "${path}";`,
    (path: string, index: number) => `import type { b${index} } from "${path}";`,
    (path: string, index: number) => `export const c${index} = () => import("${path}");`,
  ];
  const planted = Object.fromEntries(
    files.map((file) => {
      const up = "../".repeat(file.split("/").length - 1);
      return [
        `src/${file}`,
        targets.flatMap((target, index) => forms.map((form) => form(`${up}${target}/room/file.ts`, index))).join("\n"),
      ];
    }),
  );
  const complaints = lint(planted).filter(({ category }) => category === "lint/style/noRestrictedImports");

  test.for(files)("src/%s may import what its folder may, in no form more", (file) => {
    const folder = file.split("/")[0] ?? "";
    const allowed = mayImport[file] ?? mayImport[folder] ?? [];
    const others = targets.filter((target) => target !== folder);
    const lines = complaints.filter(({ path }) => path === `src/${file}`).map(({ line }) => targets[Math.floor((line - 1) / forms.length)]);
    const refused = others.filter((target) => !allowed.includes(target)).flatMap((target) => forms.map(() => target));
    // One's own folder is not imported by its name.
    expect(lines.filter((target) => target !== folder).sort()).toEqual(refused.sort());
  });
});

describe("the process", () => {
  const uses = [
    "process.env.HOME",
    "process.exit(1)",
    "process.stdout.end()",
    "process.stderr.end()",
    "process.stdin.read()",
    "process.pid",
  ];
  const complaintsIn = (file: string): (string | undefined)[] =>
    lint({ [file]: uses.map((use, index) => `export const a${index} = () => ${use};`).join("\n") }).map(({ line }) => uses[line - 1]);

  test("its environment is read in cli alone", () => {
    expect(complaintsIn("src/cloud/planted.ts")).toContain("process.env.HOME");
    expect(complaintsIn("src/cli/planted.ts")).not.toContain("process.env.HOME");
  });

  test("nobody but those who run it touches its streams and its end", () => {
    for (const file of ["src/cloud/planted.ts", "src/cli/commands/planted.ts", "src/emulator/machines/planted.ts"]) {
      expect(complaintsIn(file).filter((use) => use !== "process.env.HOME")).toEqual(uses.slice(1, 5));
    }
  });

  test("each file that is let off needs it", () => {
    const config = JSON.parse(readFileSync(join(root, "biome.json"), "utf8")) as Config;
    const law = config.overrides.find(({ plugins }) => plugins !== undefined);
    const letOff = (law?.includes ?? []).filter((path) => path.startsWith("!")).map((path) => path.slice(1));
    expect(letOff).not.toEqual([]);
    if (law) law.includes = ["src/**"];
    const found = lint(Object.fromEntries(letOff.map((file) => [file, readFileSync(join(root, file), "utf8")])), config);
    const needing = new Set(found.filter(({ category }) => category === "plugin").map(({ path }) => path));
    expect([...needing].sort()).toEqual(letOff.sort());
  });
});

interface Config {
  overrides: { includes: string[]; plugins?: string[] }[];
}

interface Complaint {
  readonly category: string;
  readonly path: string;
  /** From 1. */
  readonly line: number;
}

/** What biome says of these files (path → text) under the project's configuration, or another. */
function lint(files: Readonly<Record<string, string>>, config?: Config): readonly Complaint[] {
  const folder = mkdtempSync(join(tmpdir(), "ppg-lint-"));
  try {
    if (config) writeFileSync(join(folder, "biome.json"), JSON.stringify(config));
    else copyFileSync(join(root, "biome.json"), join(folder, "biome.json"));
    cpSync(join(root, "test/support/lint"), join(folder, "test/support/lint"), { recursive: true });
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    const biome = join(root, "node_modules/@biomejs/biome/bin/biome");
    const options = ["lint", "--vcs-enabled=false", "--reporter=json", "--max-diagnostics=none"];
    const { stdout, stderr } = spawnSync(process.execPath, [biome, ...options], { cwd: folder, encoding: "utf8" });
    if (!stdout.startsWith("{")) throw new Error(stderr);
    const { diagnostics } = JSON.parse(stdout) as {
      diagnostics: { category: string; location: { path: string; start: { line: number } } }[];
    };
    return diagnostics.map(({ category, location }) => ({ category, path: location.path, line: location.start.line }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
