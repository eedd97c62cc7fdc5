import { namesIn, sqlTextsOf } from "./sql-texts.ts";

/** Argument types that a planted function or operator can fit better than PostgreSQL's own; the fewer, the more arguments there are. */
const TYPES = [
  "text",
  "name",
  "oid",
  "regclass",
  "regprocedure",
  '"char"',
  "bool",
  "int4",
  "text[]",
  "name[]",
  "oid[]",
  "aclitem[]",
  "json",
];
const typesFor = (count: number): readonly string[] => TYPES.slice(0, { 0: 1, 1: 13, 2: 13, 3: 5, 4: 4 }[count] ?? 2);

const combinations = (count: number, types: readonly string[]): string[][] =>
  count === 0 ? [[]] : combinations(count - 1, types).flatMap((before) => types.map((type) => [...before, type]));

const isQuery = (text: string): boolean => /\b(SELECT|WITH|UNION)\b/.test(text);

/**
 * Statements with which an app plants, in schema public, something in the way of every function and every operator that the SQL of a source
 * folder uses. Whoever but the app itself calls one of them counts in the sequence `public.fired`, also in a transaction that is rolled back,
 * and is refused.
 */
export async function shadowsOf(folder: string, app: string): Promise<string[]> {
  const found = await Promise.all(sqlTextsOf(folder).flatMap(({ text }) => (isQuery(text) ? [namesIn(text)] : [])));
  const calls = new Map<string, readonly [name: string, count: number]>();
  for (const { name, argumentCount } of found.flatMap(({ functions }) => functions)) {
    const last = name.at(-1) ?? "";
    calls.set(`${last}/${argumentCount}`, [last, argumentCount]);
  }
  const operators = new Set(found.flatMap((names) => names.operators.map((name) => name.at(-1) ?? "")));
  const functions = [...calls.values()].flatMap(([name, count]) =>
    combinations(count, typesFor(count)).map((types) =>
      planted(`public."${name}"`, types, /^(has_|pg_has)/.test(name) ? "bool" : "text", app),
    ),
  );
  const pairs = combinations(2, TYPES);
  const doors = pairs.flatMap((types) => [planted("public.as_truth", types, "bool", app), planted("public.as_text", types, "text", app)]);
  const planting = [...operators].flatMap((operator) =>
    pairs.map(
      ([left, right]) =>
        `CREATE OPERATOR public.${operator} (LEFTARG = ${left}, RIGHTARG = ${right}, FUNCTION = public.${operator === "||" ? "as_text" : "as_truth"})`,
    ),
  );
  return ["CREATE SEQUENCE public.fired", "GRANT ALL ON SEQUENCE public.fired TO PUBLIC", ...functions, ...doors, ...planting];
}

function planted(name: string, types: readonly string[], returns: string, app: string): string {
  const spring = `IF session_user OPERATOR(pg_catalog.<>) '${app}'::pg_catalog.name THEN
    BEGIN PERFORM pg_catalog.nextval('public.fired'); EXCEPTION WHEN OTHERS THEN END; RAISE EXCEPTION '${name.replaceAll('"', "")} was planted and called'; END IF;`;
  return `CREATE FUNCTION ${name}(${types.join(", ")}) RETURNS ${returns} LANGUAGE plpgsql AS $planted$ BEGIN ${spring} RETURN NULL; END $planted$`;
}
