import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

// `traps.md` promises a test for each trap of the facts pages. A promise that nobody checks is none.

interface Cell {
  /** `file › title` or `file › title [row]`. */
  readonly tests: readonly { readonly file: string; readonly title: string; readonly row: string | undefined }[];
  readonly reasons: readonly string[];
}

interface Row {
  readonly key: string;
  readonly trap: string;
  readonly cells: readonly Cell[];
}

const TEST = /^`([^`]+)` › (.+?)(?: \[([^\]]+)\])?$/;

function cellOf(text: string): Cell {
  const parts = text.split("<br>").filter((part) => part !== "–");
  const tests = parts.flatMap((part) => {
    const [, file, title, row] = TEST.exec(part) ?? [];
    return file && title ? [{ file, title, row }] : [];
  });
  const reasons = parts.flatMap((part) => /^not tested: (.+)$/.exec(part)?.[1] ?? []);
  if (tests.length + reasons.length !== parts.length) throw new Error(`neither a test nor a reason: ${text}`);
  return { tests, reasons };
}

/** Rows of each table, by the first word of its heading's parentheses (`postgres.md`, `recorded`). */
function tables(): Map<string, Row[]> {
  const found = new Map<string, Row[]>();
  let rows: Row[] = [];
  for (const line of readFileSync(new URL("traps.md", import.meta.url), "utf8").split("\n")) {
    const page = /^## .*\(([\w.-]+)/.exec(line)?.[1];
    if (page) {
      rows = [];
      found.set(page, rows);
    }
    const columns = /^\| (?!#|---|recording)(.*) \|$/.exec(line)?.[1]?.split(" | ");
    if (!columns) continue;
    const [key = "", ...rest] = columns;
    const cells = rest.slice(-2).map(cellOf);
    rows.push({ key: key.replaceAll("`", ""), trap: rest.length > 2 ? (rest[0] ?? "") : "", cells });
  }
  return found;
}

const all = tables();
const sources = new Map<string, string>();

function sourceOf(file: string): string {
  const known = sources.get(file) ?? readFileSync(new URL(`../${file}`, import.meta.url), "utf8");
  sources.set(file, known);
  return known;
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** Is there a test of this very title, and does the file speak of the row? */
function problemOf({ file, title, row }: Cell["tests"][number]): string | undefined {
  if (!existsSync(new URL(`../${file}`, import.meta.url))) return `there is no file ${file}`;
  const source = sourceOf(file);
  const literal = `(?:${escaped(JSON.stringify(title))}|'${escaped(title)}')`;
  if (!new RegExp(`\\(\\s*${literal}\\s*,`).test(source)) return `${file} has no test "${title}"`;
  if (row !== undefined && !source.includes(JSON.stringify(row))) return `${file} has no row "${row}"`;
  return undefined;
}

describe("traps.md", () => {
  // How many traps each facts page lists.
  test.each([
    ["postgres.md", 40],
    ["kudu.md", 15],
    ["appservice.md", 18],
    ["servicelinker.md", 20],
    ["passwordless-flow.md", 12],
  ])("has all traps of %s, in order, each with a test or a reason", (page, count) => {
    const rows = all.get(page) ?? [];
    expect(rows.map(({ key }) => key)).toEqual(Array.from({ length: count }, (_, index) => String(index + 1)));
    for (const { key, trap, cells } of rows) {
      expect(trap.split(/\s+/).length, `${page} ${key}`).toBeLessThanOrEqual(15);
      expect(
        cells.reduce((sum, { tests, reasons }) => sum + tests.length + reasons.length, 0),
        `${page} ${key}`,
      ).toBeGreaterThan(0);
    }
  });

  test("names only tests that exist", () => {
    const named = [...all.values()].flat().flatMap(({ cells }) => cells.flatMap(({ tests }) => tests));
    expect(named.length).toBeGreaterThan(150);
    expect([...new Set(named.map(problemOf).filter((problem) => problem !== undefined))]).toEqual([]);
  });

  test("has every recording, and the tests it names use it", () => {
    const rows = all.get("recorded") ?? [];
    const kept = ["appservice", "postgres", "servicelinker"].flatMap((folder) =>
      readdirSync(new URL(`../fixtures/recorded/${folder}`, import.meta.url)).map((file) => `${folder}/${file.replace(/\.json$/, "")}`),
    );
    expect(rows.map(({ key }) => key)).toEqual(expect.arrayContaining(kept));
    for (const { key, cells } of rows) {
      const name = key.split("/").at(-1) ?? "";
      for (const [index, { tests, reasons }] of cells.entries()) {
        const side = index === 0 ? "client" : "emulator";
        expect(tests.length + reasons.length, `${key}: ${side}`).toBe(1);
        for (const { file } of tests) expect(sourceOf(file).includes(name), `${key} in ${file}`).toBe(true);
      }
    }
  });
});
