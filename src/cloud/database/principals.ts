import type { TokenCredential } from "@azure/core-auth";
import { pause } from "../../base/cancellation.ts";
import type { Clock } from "../../base/clock.ts";
import { KnownError } from "../../base/errors.ts";
import { accessToken } from "../credential.ts";
import type { Environment } from "../environment.ts";
import { asMemberOf, run, transaction } from "./database-grants.ts";
import { type ExtraGrants, readExtraGrants } from "./extra-grants.ts";
import {
  databasesOf,
  describeDisarmed,
  describeKept,
  describeUnhooked,
  dropEmpty,
  ensurePlaceholder,
  type HandOver,
  handOver,
  holderOf,
  isThere,
  letIn,
  moveTables,
  ownsAnything,
  PLACEHOLDERS,
  placeholderOf,
  retire,
  shutOut,
  takeBack,
} from "./ownership.ts";
import { hooksOf, unhook } from "./planted-code.ts";
import { connectSql, quoteIdentifier, type SqlResult, type SqlSession, sqlStateOf } from "./sql.ts";

/** Owner may create tables in schema public; write changes rows; read reads them. */
export type AccessLevel = "owner" | "write" | "read";

interface DatabaseServer {
  readonly host: string;
  readonly port: number;
}

export interface DatabasePrincipal {
  readonly role: string;
  /** Object ID in the role's label; empty when the role has none. */
  readonly objectId: string;
  /** `service`, `user`, `group`, or `none` for a role that Entra does not know. */
  readonly type: string;
  readonly isAdmin: boolean;
}

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
interface MisleadingSetting {
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

/** Entra roles inside PostgreSQL. `login` is the role name of the administrator who is signed in; each call opens its own connections. */
export interface Principals {
  find(server: DatabaseServer, login: string, role: string): Promise<DatabasePrincipal | undefined>;
  /** Every role that Entra knows. */
  list(server: DatabaseServer, login: string): Promise<DatabasePrincipal[]>;
  /** Roles that may sign in and that Entra does not know: with a password, while the server takes passwords. Azure's own (`azure_…`, superusers) are left out. */
  passwordRoles(server: DatabaseServer, login: string): Promise<string[]>;
  /** Does the server let the caller in under this role name? `false` only when it refuses the login itself. */
  canSignIn(server: DatabaseServer, login: string): Promise<boolean>;
  /** Creates the role, waiting some minutes for a new identity to be known; an existing role with the same object ID is fine. */
  create(
    server: DatabaseServer,
    login: string,
    principal: { readonly role: string; readonly objectId: string; readonly type: "service" },
  ): Promise<DatabasePrincipal>;
  /** Gives an existing role to another object ID (recreated identity); what the role owns is kept. Grants must be given again. */
  repair(
    server: DatabaseServer,
    login: string,
    principal: { readonly role: string; readonly objectId: string; readonly databases: readonly string[] },
  ): Promise<DatabasePrincipal>;
  access(server: DatabaseServer, login: string, database: string, role: string): Promise<DatabaseAccess>;
  /**
   * What somebody granted the role by name and the level does not give, seen from the database. Beside `access`, since no plan reads it: such a
   * right may be wanted, and nothing takes it unasked.
   */
  extraGrants(server: DatabaseServer, login: string, database: string, role: string, level: AccessLevel): Promise<ExtraGrants>;
  /** Makes the role's access exactly the level: gives what is missing, takes what is too much. */
  grant(server: DatabaseServer, login: string, database: string, role: string, level: AccessLevel): Promise<void>;
  /** Roles that own tables, views or sequences in the database; what belongs to an extension is left out. */
  owners(server: DatabaseServer, login: string, database: string): Promise<string[]>;
  /** Removes the role; what it owns goes to a placeholder without login and rights. Absent already is fine; an empty placeholder goes too. */
  drop(server: DatabaseServer, login: string, principal: { readonly role: string; readonly databases: readonly string[] }): Promise<void>;
  /** Removes the placeholders of these roles that keep nothing in any database. */
  sweep(server: DatabaseServer, login: string, roles: readonly string[]): Promise<void>;
}

/** Whether a setting hinders an app of this level: read-only is no harm to one that only reads. */
export function hinders({ name }: MisleadingSetting, level: AccessLevel): boolean {
  return name !== "default_transaction_read_only" || level !== "read";
}

const has = (words: readonly string[], wanted: readonly string[]): boolean => wanted.every((word) => words.includes(word));

/** Whether the access is exactly what the level means: the differences in words, empty when it is. */
export function accessDifferences(access: DatabaseAccess, level: AccessLevel): string[] {
  const { tables, sequences, defaultPrivileges } = access;
  const { tables: tablePrivileges, sequences: sequencePrivileges } = privilegesOf[level];
  const writes = level !== "read";
  const misled = access.misleadingSettings.filter((setting) => setting.scope !== "database" && hinders(setting, level));
  const lacking: readonly (readonly [boolean, string])[] = [
    [misled.length > 0, `starts with ${misled.map(({ name, value, scope }) => `${name} = ${value} (set for the ${scope})`).join(", ")}`],
    [access.loginBlockers.length > 0, `is barred from signing in by ${access.loginBlockers.join(", ")}`],
    [!access.connect, "may not connect"],
    [level === "owner" && !access.temp, "may not make temporary tables"],
    [!access.schemaUsage, "may not use schema public"],
    [level === "owner" && !access.schemaCreate, "may not create in schema public"],
    [tables.select < tables.total, `may read only ${tables.select} of ${tables.total} tables`],
    [writes && tables.insert < tables.total, `may insert into only ${tables.insert} of ${tables.total} tables`],
    [writes && tables.update < tables.total, `may update only ${tables.update} of ${tables.total} tables`],
    [writes && tables.delete < tables.total, `may delete from only ${tables.delete} of ${tables.total} tables`],
    [level === "owner" && tables.truncate < tables.total, `may truncate only ${tables.truncate} of ${tables.total} tables`],
    [writes && sequences.usage < sequences.total, `may use only ${sequences.usage} of ${sequences.total} sequences`],
    [sequences.select < sequences.total, `may read only ${sequences.select} of ${sequences.total} sequences`],
    [!has(defaultPrivileges.tables, tablePrivileges), "lacks privileges on tables made later"],
    [!has(defaultPrivileges.sequences, sequencePrivileges), "lacks privileges on sequences made later"],
  ];
  const excessive: readonly (readonly [boolean, string])[] = [
    [access.isSuperuser, "is a superuser"],
    [access.canCreateRole, "may create roles"],
    [access.canCreateDatabase, "may create databases"],
    [access.canBypassRls, "bypasses row security"],
    [access.canReplicate, "may replicate"],
    [access.memberOf.length > 0, `is a member of ${access.memberOf.join(", ")}`],
    [access.databaseCreate, "may create schemas"],
    [level !== "owner" && access.schemaCreate && !access.isSchemaCreatePublic, "may create in schema public"],
    [level !== "owner" && access.ownedTables > 0, `owns ${access.ownedTables} tables`],
    [level !== "owner" && access.ownsInPublic > access.ownedTables, `owns ${access.ownsInPublic} objects in schema public`],
    // What an owner made elsewhere with a right that somebody gave it is not taken from it unasked: doctor and verify name it.
    [level !== "owner" && access.ownsOutsidePublic > 0, `owns ${access.ownsOutsidePublic} objects outside schema public`],
    [!writes && tables.columnWrites + tables.delete > 0, "may change rows"],
    [level !== "owner" && tables.truncate > 0, "may truncate tables"],
    [tables.structure > 0, "may reference tables of others or put triggers on them"],
    [access.foreignHooks.length > 0, `runs its code on tables of others (${access.foreignHooks.join(", ")})`],
    [
      access.someDefaultPrivileges.tables.some((word) => word === "REFERENCES" || word === "TRIGGER"),
      "may reference tables made later or put triggers on them",
    ],
    [!writes && sequences.update + sequences.usage > 0, "may change sequences"],
    [!writes && access.someDefaultPrivileges.tables.some((word) => word !== "SELECT"), "may change rows of tables made later"],
    [level === "write" && access.someDefaultPrivileges.tables.includes("TRUNCATE"), "may truncate tables made later"],
  ];
  return [...lacking, ...excessive].filter(([isSo]) => isSo).map(([, words]) => words);
}

/** Where the `pgaadauth_*` functions live, and only there. */
const HOME_DATABASE = "postgres";

const privilegesOf: Readonly<Record<AccessLevel, { readonly tables: readonly string[]; readonly sequences: readonly string[] }>> = {
  owner: {
    // Not REFERENCES and TRIGGER, which it has on its own tables: with them its code runs as the owner of another's (planted-code.ts).
    tables: ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"],
    sequences: ["SELECT", "USAGE", "UPDATE"],
  },
  write: { tables: ["SELECT", "INSERT", "UPDATE", "DELETE"], sequences: ["SELECT", "USAGE", "UPDATE"] },
  read: { tables: ["SELECT"], sequences: ["SELECT"] },
};

/** A name PostgreSQL would cut (63 bytes), reserve, or take for everybody: `GRANT … TO "public"` means PUBLIC, quoted or not. */
function checkRoleName(role: string): void {
  const bytes = Buffer.byteLength(role);
  const isReserved = /^(pg_|azure_)/.test(role) || ["public", "none", ""].includes(role);
  if (bytes <= 63 && !isReserved && !role.includes("\0")) return;
  throw new KnownError(
    "project/invalid",
    bytes > 63
      ? `the role name ${role.slice(0, 20)}… has ${bytes} bytes`
      : `"${role.replaceAll("\0", "?")}" cannot be the name of an app's role`,
    { hint: "a role name has 1 to 63 bytes, is not public or none, and begins neither with pg_ nor with azure_" },
  );
}

interface Relation {
  /** Quoted, `public."Order"`. */
  readonly name: string;
  readonly owner: string;
  readonly kind: "table" | "sequence" | "routine";
  /** Words of the rights that the role was granted by name. */
  readonly granted: readonly string[];
}

/**
 * Everything in schema public that a level speaks of, with what the role has been granted on it by name; what belongs to an extension is left
 * to the extension. A right on a column alone shows as `column`, one that may be passed on as `option`: neither is part of any level.
 */
const INVENTORY = `
  SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, pg_catalog.pg_get_userbyid(c.relowner) AS owner,
         CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind,
         ARRAY(SELECT CASE WHEN a.is_grantable THEN 'option' ELSE a.privilege_type END FROM pg_catalog.aclexplode(c.relacl) a WHERE a.grantee = role.oid
                UNION SELECT 'column' FROM pg_catalog.pg_attribute t CROSS JOIN LATERAL pg_catalog.aclexplode(t.attacl) a
                       WHERE t.attrelid = c.oid AND a.grantee = role.oid) AS granted
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1) role
   WHERE n.nspname = 'public' AND c.relkind IN ('r','p','v','m','f','S')
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  UNION ALL
  SELECT p.oid::regprocedure::text, pg_catalog.pg_get_userbyid(p.proowner), 'routine',
         ARRAY(SELECT CASE WHEN a.is_grantable THEN 'option' ELSE a.privilege_type END FROM pg_catalog.aclexplode(p.proacl) a WHERE a.grantee = role.oid)
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1) role
   WHERE n.nspname = 'public' AND p.prokind <> 'a'
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')`;

async function inventory(session: SqlSession, role: string): Promise<Relation[]> {
  const { rows } = await session.query(INVENTORY, [role]);
  return rows.map(({ name, owner, kind, granted }) => ({
    name: String(name),
    owner: String(owner),
    kind: kind as Relation["kind"],
    granted: (granted as string[]).map(String),
  }));
}

/** Is what the role was granted on it by name exactly what the level says? */
function isExact({ kind, granted }: Relation, level: AccessLevel): boolean {
  const routineWords = level === "owner" ? ["EXECUTE"] : [];
  const wanted = kind === "routine" ? routineWords : privilegesOf[level][kind === "table" ? "tables" : "sequences"];
  return wanted.length === granted.length && wanted.every((word) => granted.includes(word));
}

/** Takes everything in schema public from the role and gives what the level means, as the owner of the objects. */
async function setPrivileges(session: SqlSession, relations: readonly Relation[], role: string, level: AccessLevel): Promise<void> {
  const to = quoteIdentifier(role);
  const words = { table: "TABLE", sequence: "SEQUENCE", routine: "ROUTINE" } as const;
  for (const kind of ["table", "sequence", "routine"] as const) {
    const names = relations.filter((relation) => relation.kind === kind).map(({ name }) => name);
    if (names.length === 0) continue;
    const on = `ON ${words[kind]} ${names.join(", ")}`;
    await run(session, `REVOKE ALL ${on} FROM ${to} CASCADE`);
    if (kind === "table") await run(session, `GRANT ${privilegesOf[level].tables.join(", ")} ${on} TO ${to}`);
    else if (kind === "sequence") await run(session, `GRANT ${privilegesOf[level].sequences.join(", ")} ${on} TO ${to}`);
    else if (level === "owner") await run(session, `GRANT EXECUTE ${on} TO ${to}`);
  }
}

/** The objects of schema public by owner. What the role owns itself needs no grant, and what is right is not touched: it may be another's. */
async function setAllPrivileges(session: SqlSession, role: string, level: AccessLevel): Promise<void> {
  const wrong = (await inventory(session, role)).filter((relation) => !isExact(relation, level));
  const byOwner = new Map<string, Relation[]>();
  for (const relation of wrong) byOwner.set(relation.owner, [...(byOwner.get(relation.owner) ?? []), relation]);
  for (const [owner, relations] of byOwner) {
    if (owner === role) continue;
    try {
      await asMemberOf(session, owner, () => setPrivileges(session, relations, role, level));
    } catch (error) {
      throw sqlStateOf(error) === "42501" ? notOurs(owner, relations, role, error) : error;
    }
  }
}

function notOurs(owner: string, relations: readonly Relation[], role: string, error: unknown): KnownError {
  const names = relations.map(({ name }) => name);
  const list = names.length > 5 ? `${names.slice(0, 5).join(", ")} and ${names.length - 5} more` : names.join(", ");
  return new KnownError("database/denied", `rights of ${role} on ${list} cannot be set: ${owner} owns them`, {
    hint: `sign in as ${owner} and run GRANT ${quoteIdentifier(owner)} TO your administrator, or ALTER TABLE … OWNER TO it; then run the command again`,
    cause: error instanceof KnownError ? error.cause : error,
  });
}

/** Roles beside the administrator that make tables in schema public and whose default privileges the administrator may set. */
const CREATORS = `
  SELECT r.oid, r.rolname::text AS name
    FROM pg_catalog.pg_namespace n CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) a JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
   WHERE n.nspname = 'public' AND a.privilege_type = 'CREATE' AND r.rolname <> current_user AND NOT r.rolsuper
     AND r.rolname NOT LIKE 'azure%' AND r.rolname NOT LIKE 'pg\\_%'
     AND (pg_catalog.pg_has_role(current_user, r.oid, 'USAGE') OR pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER WITH ADMIN OPTION')
          OR (pg_catalog.current_setting('server_version_num')::int < 160000
              AND (SELECT rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = current_user)))`;

async function creators(session: SqlSession): Promise<string[]> {
  const { rows } = await session.query(`SELECT DISTINCT name FROM (${CREATORS}) c ORDER BY 1`);
  return rows.map(({ name }) => String(name));
}

/** Whom the administrator's own later tables serve, and how: `GRANT` tails such as `SELECT ON TABLES TO "report"`. */
async function ownDefaultGrants(session: SqlSession, besides: string): Promise<string[]> {
  const { rows } = await session.query(
    `SELECT pg_catalog.format('%s ON %s TO %I', pg_catalog.string_agg(DISTINCT a.privilege_type, ', '),
                   CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' ELSE 'FUNCTIONS' END, g.rolname) AS grant_tail
       FROM pg_catalog.pg_default_acl d JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) a
       JOIN pg_catalog.pg_roles g ON g.oid = a.grantee
      WHERE n.nspname = 'public' AND d.defaclobjtype IN ('r', 'S', 'f') AND g.rolname NOT IN (current_user, $1)
        AND d.defaclrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)
      GROUP BY d.defaclobjtype, g.rolname`,
    [besides],
  );
  return rows.map(({ grant_tail }) => String(grant_tail));
}

/** What this role makes later serves the other roles of the project as the administrator's tables do. */
async function shareLaterTables(session: SqlSession, role: string): Promise<void> {
  const tails = await ownDefaultGrants(session, role);
  if (tails.length === 0) return;
  await asMemberOf(session, role, async () => {
    for (const tail of tails) {
      await run(session, `ALTER DEFAULT PRIVILEGES FOR ROLE ${quoteIdentifier(role)} IN SCHEMA public GRANT ${tail}`);
    }
  });
}

/**
 * Takes memberships and attributes that no level has, what bars the role from signing in and the settings that mislead it;
 * what only a superuser can take stays, and shows in the differences.
 */
async function revokeAttributes(session: SqlSession, database: string, role: string): Promise<void> {
  const { rows } = await session.query(ACCESS, [role, placeholderOf(role)]);
  if (!rows[0]) return;
  const { memberOf, canCreateRole, canCreateDatabase, loginBlockers, misleadingSettings } = toAccess(rows[0]);
  for (const group of memberOf) await session.query(`REVOKE ${quoteIdentifier(group)} FROM ${quoteIdentifier(role)}`);
  const free = loginBlockers.length > 0 && "LOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity'";
  const words = [canCreateRole && "NOCREATEROLE", canCreateDatabase && "NOCREATEDB", free].filter((word) => word !== false);
  if (words.length > 0) await session.query(`ALTER ROLE ${quoteIdentifier(role)} ${words.join(" ")}`);
  for (const { name, scope } of misleadingSettings.filter((setting) => setting.scope !== "database")) {
    const where = scope === "role" ? "" : ` IN DATABASE ${quoteIdentifier(database)}`;
    await session.query(`ALTER ROLE ${quoteIdentifier(role)}${where} RESET ${name}`);
  }
}

async function setDefaultPrivileges(session: SqlSession, role: string, level: AccessLevel): Promise<void> {
  await setDefaultPrivilegesFor(session, "", role, level);
  for (const creator of await creators(session)) {
    if (creator === role) continue;
    await asMemberOf(session, creator, () => setDefaultPrivilegesFor(session, `FOR ROLE ${quoteIdentifier(creator)} `, role, level));
  }
  if (level === "owner") await shareLaterTables(session, role);
}

/** `forRole` says whose later tables are meant; empty for the administrator's own. */
async function setDefaultPrivilegesFor(session: SqlSession, forRole: string, role: string, level: AccessLevel): Promise<void> {
  const to = quoteIdentifier(role);
  const alter = `ALTER DEFAULT PRIVILEGES ${forRole}IN SCHEMA public`;
  for (const kind of ["TABLES", "SEQUENCES", "FUNCTIONS"]) await run(session, `${alter} REVOKE ALL ON ${kind} FROM ${to}`);
  await run(session, `${alter} GRANT ${privilegesOf[level].tables.join(", ")} ON TABLES TO ${to}`);
  await run(session, `${alter} GRANT ${privilegesOf[level].sequences.join(", ")} ON SEQUENCES TO ${to}`);
  if (level === "owner") await run(session, `${alter} GRANT EXECUTE ON FUNCTIONS TO ${to}`);
}

async function setDatabasePrivileges(session: SqlSession, database: string, role: string, level: AccessLevel): Promise<void> {
  const to = quoteIdentifier(role);
  const on = `ON DATABASE ${quoteIdentifier(database)}`;
  await run(session, `REVOKE ALL ${on} FROM ${to}`);
  await run(session, `REVOKE ALL ON SCHEMA public FROM ${to}`);
  await run(session, `GRANT ${level === "owner" ? "CONNECT, TEMPORARY" : "CONNECT"} ${on} TO ${to}`);
  await run(session, `GRANT ${level === "owner" ? "USAGE, CREATE" : "USAGE"} ON SCHEMA public TO ${to}`);
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

const isYes = (value: unknown): boolean => value === true || value === 1 || value === "1" || value === "t" || value === "true";

/**
 * Reads `pgaadauth_list_principals` by position: documentation and running samples disagree about the name of its first column
 * (`rolename`, `rolname`). Order: role, type, object ID, tenant, MFA, admin.
 */
function toPrincipals({ rows, columns }: SqlResult): DatabasePrincipal[] {
  const [role = "", type = "", objectId = "", , , isAdmin = ""] = columns;
  return rows.map((row) => ({
    role: String(row[role]),
    type: String(row[type] ?? "").toLowerCase(),
    objectId: String(row[objectId] ?? ""),
    isAdmin: isYes(row[isAdmin]),
  }));
}

async function findIn(session: SqlSession, role: string): Promise<DatabasePrincipal | undefined> {
  const labelled = toPrincipals(await session.query("SELECT * FROM pg_catalog.pgaadauth_list_principals(false)"));
  const found = labelled.find((principal) => principal.role === role);
  if (found) return found;
  const { rows } = await session.query("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1", [role]);
  return rows.length === 0 ? undefined : { role, objectId: "", type: "none", isAdmin: false };
}

/** Pauses while Entra learns of a new identity: some minutes (App Service and PostgreSQL notes). */
const NEW_IDENTITY_PAUSES_MS = [5_000, 10_000, 20_000, ...Array<number>(8).fill(30_000)];
/** The old and the new spelling; their SQLSTATE was never recorded. */
const NOT_YET_KNOWN = /(could not|cannot) validate/i;

/** All that is done in one session here may be done twice: when it is broken off (a restart, a deadlock), it is begun anew. */
const BROKEN_SESSION_PAUSES_MS = [500, 3_000];

/** Not after silence: it has been waited for long enough. */
const isBrokenOff = (error: unknown): boolean =>
  error instanceof KnownError &&
  (error.code === "database/unreachable" || error.code === "azure/busy") &&
  sqlStateOf(error) !== "ETIMEDOUT";

const isNotYetKnown = (error: unknown): boolean =>
  error instanceof KnownError && error.cause instanceof Error && NOT_YET_KNOWN.test(error.cause.message);

export interface PrincipalsContext {
  readonly environment: Environment;
  readonly credential: TokenCredential;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly onNote?: (note: string) => void;
}

export function principals({ environment, credential, signal, clock, onNote }: PrincipalsContext): Principals {
  const token = async () => (await accessToken(credential, environment.scopes.postgres, signal)).token;

  const inDatabase = async <T>(
    { host, port }: DatabaseServer,
    login: string,
    database: string,
    work: (session: SqlSession) => Promise<T>,
  ): Promise<T> => {
    for (let tries = 0; ; tries += 1) {
      const session = await connectSql({ host, port, database, user: login, token, environment, signal });
      try {
        return await work(session);
      } catch (error) {
        const pauseMs = BROKEN_SESSION_PAUSES_MS[tries];
        if (pauseMs === undefined || signal.aborted || !isBrokenOff(error)) throw error;
        onNote?.(`the work in ${database} was broken off, next try in ${pauseMs / 1000} s`);
        await pause(clock, signal, pauseMs);
      } finally {
        await session.close();
      }
    }
  };

  /** Creates the role, asking again while Entra does not know the identity yet. */
  const createIn = async (session: SqlSession, role: string, objectId: string): Promise<DatabasePrincipal> => {
    for (let tries = 0; ; tries += 1) {
      try {
        await session.query("SELECT pg_catalog.pgaadauth_create_principal_with_oid($1, $2, 'service', false, false)", [role, objectId]);
        break;
      } catch (error) {
        // The role is there already: whose it is shows below.
        if (sqlStateOf(error) === "42710") break;
        const pauseMs = NEW_IDENTITY_PAUSES_MS[tries];
        if (!isNotYetKnown(error) || pauseMs === undefined) throw error;
        onNote?.(`the identity of ${role} is not known to Entra yet, next try in ${pauseMs / 1000} s`);
        await pause(clock, signal, pauseMs);
      }
    }
    const found = await findIn(session, role);
    if (found?.objectId.toLowerCase() === objectId.toLowerCase()) return found;
    throw new KnownError("azure/conflict", `the database role ${role} belongs to another identity`, {
      hint: "`passwordless-pg doctor --fix` gives it to the current identity and keeps what it owns",
    });
  };

  const handOverIn = async (server: DatabaseServer, login: string, databases: readonly string[], what: HandOver): Promise<void> => {
    for (const database of databases) {
      const work = inDatabase(server, login, database, async (session) => {
        await moveTables(session, what.from, what.to);
        return handOver(session, database, what);
      });
      const notes = await work.catch((error: unknown) => {
        if (!(error instanceof KnownError) || error.code !== "database/denied") throw error;
        throw new KnownError("database/denied", `what ${what.from} owns and may do in database ${database} cannot be handed over`, {
          hint: "the owner of the object in the cause must take back what it granted the role (`\\dp` and `\\du` show who), then run the command again",
          cause: error.cause,
        });
      });
      for (const note of notes) onNote?.(note);
    }
  };

  return {
    find: (server, login, role) => inDatabase(server, login, HOME_DATABASE, (session) => findIn(session, role)),
    list: (server, login) =>
      inDatabase(server, login, HOME_DATABASE, async (session) =>
        toPrincipals(await session.query("SELECT * FROM pg_catalog.pgaadauth_list_principals(false)")),
      ),
    passwordRoles: (server, login) =>
      inDatabase(server, login, HOME_DATABASE, async (session) => {
        const known = new Set(
          toPrincipals(await session.query("SELECT * FROM pg_catalog.pgaadauth_list_principals(false)")).map(({ role }) => role),
        );
        const { rows } = await session.query(
          "SELECT rolname::text AS name FROM pg_catalog.pg_roles WHERE rolcanlogin AND NOT rolsuper AND rolname !~ '^(azure_|pg_)' ORDER BY 1",
        );
        return rows.map(({ name }) => String(name)).filter((name) => !known.has(name));
      }),
    canSignIn: async (server, login) => {
      try {
        return await inDatabase(server, login, HOME_DATABASE, async () => true);
      } catch (error) {
        if (error instanceof KnownError && error.code === "database/login-refused") return false;
        throw error;
      }
    },
    create: async (server, login, { role, objectId }) => {
      checkRoleName(role);
      return inDatabase(server, login, HOME_DATABASE, (session) => createIn(session, role, objectId));
    },
    // The documented way: reassign, drop, create again. What the role owns waits with a holder of fixed name, so a broken run can go on.
    repair: async (server, login, { role, objectId, databases }) => {
      checkRoleName(role);
      const holder = holderOf(role);
      return inDatabase(server, login, HOME_DATABASE, async (session) => {
        const existing = await findIn(session, role);
        if (existing && (existing.objectId.toLowerCase() !== objectId.toLowerCase() || existing.type !== "service")) {
          if (existing.isAdmin) {
            throw new KnownError("step/blocked", `the role ${role} is an administrator of the server: it is not touched`, {
              hint: "choose another role name for the app",
            });
          }
          await transaction(session, () => ensurePlaceholder(session, holder, role));
          await shutOut(session, role);
          const there = await databasesOf(session, role, databases);
          await handOverIn(server, login, there, { from: role, to: holder, keepsGrants: true, disarms: true });
          await run(session, `DROP ROLE ${quoteIdentifier(role)}`);
        }
        const created = await createIn(session, role, objectId);
        if (await isThere(session, holder)) {
          const held = await databasesOf(session, holder, databases);
          await handOverIn(server, login, held, { from: holder, to: role, keepsGrants: true, disarms: false });
          await run(session, `DROP ROLE ${quoteIdentifier(holder)}`);
        }
        return created;
      });
    },
    access: (server, login, database, role) =>
      inDatabase(server, login, database, async (session) => {
        const { rows } = await session.query(ACCESS, [role, placeholderOf(role)]);
        if (!rows[0]) throw new KnownError("database/failed", `there is no role ${role} on ${server.host}`);
        return toAccess(rows[0]);
      }),
    extraGrants: (server, login, database, role, level) =>
      inDatabase(server, login, database, (session) => readExtraGrants(session, role, level === "owner")),
    grant: async (server, login, database, role, level) => {
      checkRoleName(role);
      await inDatabase(server, login, database, async (session) => {
        const placeholder = placeholderOf(role);
        // A role that may only read or write owns nothing. While that is taken nobody works as it: else a lock of its own could hold us up.
        const retires = level !== "owner" && (await ownsAnything(session, role));
        if (retires) {
          await transaction(session, () => ensurePlaceholder(session, placeholder, role));
          await shutOut(session, role);
        }
        try {
          if (retires) await moveTables(session, role, placeholder);
          const notes = await transaction(session, async () => {
            const hooks = await unhook(session, role, placeholder);
            if (level === "owner") await takeBack(session, role);
            const disarmed = retires ? await retire(session, role) : [];
            await revokeAttributes(session, database, role); // lets it in again
            await setDatabasePrivileges(session, database, role, level);
            await setAllPrivileges(session, role, level);
            await setDefaultPrivileges(session, role, level);
            const kept = retires ? [describeKept(database, role)] : [];
            return [...describeUnhooked(database, hooks), ...kept, ...describeDisarmed(database, disarmed)];
          });
          for (const note of notes) onNote?.(note);
        } catch (error) {
          // A session that is gone cannot; then the role is barred, which the next run sees and repairs.
          if (retires) await letIn(session, role).catch(() => {});
          throw error;
        }
      });
    },
    owners: (server, login, database) =>
      inDatabase(server, login, database, async (session) => {
        const { rows } = await session.query(
          `SELECT DISTINCT pg_catalog.pg_get_userbyid(c.relowner)::text AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`,
        );
        return rows.map(({ name }) => String(name));
      }),
    drop: (server, login, { role, databases }) =>
      inDatabase(server, login, HOME_DATABASE, async (session) => {
        const existing = await findIn(session, role);
        const placeholder = placeholderOf(role);
        if (!existing) return dropEmpty(session, placeholder);
        if (existing.isAdmin) {
          throw new KnownError("step/blocked", `the role ${role} is an administrator of the server: it is not dropped`, {
            hint: "remove the administrator in Azure first",
          });
        }
        await transaction(session, () => ensurePlaceholder(session, placeholder, role));
        await shutOut(session, role);
        const there = await databasesOf(session, role, databases);
        await handOverIn(server, login, there, { from: role, to: placeholder, keepsGrants: false, disarms: true });
        await run(session, `DROP ROLE ${quoteIdentifier(role)}`);
        await dropEmpty(session, placeholder);
        if (await isThere(session, placeholder)) onNote?.(describeKept(there.join(", "), role));
      }),
    sweep: (server, login, roles) =>
      inDatabase(server, login, HOME_DATABASE, async (session) => {
        for (const role of roles) await dropEmpty(session, placeholderOf(role));
      }),
  };
}
