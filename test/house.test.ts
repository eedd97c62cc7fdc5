import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { unitFolders } from "../vitest.config.ts";

// Sizes of the house. They are told in full when a limit is passed, so that one sees what to split.

const src = resolve(import.meta.dirname, "../src");

/** Lines of a file, of nine functions in ten (closures with all that is in them), and of any function without those inside it. */
const FILE_LINES = 400;
const P90_LINES = 30;
const FUNCTION_LINES = 60;

/** Over the limit today. The lists only get shorter: an entry that is not needed any more fails as well. */
const LONG_FILES: readonly string[] = [];
const LONG_FUNCTIONS: readonly string[] = ["cloud/database/extra-grants.ts extraGrants"];

interface Measured {
  /** `cloud/sql.ts connectSql` */
  readonly name: string;
  readonly lines: number;
}

interface MeasuredFunction extends Measured {
  /** Without the functions inside: what returns an adapter is long, and not deep. */
  readonly ownLines: number;
}

const paths = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .sort();
const files = paths.map((path) => ({ path, text: readFileSync(join(src, path), "utf8") }));
const sizes: readonly Measured[] = files.map(({ path, text }) => ({ name: path, lines: text.trimEnd().split("\n").length }));
const functions: readonly MeasuredFunction[] = files.flatMap(({ path, text }) => functionsOf(path, text));

/** Every function with a body, closures too. */
function functionsOf(path: string, text: string): MeasuredFunction[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true);
  const line = (position: number): number => source.getLineAndCharacterOfPosition(position).line;
  const found: MeasuredFunction[] = [];
  /** Answers the lines that the outermost functions below a node take. */
  const visit = (node: ts.Node): number => {
    let inside = 0;
    ts.forEachChild(node, (child) => {
      inside += visit(child);
    });
    if (!ts.isFunctionLike(node) || !("body" in node) || !node.body) return inside;
    const lines = line(node.getEnd()) - line(node.getStart(source)) + 1;
    found.push({ name: `${path} ${nameOf(node)}`, lines, ownLines: Math.max(1, lines - inside) });
    return lines;
  };
  visit(source);
  return found;
}

/** Its own name, else that of what holds it. */
function nameOf(node: ts.Node): string {
  const named = (ts.isFunctionLike(node) || ts.isVariableDeclaration(node) || ts.isPropertyAssignment(node)) && node.name;
  if (named) return named.getText();
  return node.parent && !ts.isSourceFile(node.parent) ? nameOf(node.parent) : "(none)";
}

function p90(measured: readonly Measured[]): number {
  const lines = measured.map((one) => one.lines).sort((a, b) => a - b);
  return lines[Math.ceil(lines.length * 0.9) - 1] ?? 0;
}

const longest = (measured: readonly Measured[]): string =>
  [...measured]
    .sort((a, b) => b.lines - a.lines)
    .slice(0, 15)
    .map(({ name, lines }) => `${lines} ${name}`)
    .join("\n");

test(`no file is longer than ${FILE_LINES} lines`, () => {
  const long = sizes.filter(({ lines }) => lines > FILE_LINES);
  expect(long.map(({ name }) => name).sort(), longest(sizes)).toEqual([...LONG_FILES].sort());
});

test(`no function is longer than ${FUNCTION_LINES} lines`, () => {
  const own = functions.map(({ name, ownLines }) => ({ name, lines: ownLines }));
  const long = own.filter(({ lines }) => lines > FUNCTION_LINES);
  expect(long.map(({ name }) => name).sort(), longest(own)).toEqual([...LONG_FUNCTIONS].sort());
});

describe(`nine functions in ten are no longer than ${P90_LINES} lines`, () => {
  test.for([...new Set(paths.map((path) => path.split("/")[0] ?? ""))])("src/%s", (folder) => {
    const own = functions.filter(({ name }) => name.startsWith(`${folder}/`));
    expect(p90(own), longest(own)).toBeLessThanOrEqual(P90_LINES);
  });
});

test("files are named after what they hold, in kebab-case", () => {
  const wrong = paths.filter(
    (path) =>
      !/^[a-z0-9]+(-[a-z0-9]+)*\.ts$/.test(basename(path)) || /^(utils?|helpers?|types|common|misc|index)\.ts$/.test(basename(path)),
  );
  expect(wrong).toEqual([]);
});

/** The files by which `file` comes to a wanted one, itself first. Imports of types count; what a function loads later does not. */
function chainTo(isWanted: (file: string) => boolean, file: string, seen = new Set<string>()): readonly string[] | undefined {
  if (isWanted(file)) return [file];
  if (seen.has(file) || !file.endsWith(".ts")) return undefined;
  seen.add(file);
  for (const imported of importsOf(file)) {
    const chain = chainTo(isWanted, imported, seen);
    if (chain) return [file, ...chain];
  }
  return undefined;
}

/** The files that the `import` and `export … from` of a file name. */
function importsOf(file: string): readonly string[] {
  const { statements } = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.ESNext);
  const named = statements.flatMap((one) =>
    ts.isImportDeclaration(one) || ts.isExportDeclaration(one) ? (one.moduleSpecifier ?? []) : [],
  );
  return named.flatMap((one) => (ts.isStringLiteral(one) && one.text.startsWith(".") ? resolve(dirname(file), one.text) : []));
}

describe("a test of the project unit reaches no part of local Azure", () => {
  const tests = readdirSync(import.meta.dirname, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".test.ts"));
  const isLocalAzure = (file: string): boolean =>
    file.startsWith(join(src, "emulator/")) || file === join(import.meta.dirname, "support/emulator.ts");

  test.for(tests.filter((path) => !path.includes("/") || unitFolders.includes(path.split("/")[0] ?? "")))("test/%s", (path) => {
    expect(chainTo(isLocalAzure, join(import.meta.dirname, path))).toBeUndefined();
  });

  test("one that does is found, with what lies between", () => {
    const chain = chainTo(isLocalAzure, join(import.meta.dirname, "steps/steps.test.ts"));
    const names = chain?.map((file) => relative(import.meta.dirname, file)) ?? [];
    expect([names[0], names.at(-1)]).toEqual(["steps/steps.test.ts", "support/emulator.ts"]);
  });
});

test("the measure counts lines, closures and names", () => {
  const text = "export const a = () => {\n  const b = function () {\n    return 1;\n  };\n  return { c() { return b; } };\n};\n";
  expect(functionsOf("x.ts", text)).toEqual([
    { name: "x.ts b", lines: 3, ownLines: 3 },
    { name: "x.ts c", lines: 1, ownLines: 1 },
    { name: "x.ts a", lines: 6, ownLines: 2 },
  ]);
});
