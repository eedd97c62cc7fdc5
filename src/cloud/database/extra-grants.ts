import { printableIdentifier, type SqlSession } from "./sql.ts";

/** A right that the role was granted by name and that its level does not give. Names are quoted where they need it, without control characters. */
interface ExtraGrant {
  /** `CREATE, USAGE on schema side`. */
  readonly what: string;
  /** The statement that takes it, or words where it can be written only in another database. */
  readonly taking: string;
}

/** The first twenty, and how many there are. */
export interface ExtraGrants {
  readonly total: number;
  readonly first: readonly ExtraGrant[];
}

/** Rights on settings of the server: PostgreSQL 15 and later. */
const PARAMETERS = `
  UNION ALL
  SELECT 'PARAMETER', pg_catalog.string_to_array(parname, '.'), NULL, 10::oid, paracl, '{}', '{}' FROM pg_catalog.pg_parameter_acl`;

/**
 * What the role was granted by name and no level speaks of: in this database, on what all databases share, and, counted, in the other
 * databases (`pg_shdepend` knows of them; the names are seen only from within). Left out are rights of PUBLIC, what the role owns, and, unless
 * it may pass them on, the rights in schema public and on the database that the levels are made of: the differences of access speak of those.
 *
 * `spoken` are the words that are left out for every level, `owners` those for level `owner` ($2) alone. One row an object and grantor.
 */
const extraGrants = (parameters: string): string => `
  WITH role AS (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1),
  item (kind, names, arguments, owner, acl, spoken, owners) AS (
    SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, ARRAY[n.nspname, c.relname]::text[], NULL::text, c.relowner, c.relacl,
           CASE WHEN n.nspname <> 'public' THEN '{}' WHEN c.relkind = 'S' THEN '{SELECT,USAGE,UPDATE}'
                ELSE '{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}' END::text[], '{}'::text[]
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT 'COLUMN', ARRAY[n.nspname, c.relname, t.attname]::text[], NULL, c.relowner, t.attacl,
           CASE WHEN n.nspname <> 'public' THEN '{}' ELSE '{SELECT,INSERT,UPDATE,REFERENCES}' END::text[], '{}'
      FROM pg_catalog.pg_attribute t JOIN pg_catalog.pg_class c ON c.oid = t.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE t.attacl IS NOT NULL AND NOT t.attisdropped
    UNION ALL
    SELECT 'ROUTINE', ARRAY[n.nspname, p.proname]::text[], pg_catalog.oidvectortypes(p.proargtypes), p.proowner, p.proacl,
           CASE WHEN n.nspname = 'public' AND (p.prokind = 'a' OR EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass
                                                                             AND d.objid = p.oid AND d.deptype = 'e'))
                THEN '{EXECUTE}' ELSE '{}' END::text[],
           CASE WHEN n.nspname = 'public' THEN '{EXECUTE}' ELSE '{}' END::text[]
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.proacl IS NOT NULL
    UNION ALL
    SELECT 'SCHEMA', ARRAY[nspname]::text[], NULL, nspowner, nspacl,
           CASE WHEN nspname = 'public' THEN '{USAGE,CREATE}' ELSE '{}' END::text[], '{}' FROM pg_catalog.pg_namespace
    UNION ALL
    SELECT 'DATABASE', ARRAY[datname]::text[], NULL, datdba, datacl,
           CASE WHEN datname = pg_catalog.current_database() THEN '{CONNECT,CREATE}' ELSE '{}' END::text[],
           CASE WHEN datname = pg_catalog.current_database() THEN '{TEMPORARY}' ELSE '{}' END::text[] FROM pg_catalog.pg_database
    UNION ALL
    SELECT 'TYPE', ARRAY[n.nspname, y.typname]::text[], NULL, y.typowner, y.typacl, '{}', '{}'
      FROM pg_catalog.pg_type y JOIN pg_catalog.pg_namespace n ON n.oid = y.typnamespace WHERE y.typacl IS NOT NULL
    UNION ALL
    SELECT 'LANGUAGE', ARRAY[lanname]::text[], NULL, lanowner, lanacl, '{}', '{}' FROM pg_catalog.pg_language
    UNION ALL
    SELECT 'FOREIGN SERVER', ARRAY[srvname]::text[], NULL, srvowner, srvacl, '{}', '{}' FROM pg_catalog.pg_foreign_server
    UNION ALL
    SELECT 'FOREIGN DATA WRAPPER', ARRAY[fdwname]::text[], NULL, fdwowner, fdwacl, '{}', '{}' FROM pg_catalog.pg_foreign_data_wrapper
    UNION ALL
    SELECT 'TABLESPACE', ARRAY[spcname]::text[], NULL, spcowner, spcacl, '{}', '{}' FROM pg_catalog.pg_tablespace
    UNION ALL
    SELECT 'LARGE OBJECT', '{}', oid::text, lomowner, lomacl, '{}', '{}' FROM pg_catalog.pg_largeobject_metadata WHERE lomacl IS NOT NULL
    UNION ALL
    SELECT 'LATER ' || CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES'
                                            WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END,
           ARRAY[pg_catalog.pg_get_userbyid(d.defaclrole), n.nspname]::text[], NULL, d.defaclrole, d.defaclacl,
           CASE WHEN n.nspname = 'public' THEN '{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER,USAGE,EXECUTE}' ELSE '{}' END::text[], '{}'
      FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace${parameters}),
  granted AS (
    SELECT i.kind, i.names, i.arguments, a.is_grantable, h.is_spoken, pg_catalog.pg_get_userbyid(a.grantor)::text AS grantor,
           NOT (a.grantor = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)
                OR (a.grantor = i.owner AND pg_catalog.pg_has_role(current_user, i.owner, 'USAGE'))) AS is_of_another,
           pg_catalog.array_agg(a.privilege_type::text ORDER BY a.privilege_type) AS words
      FROM item i CROSS JOIN role CROSS JOIN LATERAL pg_catalog.aclexplode(i.acl) a
      CROSS JOIN LATERAL (SELECT a.privilege_type = ANY (i.spoken) OR ($2::boolean AND a.privilege_type = ANY (i.owners)) AS is_spoken) h
     WHERE a.grantee = role.oid AND i.owner <> role.oid AND (a.is_grantable OR NOT h.is_spoken)
     GROUP BY i.kind, i.names, i.arguments, a.is_grantable, h.is_spoken, a.grantor, i.owner
    UNION ALL
    SELECT 'ELSEWHERE', ARRAY[b.datname]::text[], pg_catalog.count(DISTINCT (d.classid, d.objid))::text, false, false, '', false,
           pg_catalog.array_agg(DISTINCT d.classid::regclass::text ORDER BY d.classid::regclass::text)
      FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_database b ON b.oid = d.dbid CROSS JOIN role
     WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = role.oid AND b.datname <> pg_catalog.current_database()
       AND (d.deptype = 'a' OR (d.deptype = 'o' AND d.classid <> 'pg_catalog.pg_default_acl'::regclass))
     GROUP BY b.datname),
  numbered AS (
    SELECT *, pg_catalog.count(*) OVER ()::int AS total,
           pg_catalog.row_number() OVER (ORDER BY kind = 'ELSEWHERE', kind, names, arguments, is_grantable, grantor) AS place FROM granted)
  SELECT kind, names, arguments, is_grantable, is_spoken, is_of_another, grantor, words, total FROM numbered WHERE place <= 20 ORDER BY place`;

const catalogueWords: Readonly<Record<string, string>> = {
  pg_class: "tables or sequences",
  pg_namespace: "schemas",
  pg_proc: "routines",
  pg_type: "types",
  pg_default_acl: "later objects",
  pg_largeobject: "large objects",
};

/** As a person would write it: bare where that means the same. */
const shown = (name: string): string => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : printableIdentifier(name));

function toGrant(row: Readonly<Record<string, unknown>>, role: string): ExtraGrant {
  const kind = String(row.kind);
  const names = (row.names as (string | null)[]).filter((name) => name !== null);
  const words = row.words as string[];
  const given = row.arguments === null ? "" : String(row.arguments);
  const from = printableIdentifier(role);
  const [first = "", second] = names;
  if (kind === "ELSEWHERE") {
    const kinds = words.map((word) => catalogueWords[word] ?? word.replace(/^pg_/, "").replaceAll("_", " ")).join(", ");
    return {
      what: `rights on ${given} objects of database ${shown(first)} (${kinds})`,
      taking: `(in database ${printableIdentifier(first)}, where \\dn+, \\dp and \\df+ show them) REVOKE … FROM ${from}, and ALTER … OWNER TO for what it owns there;`,
    };
  }
  const option = row.is_spoken === true ? "GRANT OPTION FOR " : "";
  const rights = `${words.join(", ")}${row.is_grantable === true ? " with grant option" : ""}`;
  if (kind.startsWith("LATER ")) {
    const later = kind.slice("LATER ".length);
    const where = second === undefined ? "" : ` IN SCHEMA ${printableIdentifier(second)}`;
    return {
      what: `${rights} on later ${later.toLowerCase()} of ${shown(first)} in ${second === undefined ? "every schema" : `schema ${shown(second)}`}`,
      taking: `ALTER DEFAULT PRIVILEGES FOR ROLE ${printableIdentifier(first)}${where} REVOKE ${option}${words.join(", ")} ON ${later} FROM ${from};`,
    };
  }
  const isColumn = kind === "COLUMN";
  const path = isColumn ? names.slice(0, 2) : names;
  const column = isColumn ? ` (${printableIdentifier(names[2] ?? "")})` : "";
  // The types of the arguments come as PostgreSQL writes them, quoted.
  const tail = kind === "ROUTINE" ? `(${printableText(given)})` : given;
  const taken = words.map((word) => `${word}${column}`).join(", ");
  const revoke = `REVOKE ${option}${taken} ON ${isColumn ? "TABLE" : kind} ${path.map(printableIdentifier).join(".")}${tail} FROM ${from};`;
  return {
    what: `${rights} on ${kind.toLowerCase()} ${names.map(shown).join(".")}${tail}`,
    // Only who granted a right can take it.
    taking: row.is_of_another === true ? `SET ROLE ${printableIdentifier(String(row.grantor))}; ${revoke} RESET ROLE;` : revoke,
  };
}

const printableText = (text: string): string => text.replace(/[\p{C}\u2028\u2029]/gu, "?");

/** What the role was granted by name beyond its level, as seen from the session's database. */
export async function readExtraGrants(session: SqlSession, role: string, isOwner: boolean): Promise<ExtraGrants> {
  const { rows: versions } = await session.query("SELECT pg_catalog.current_setting('server_version_num')::int AS version");
  const parameters = Number(versions[0]?.version) >= 150_000 ? PARAMETERS : "";
  const { rows } = await session.query(extraGrants(parameters), [role, isOwner]);
  return { total: Number(rows[0]?.total ?? 0), first: rows.map((row) => toGrant(row, role)) };
}

/** In words: `CREATE, USAGE on schema side; … and 3 more`. */
export function describeExtraGrants({ total, first }: ExtraGrants): string {
  const more = total > first.length ? [`and ${total - first.length} more`] : [];
  return [...first.map(({ what }) => what), ...more].join("; ");
}

/** How a person takes them, statement by statement. */
export function extraGrantHint({ total, first }: ExtraGrants): string {
  const again = total > first.length ? "; look again for the rest" : "";
  return `the level promises nothing of these rights and \`init\` leaves them; unless they are wanted, take them with \`passwordless-pg connect\`: ${first.map(({ taking }) => taking).join(" ")}${again}`;
}
