import type { AccessLevel } from "../../base/access-level.ts";
import { KnownError } from "../../base/errors.ts";
import { readAccess } from "./access.ts";
import { setDefaultPrivileges } from "./default-privileges.ts";
import {
  describeDisarmed,
  describeKept,
  describeUnhooked,
  ensurePlaceholder,
  letIn,
  moveTables,
  ownsAnything,
  placeholderRole,
  retire,
  shutOut,
  takeBack,
} from "./ownership.ts";
import { unhook } from "./planted-code.ts";
import { privilegesOf } from "./privileges.ts";
import { quoteIdentifier, type SqlSession, sqlStateOf } from "./sql.ts";
import { asMemberOf, run, transaction } from "./transaction.ts";

/** Which role is to have which access in which database. */
export interface Grant {
  readonly database: string;
  readonly role: string;
  readonly level: AccessLevel;
}

/**
 * Makes the role's access in the session's database exactly the level: gives what is missing, takes what is too much. Answers with what a
 * person should know of it.
 */
export async function grantLevel(session: SqlSession, grant: Grant): Promise<string[]> {
  const { role, level } = grant;
  // A role that may only read or write owns nothing. While that is taken nobody works as it: else a lock of its own could hold us up.
  if (level === "owner" || !(await ownsAnything(session, role))) return transaction(session, () => setLevel(session, grant, false));
  const placeholder = placeholderRole(role);
  await transaction(session, () => ensurePlaceholder(session, placeholder, role));
  await shutOut(session, role);
  try {
    await moveTables(session, role, placeholder);
    return await transaction(session, () => setLevel(session, grant, true));
  } catch (error) {
    // A session that is gone cannot; then the role is barred, which the next run sees and repairs.
    await letIn(session, role).catch(() => {});
    throw error;
  }
}

/** Within a transaction. `retires`: the role owns something, and may not. */
async function setLevel(session: SqlSession, { database, role, level }: Grant, retires: boolean): Promise<string[]> {
  const hooks = await unhook(session, role, placeholderRole(role));
  if (level === "owner") await takeBack(session, role);
  const disarmed = retires ? await retire(session, role) : [];
  await revokeAttributes(session, database, role); // lets it in again
  await setDatabasePrivileges(session, database, role, level);
  await setAllPrivileges(session, role, level);
  await setDefaultPrivileges(session, role, level);
  const kept = retires ? [describeKept(database, role)] : [];
  return [...describeUnhooked(database, hooks), ...kept, ...describeDisarmed(database, disarmed)];
}

/**
 * Takes memberships and attributes that no level has, what bars the role from signing in and the settings that mislead it;
 * what only a superuser can take stays, and shows in the differences.
 */
async function revokeAttributes(session: SqlSession, database: string, role: string): Promise<void> {
  const access = await readAccess(session, role);
  if (!access) return;
  const { memberOf, canCreateRole, canCreateDatabase, loginBlockers, misleadingSettings } = access;
  for (const group of memberOf) await session.query(`REVOKE ${quoteIdentifier(group)} FROM ${quoteIdentifier(role)}`);
  const free = loginBlockers.length > 0 && "LOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity'";
  const words = [canCreateRole && "NOCREATEROLE", canCreateDatabase && "NOCREATEDB", free].filter((word) => word !== false);
  if (words.length > 0) await session.query(`ALTER ROLE ${quoteIdentifier(role)} ${words.join(" ")}`);
  for (const { name, scope } of misleadingSettings.filter((setting) => setting.scope !== "database")) {
    const where = scope === "role" ? "" : ` IN DATABASE ${quoteIdentifier(database)}`;
    await session.query(`ALTER ROLE ${quoteIdentifier(role)}${where} RESET ${name}`);
  }
}

async function setDatabasePrivileges(session: SqlSession, database: string, role: string, level: AccessLevel): Promise<void> {
  const to = quoteIdentifier(role);
  const on = `ON DATABASE ${quoteIdentifier(database)}`;
  await run(session, `REVOKE ALL ${on} FROM ${to}`);
  await run(session, `REVOKE ALL ON SCHEMA public FROM ${to}`);
  await run(session, `GRANT ${level === "owner" ? "CONNECT, TEMPORARY" : "CONNECT"} ${on} TO ${to}`);
  await run(session, `GRANT ${level === "owner" ? "USAGE, CREATE" : "USAGE"} ON SCHEMA public TO ${to}`);
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
