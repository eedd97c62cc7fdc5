import { CREATORS } from "./default-privileges.ts";
import { PLACEHOLDERS, placeholderRole } from "./ownership.ts";
import { hooksOf } from "./planted-code.ts";
import type { SqlSession } from "./sql.ts";

interface TableAccess {
  /** Tables, views and partitioned tables in schema public. */
  readonly total: number;
  readonly select: number;
  readonly insert: number;
  readonly update: number;
  readonly delete: number;
  readonly truncate: number;
  /** Tables of others that the role may reference or put triggers on. */
  readonly structure: number;
  /** Tables with a column the role may insert or update, by a right on the table or on the column alone. */
  readonly columnWrites: number;
}

/** A setting that new sessions of a role start with and that breaks an app without a word: `ALTER ROLE … SET`, `ALTER DATABASE … SET`. */
export interface MisleadingSetting {
  readonly name: "search_path" | "role" | "default_transaction_read_only";
  readonly value: string;
  readonly scope: "role" | "role in database" | "database";
}

/** What the database itself says (`has_*_privilege`) a role may do. */
export interface DatabaseAccess {
  readonly connect: boolean;
  readonly temp: boolean;
  readonly databaseCreate: boolean;
  readonly schemaUsage: boolean;
  readonly schemaCreate: boolean;
  /** Everybody may create in schema public (PostgreSQL 14 and older), so the role may too. */
  readonly isSchemaCreatePublic: boolean;
  readonly tables: TableAccess;
  readonly sequences: { readonly total: number; readonly usage: number; readonly select: number; readonly update: number };
  /**
   * Privilege words (`SELECT`, …) that tables and sequences made later will carry for the role, whoever of the asking administrator and the
   * other roles with CREATE on schema public makes them.
   */
  readonly defaultPrivileges: { readonly tables: readonly string[]; readonly sequences: readonly string[] };
  /** The same words as far as at least one of them gives them. */
  readonly someDefaultPrivileges: { readonly tables: readonly string[] };
  /** Tables in schema public that everybody (PUBLIC) may change. */
  readonly publicTables: readonly string[];
  /** Relations in schema public owned by the role. */
  readonly ownedTables: number;
  /** Objects of any kind in schema public owned by the role. */
  readonly ownsInPublic: number;
  /** Objects elsewhere in the database owned by the role, large objects apart. */
  readonly ownsOutsidePublic: number;
  /** Large objects of the role: any role may make its own, they count as its rows. */
  readonly ownedLargeObjects: number;
  /** SECURITY DEFINER routines of administrators that the role may call, as `public.f(integer) of dana@example.com`. */
  readonly lentPowers: readonly string[];
  /** Code of the role that runs with the rights of the owner or the writers of another's table, as `trigger t on public.orders`. */
  readonly foreignHooks: readonly string[];
  /** Relations in schema public owned by neither the role nor the asking administrator, as `table (owner)`. */
  readonly foreignTables: readonly string[];
  readonly memberOf: readonly string[];
  readonly isSuperuser: boolean;
  readonly canCreateRole: boolean;
  readonly canCreateDatabase: boolean;
  readonly canBypassRls: boolean;
  /** LOGIN, no connection limit, not past its VALID UNTIL: what keeps a login out although the token fits; in words, empty when nothing does. */
  readonly loginBlockers: readonly string[];
  /** Search paths without schema public, another role, read-only transactions. What the role has itself overrides what its database has. */
  readonly misleadingSettings: readonly MisleadingSetting[];
  readonly canReplicate: boolean;
}

/** Routines that work with the rights of a role that may administer (its owner) and that the app may call, or put on a table as a trigger. */
const LENT_POWERS = `
  SELECT p.oid::regprocedure::text || ' of ' || o.rolname
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_roles o ON o.oid = p.proowner JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
   WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')
     AND NOT o.rolsuper -- Azure's own
     AND (o.rolcreaterole OR o.rolcreatedb OR o.rolreplication OR o.rolbypassrls
          OR (SELECT pg_catalog.pg_has_role(o.oid, g.oid, 'MEMBER') FROM pg_catalog.pg_roles g WHERE g.rolname = 'azure_pg_admin'))
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
     AND pg_catalog.has_schema_privilege(role.oid, n.oid, 'USAGE') AND pg_catalog.has_function_privilege(role.oid, p.oid, 'EXECUTE')`;

const ACCESS = `
  WITH role AS (SELECT oid, rolname, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication,
                       rolcanlogin, rolconnlimit, coalesce(rolvaliduntil < pg_catalog.now(), false) AS is_expired FROM pg_catalog.pg_roles WHERE rolname = $1),
  relation AS (
    SELECT c.oid, c.relkind, c.relname, c.relowner FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'public' AND c.relkind IN ('r','p','v','m','f','S')
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')),
  maker AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user
     UNION SELECT c.oid FROM (${CREATORS}) c WHERE c.name <> $1),
  later AS (
    SELECT d.defaclobjtype AS kind, a.privilege_type AS word, pg_catalog.count(DISTINCT d.defaclrole) AS makers FROM pg_catalog.pg_default_acl d
      JOIN maker ON maker.oid = d.defaclrole JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace, pg_catalog.aclexplode(d.defaclacl) a, role
     WHERE n.nspname = 'public' AND a.grantee = role.oid
     GROUP BY 1, 2)
  SELECT pg_catalog.has_database_privilege(role.oid, pg_catalog.current_database(), 'CONNECT') AS connect,
         pg_catalog.has_database_privilege(role.oid, pg_catalog.current_database(), 'TEMPORARY') AS temp,
         pg_catalog.has_database_privilege(role.oid, pg_catalog.current_database(), 'CREATE') AS database_create,
         pg_catalog.has_schema_privilege(role.oid, 'public', 'USAGE') AS schema_usage,
         pg_catalog.has_schema_privilege(role.oid, 'public', 'CREATE') AS schema_create,
         pg_catalog.has_schema_privilege('public', 'public', 'CREATE') AS schema_create_public,
         role.rolsuper, role.rolcreaterole, role.rolcreatedb, role.rolbypassrls, role.rolreplication,
         pg_catalog.array_remove(ARRAY[CASE WHEN NOT role.rolcanlogin THEN 'NOLOGIN' END, CASE WHEN role.rolconnlimit >= 0 THEN 'CONNECTION LIMIT ' || role.rolconnlimit END,
                            CASE WHEN role.is_expired THEN 'VALID UNTIL' END], NULL) AS barred_by,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('setting', c.setting, 'scope',
                   CASE WHEN d.setrole = 0 THEN 'database' WHEN d.setdatabase = 0 THEN 'role' ELSE 'role in database' END)), '[]')
            FROM pg_catalog.pg_db_role_setting d CROSS JOIN LATERAL pg_catalog.unnest(d.setconfig) c (setting)
           WHERE d.setrole IN (0, role.oid) AND (d.setrole <> 0 OR d.setdatabase <> 0)
             AND d.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))) AS settings,
         role.rolname::text AS role_name, t.*, s.*,
         ARRAY(SELECT word::text FROM later WHERE kind = 'r' AND makers = (SELECT pg_catalog.count(*) FROM maker) ORDER BY 1) AS later_tables,
         ARRAY(SELECT word::text FROM later WHERE kind = 'S' AND makers = (SELECT pg_catalog.count(*) FROM maker) ORDER BY 1) AS later_sequences,
         ARRAY(SELECT word::text FROM later WHERE kind = 'r' ORDER BY 1) AS some_later_tables,
         ARRAY(SELECT relname::text FROM relation WHERE relkind <> 'S' AND pg_catalog.has_table_privilege('public', relation.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
                ORDER BY 1) AS public_tables,
         ARRAY(SELECT g.rolname::text FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = role.oid ORDER BY 1) AS member_of,
         (SELECT pg_catalog.count(*)::int FROM relation WHERE relowner = role.oid AND relkind <> 'S') AS owned_tables,
         owned.inside AS owns_inside, owned.outside AS owns_outside, owned.large_objects AS owned_large_objects,
         ARRAY(${LENT_POWERS} ORDER BY 1) AS lent_powers,
         ARRAY(SELECT h.what FROM (${hooksOf("ARRAY[role.rolname, $2]")}) h ORDER BY 1) AS foreign_hooks,
         ARRAY(SELECT pg_catalog.format('%s (%s)', relname, pg_catalog.pg_get_userbyid(relowner)) FROM relation
                WHERE relkind <> 'S' AND relowner <> role.oid AND pg_catalog.pg_get_userbyid(relowner) <> current_user
                  AND pg_catalog.pg_get_userbyid(relowner) NOT LIKE '${PLACEHOLDERS}' ORDER BY 1) AS foreign_tables
    FROM role,
    LATERAL (SELECT pg_catalog.count(*) FILTER (WHERE o.is_public AND NOT o.is_large)::int AS inside,
                    pg_catalog.count(*) FILTER (WHERE o.is_public IS NOT TRUE AND NOT o.is_large)::int AS outside,
                    pg_catalog.count(*) FILTER (WHERE o.is_large)::int AS large_objects
               FROM (SELECT d.classid = 'pg_catalog.pg_largeobject'::regclass AS is_large, i.schema = 'public' AS is_public
                       FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_database b ON b.oid = d.dbid
                       CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, 0) i
                      WHERE b.datname = pg_catalog.current_database() AND d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = role.oid
                        AND d.deptype = 'o' AND d.classid <> 'pg_catalog.pg_default_acl'::regclass
                        AND (i.schema IS NULL OR i.schema NOT LIKE 'pg\\_temp\\_%')) o) owned,
    LATERAL (SELECT pg_catalog.count(*)::int AS tables,
                    pg_catalog.count(*) FILTER (WHERE pg_catalog.has_table_privilege(role.oid, oid, 'SELECT'))::int AS tables_select,
                    pg_catalog.count(*) FILTER (WHERE pg_catalog.has_table_privilege(role.oid, oid, 'INSERT'))::int AS tables_insert,
                    pg_catalog.count(*) FILTER (WHERE pg_catalog.has_table_privilege(role.oid, oid, 'UPDATE'))::int AS tables_update,
                    pg_catalog.count(*) FILTER (WHERE pg_catalog.has_table_privilege(role.oid, oid, 'DELETE'))::int AS tables_delete,
                    pg_catalog.count(*) FILTER (WHERE pg_catalog.has_table_privilege(role.oid, oid, 'TRUNCATE'))::int AS tables_truncate,
                    pg_catalog.count(*) FILTER (WHERE relowner <> role.oid AND (pg_catalog.has_table_privilege(role.oid, oid, 'TRIGGER')
                                        OR pg_catalog.has_any_column_privilege(role.oid, oid, 'REFERENCES')))::int AS tables_structure,
                    pg_catalog.count(*) FILTER (WHERE pg_catalog.has_any_column_privilege(role.oid, oid, 'INSERT, UPDATE'))::int AS tables_column_writes
               FROM relation WHERE relkind <> 'S') t,
    LATERAL (SELECT pg_catalog.count(*)::int AS sequences,
                    pg_catalog.count(*) FILTER (WHERE pg_catalog.has_sequence_privilege(role.oid, oid, 'USAGE'))::int AS sequences_usage,
                    pg_catalog.count(*) FILTER (WHERE pg_catalog.has_sequence_privilege(role.oid, oid, 'SELECT'))::int AS sequences_select,
                    pg_catalog.count(*) FILTER (WHERE pg_catalog.has_sequence_privilege(role.oid, oid, 'UPDATE'))::int AS sequences_update
               FROM relation WHERE relkind = 'S') s`;

/** The settings of `pg_db_role_setting` (`name=value`) that mislead; one of the database only where the role has none of that name. */
function misleadingOf(role: string, settings: readonly { readonly setting: string; readonly scope: string }[]): MisleadingSetting[] {
  const isHarmless: Readonly<Record<string, (value: string) => boolean>> = {
    search_path: (value) => value.split(",").some((schema) => /^\s*"?public"?\s*$/.test(schema)),
    role: (value) => value === "none" || value === role,
    default_transaction_read_only: (value) => /^(of|f|n|0)/i.test(value),
  };
  const all = settings.map(({ setting, scope }) => {
    const cut = setting.indexOf("=");
    return { name: setting.slice(0, cut), value: setting.slice(cut + 1), scope } as MisleadingSetting;
  });
  return all.filter(
    ({ name, value, scope }) =>
      isHarmless[name]?.(value) === false &&
      (scope !== "database" || !all.some((other) => other.name === name && other.scope !== "database")),
  );
}

function toAccess(row: Readonly<Record<string, unknown>>): DatabaseAccess {
  const is = (column: string): boolean => row[column] === true;
  const count = (column: string): number => Number(row[column] ?? 0);
  const words = (column: string): string[] => (Array.isArray(row[column]) ? row[column].map(String) : []);
  return {
    connect: is("connect"),
    temp: is("temp"),
    databaseCreate: is("database_create"),
    schemaUsage: is("schema_usage"),
    schemaCreate: is("schema_create"),
    isSchemaCreatePublic: is("schema_create_public"),
    tables: {
      total: count("tables"),
      select: count("tables_select"),
      insert: count("tables_insert"),
      update: count("tables_update"),
      delete: count("tables_delete"),
      truncate: count("tables_truncate"),
      structure: count("tables_structure"),
      columnWrites: count("tables_column_writes"),
    },
    sequences: {
      total: count("sequences"),
      usage: count("sequences_usage"),
      select: count("sequences_select"),
      update: count("sequences_update"),
    },
    defaultPrivileges: { tables: words("later_tables"), sequences: words("later_sequences") },
    someDefaultPrivileges: { tables: words("some_later_tables") },
    publicTables: words("public_tables"),
    ownedTables: count("owned_tables"),
    ownsInPublic: count("owns_inside"),
    ownsOutsidePublic: count("owns_outside"),
    ownedLargeObjects: count("owned_large_objects"),
    lentPowers: words("lent_powers"),
    foreignHooks: words("foreign_hooks"),
    foreignTables: words("foreign_tables"),
    memberOf: words("member_of"),
    isSuperuser: is("rolsuper"),
    canCreateRole: is("rolcreaterole"),
    canCreateDatabase: is("rolcreatedb"),
    canBypassRls: is("rolbypassrls"),
    loginBlockers: words("barred_by"),
    misleadingSettings: misleadingOf(String(row.role_name), row.settings as { setting: string; scope: string }[]),
    canReplicate: is("rolreplication"),
  };
}

/** What the role may do in the session's database; `undefined` when there is no such role. */
export async function readAccess(session: SqlSession, role: string): Promise<DatabaseAccess | undefined> {
  const { rows } = await session.query(ACCESS, [role, placeholderRole(role)]);
  return rows[0] && toAccess(rows[0]);
}
