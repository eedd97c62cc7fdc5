import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { factsPages, untestedRecordings } from "./catalogue.ts";
import { type TaggedTest, taggedTests } from "./trap-tags.ts";

// A promise that nobody checks is none: the page is made of the tests themselves. `UPDATE=1` writes it.

const page = new URL("traps.md", import.meta.url);
const tests = taggedTests(new URL("..", import.meta.url).pathname);
const sides = ["client", "emulator"] as const;
const kept = ["appservice", "postgres", "servicelinker"].flatMap((folder) =>
  readdirSync(new URL(`../fixtures/recorded/${folder}`, import.meta.url)).map((file) => `${folder}/${file.replace(/\.json$/, "")}`),
);
const recordings = [...new Set([...kept, ...Object.keys(untestedRecordings)])].sort();

/** What a cell of the page says: the tests, or the reason why there is none. */
function cellOf(found: readonly TaggedTest[], reason: string | undefined): string {
  const named = found.map(({ file, title, row }) => `\`${file}\` › ${title}${row === undefined ? "" : ` [${row}]`}`);
  return [...named, ...(reason === undefined ? [] : [`not tested: ${reason}`])].join("<br>") || "–";
}

const testsOfTrap = (tag: string, side: TaggedTest["side"]): TaggedTest[] =>
  tests.filter((one) => (one.traps.includes(tag) && one.side === side) || one.traps.includes(`${tag} ${side}`));

/** The first that names it: one is enough to find it. */
function testOfRecording(recording: string, side: TaggedTest["side"]): TaggedTest[] {
  const name = recording.split("/").at(-1) ?? "";
  const names = [name, recording, `../fixtures/recorded/${recording}.json`];
  return tests.filter((one) => one.side === side && names.some((text) => one.texts.has(text))).slice(0, 1);
}

function pageText(): string {
  const head = `# Traps of real Azure, and the tests that hold them

Made by \`UPDATE=1 npx vitest run --project emulator test/traps/traps.test.ts\`: a comment above a test (or above one of its rows) names the trap, \`// trap: postgres 12\`.
*Client* is what runs against Azure, played or local; *emulator* is local Azure, which must set the same trap. \`–\` means that the trap has no such side;
\`[…]\` is the row of a test that has many. Functions (functions.md) and scaling (scaling.md): not in this version.`;
  const tables = factsPages.map(({ key, title, traps }) => {
    const rows = traps.map((trap, index) => {
      const cells = sides.map((side) => cellOf(testsOfTrap(`${key} ${index + 1}`, side), trap[side]));
      return `| ${index + 1} | ${trap.trap} | ${cells.join(" | ")} |`;
    });
    return `## ${title}\n\n| # | trap | client | emulator |\n| --- | --- | --- | --- |\n${rows.join("\n")}`;
  });
  const rows = recordings.map((name) => {
    const cells = sides.map((side) => cellOf(testOfRecording(name, side), untestedRecordings[name]?.[side]));
    return `| \`${name}\` | ${cells.join(" | ")} |`;
  });
  const last = `## Recordings (recorded answers of real Azure)\n\n| recording | client parses it | emulator has its shape |\n| --- | --- | --- |\n${rows.join("\n")}`;
  return `${[head, ...tables, last].join("\n\n")}\n`;
}

describe("traps.md", () => {
  // How many traps each facts page lists.
  test.each([
    ["postgres", 40],
    ["kudu", 15],
    ["appservice", 18],
    ["servicelinker", 20],
    ["passwordless-flow", 12],
  ])("has all traps of %s, each with a test or a reason", (key, count) => {
    const traps = factsPages.find((one) => one.key === key)?.traps ?? [];
    expect(traps).toHaveLength(count);
    const bare = traps.filter((trap, index) => {
      const tag = `${key} ${index + 1}`;
      return !sides.some((side) => trap[side] !== undefined || testsOfTrap(tag, side).length > 0);
    });
    expect(bare).toEqual([]);
    expect(traps.filter(({ trap }) => trap.split(/\s+/).length > 15)).toEqual([]);
  });

  test("every tag names a trap", () => {
    const known = new Set(factsPages.flatMap(({ key, traps }) => traps.map((_, index) => `${key} ${index + 1}`)));
    const tags = tests.flatMap(({ traps }) => traps);
    expect(tags.length).toBeGreaterThan(150);
    expect(tags.filter((tag) => !known.has(tag.replace(/ (client|emulator)$/, "")))).toEqual([]);
  });

  test.each(recordings)("recording %s is used by a test of each side, or there is a reason", (name) => {
    for (const side of sides) {
      expect(testOfRecording(name, side).length === 0, `${name}: ${side}`).toBe(untestedRecordings[name]?.[side] !== undefined);
    }
  });

  test("is as the tests say", () => {
    if (process.env.UPDATE) writeFileSync(page, pageText());
    expect(readFileSync(page, "utf8")).toBe(pageText());
  });
});
