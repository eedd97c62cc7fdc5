import { join } from "node:path";
import { expect, it } from "vitest";
import { namesIn, type SqlText, sqlTextsOf } from "../../support/sql-texts.ts";

const client = sqlTextsOf(join(import.meta.dirname, "../../../src/cloud"));

const isLoose = (name: readonly string[]): boolean => name.length !== 2 || name[0] !== "pg_catalog";

/** Names that another schema of the search path could answer to. */
async function looseNamesIn({ text }: SqlText): Promise<string[]> {
  const { functions, relations, objects } = await namesIn(text);
  return [
    ...functions.map(({ name }) => name).filter(isLoose),
    ...relations.filter(isLoose),
    ...objects.filter((name) => !/^(pg_catalog\.|(?:public|pg_catalog)$)/.test(name)).map((name) => [name]),
  ].map((name) => name.join("."));
}

it("finds the statements of the client in its source", () => {
  expect(new Set(client.map(({ text }) => text)).size).toBeGreaterThanOrEqual(80);
  expect(client.some(({ text }) => text.includes("aclexplode"))).toBe(true);
});

it("sees a statement whole, with the constants of other files", () => {
  const access = client.find(({ where, text }) => where.startsWith("database/access.ts") && text.includes("has_database_privilege"));
  expect(access?.text).toMatch(/UNION SELECT c\.oid FROM \(\s*SELECT r\.oid, r\.rolname::text AS name/);
});

it.each(client)("names what PostgreSQL owns in full: $where", async (statement) => {
  if (/\b(SELECT|WITH|UNION)\b/.test(statement.text)) expect(await looseNamesIn(statement)).toEqual([]);
  // Other statements are put together from parts, and call nothing.
  else expect(statement.text).not.toMatch(/\w\(/);
});

it.each([
  ["SELECT format('%I', x) FROM pg_catalog.pg_class", ["format"]],
  ["SELECT pg_catalog.now() FROM pg_class WHERE oid = 'pg_proc'::regclass", ["pg_class", "pg_proc"]],
  ["WITH a AS (SELECT 1) SELECT count(*) FROM a, LATERAL unnest(b) c", ["count", "unnest"]],
])("sees a loose name: %s", async (text, loose) => {
  expect(await looseNamesIn({ where: "here", text })).toEqual(loose);
});
