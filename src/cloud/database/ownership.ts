import { createHash } from "node:crypto";
import { KnownError } from "../../base/errors.ts";
import { copyDefaultPrivileges, passGrants } from "./copied-grants.ts";
import { disarm, unhook } from "./planted-code.ts";
import { quoteIdentifier, quoteLiteral, type SqlSession } from "./sql.ts";
import { asMemberOf, run, transaction } from "./transaction.ts";

/**
 * What a role owns never goes to a person. A SECURITY DEFINER routine, a view, a rule, an index expression, a materialized view works with the
 * rights of its owner, and PostgreSQL lets everybody call a new routine: one that belongs to an administrator makes its author one. So it goes
 * to a placeholder, a role without login and rights that is made for this one role.
 */

/** Where the objects of a role stay when it may own nothing any more, or is gone: the same name for the same role, and no other role's. */
export function placeholderRole(role: string): string {
  return `ppg_${hashOf(role)}_kept`;
}

/** Where they wait while the role is made anew. One that is there means that an earlier run was broken off. */
export function heldRole(role: string): string {
  return `ppg_${hashOf(role)}_held`;
}

/** Names that `placeholderRole` gives, as a pattern for LIKE. */
export const PLACEHOLDERS = "ppg\\_%\\_kept";

function hashOf(role: string): string {
  return createHash("sha256").update(role).digest("hex").slice(0, 24);
}

export async function isThere(session: SqlSession, role: string): Promise<boolean> {
  return (await session.query("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1", [role])).rows.length > 0;
}

/** What is wrong with a role of a placeholder's name: it may do something, or somebody but an administrator may act as it. */
const FLAWS = `
  SELECT r.rolcanlogin AS can_login,
         r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls
           OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid) AS has_rights,
         EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.member
                  WHERE m.roleid = r.oid AND g.rolname <> 'azure_pg_admin' AND NOT g.rolcreaterole AND NOT g.rolsuper) AS has_members
    FROM pg_catalog.pg_roles r WHERE r.rolname = $1`;

/** Makes the placeholder; one that is there must be what it is meant to be. Throws `azure/conflict` when it is not. */
export async function ensurePlaceholder(session: SqlSession, placeholder: string, role: string): Promise<void> {
  const [found] = (await session.query(FLAWS, [placeholder])).rows;
  const flaws = ["can_login", "has_rights", "has_members"].filter((flaw) => found?.[flaw] === true);
  if (flaws.length > 0) {
    throw new KnownError("azure/conflict", `the role ${placeholder} is not the bare placeholder it was made as (${flaws.join(", ")})`, {
      hint: `it keeps what ${role} owned: take its rights and members (\`\\du\` in psql shows them), then run the command again`,
    });
  }
  if (found) return;
  const name = quoteIdentifier(placeholder);
  await run(session, `CREATE ROLE ${name} NOLOGIN`);
  const note = `keeps what the role ${role} owned; made by passwordless-pg`;
  await session.query(`COMMENT ON ROLE ${name} IS ${quoteLiteral(note)}`);
  await lendToAdministrators(session, name);
}

/**
 * Any administrator of the server may act for the placeholder, not only the one who made it, but none has its rights without asking: what the
 * app made would run with his. Before PostgreSQL 16 whoever may make roles may act for any. Inferred for Azure: whoever made a role may grant
 * it to `azure_pg_admin`; where that is refused, the maker alone may.
 */
async function lendToAdministrators(session: SqlSession, name: string): Promise<void> {
  const { rows } = await session.query("SELECT pg_catalog.current_setting('server_version_num')::int >= 160000 AS has_options");
  if (rows[0]?.has_options !== true) return;
  await session.query("SAVEPOINT lent");
  await session.query(`GRANT ${name} TO azure_pg_admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`).catch(async (error: unknown) => {
    if (!(error instanceof KnownError) || !error.code.startsWith("database/")) throw error;
    await session.query("ROLLBACK TO SAVEPOINT lent");
  });
}

/** Does the role own anything in this database that a level speaks of? Large objects are rows, and temporary ones its own: any role may make them. */
export async function ownsAnything(session: SqlSession, role: string): Promise<boolean> {
  const { rows } = await session.query(
    `SELECT 1 FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
      CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, 0) i
      WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND r.rolname = $1 AND d.deptype = 'o'
        AND d.classid NOT IN ('pg_catalog.pg_default_acl'::regclass, 'pg_catalog.pg_largeobject'::regclass)
        AND (i.schema IS NULL OR i.schema NOT LIKE 'pg\\_temp\\_%')
        AND d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) LIMIT 1`,
    [role],
  );
  return rows.length > 0;
}

/** Roles that own tables, views or sequences in this database; what belongs to an extension is left out. */
export async function readOwners(session: SqlSession): Promise<string[]> {
  const { rows } = await session.query(
    `SELECT DISTINCT pg_catalog.pg_get_userbyid(c.relowner)::text AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`,
  );
  return rows.map(({ name }) => String(name));
}

/**
 * Within a transaction, after `shutOut`: all that the role owns in this database goes to its placeholder, but for its large objects, which are
 * its rows. Answers with the routines that lost SECURITY DEFINER.
 */
export async function retire(session: SqlSession, role: string): Promise<string[]> {
  const placeholder = placeholderRole(role);
  return asMemberOf(session, role, () =>
    asMemberOf(session, placeholder, async () => {
      await reassign(session, role, placeholder);
      await giveLargeObjects(session, placeholder, role);
      await takeFromOthers(session, placeholder);
      return disarm(session, placeholder);
    }),
  );
}

/** What goes in one transaction: PostgreSQL has room for some thousand locks, and each table takes several. */
const TABLES_A_TIME = 200;

/**
 * Before `retire` or `handOver`, in transactions of its own: most of the tables, views and sequences that the role owns in this database, a few
 * at a time. A sequence goes with the column that it serves.
 */
export async function moveTables(session: SqlSession, from: string, to: string): Promise<void> {
  for (;;) {
    const { rows } = await session.query(
      `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS target
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
        WHERE r.rolname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
                             AND (d.deptype = 'e' OR (c.relkind = 'S' AND d.deptype IN ('a', 'i'))))
        LIMIT ${TABLES_A_TIME}`,
      [from],
    );
    if (rows.length < TABLES_A_TIME) return;
    await transaction(session, () =>
      asMemberOf(session, from, () =>
        asMemberOf(session, to, () =>
          lending(session, from, to, async () => {
            for (const { target } of rows) await run(session, `ALTER TABLE ${target} OWNER TO ${quoteIdentifier(to)}`);
          }),
        ),
      ),
    );
  }
}

/** Within a transaction: the role owns again what its placeholder kept of it in this database; an empty placeholder goes. */
export async function takeBack(session: SqlSession, role: string): Promise<void> {
  const placeholder = placeholderRole(role);
  if (!(await isThere(session, placeholder))) return;
  await asMemberOf(session, role, () => asMemberOf(session, placeholder, () => reassign(session, placeholder, role)));
  await dropEmpty(session, placeholder);
}

/** Drops a placeholder that keeps nothing in any database. */
export async function dropEmpty(session: SqlSession, placeholder: string): Promise<void> {
  const { rows } = await session.query(
    `SELECT 1 FROM pg_catalog.pg_roles r WHERE r.rolname = $1 AND NOT EXISTS (
       SELECT FROM pg_catalog.pg_shdepend d WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = r.oid AND d.deptype = 'o')`,
    [placeholder],
  );
  if (rows.length > 0) await run(session, `DROP ROLE ${quoteIdentifier(placeholder)}`);
}

/** Schemas in which `$1` owns something and `$2` may not create. `quote_ident`, since `pg_identify_object` quotes. */
const CLOSED_SCHEMAS = `
  SELECT DISTINCT n.nspname::text AS schema, pg_catalog.pg_get_userbyid(n.nspowner)::text AS owner
    FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
    CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, 0) i
    JOIN pg_catalog.pg_namespace n ON pg_catalog.quote_ident(n.nspname) = i.schema
   WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.deptype = 'o' AND r.rolname = $1
     AND d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
     AND n.nspname NOT LIKE 'pg\\_temp\\_%' AND NOT pg_catalog.has_schema_privilege($2::name, n.oid, 'CREATE')`;

/** The database, when `$1` owns a publication in it and `$2` may not create there. */
const CLOSED_DATABASE = `
  SELECT b.datname::text AS database, pg_catalog.pg_get_userbyid(b.datdba)::text AS owner FROM pg_catalog.pg_database b
   WHERE b.datname = pg_catalog.current_database() AND NOT pg_catalog.has_database_privilege($2::name, b.oid, 'CREATE')
     AND EXISTS (SELECT FROM pg_catalog.pg_publication p WHERE pg_catalog.pg_get_userbyid(p.pubowner) = $1)`;

/**
 * Within a transaction, as a member of both. Whoever gets a routine, a type or an operator must be allowed to create in its schema, whoever
 * gets a publication in the database: that is lent for the time of the transaction, and nobody else sees it (PostgreSQL documentation,
 * "ALTER FUNCTION", "ALTER PUBLICATION").
 */
async function lending(session: SqlSession, from: string, to: string, work: () => Promise<void>): Promise<void> {
  const { rows } = await session.query(CLOSED_SCHEMAS, [from, to]);
  const [closed] = (await session.query(CLOSED_DATABASE, [from, to])).rows;
  const each = async (word: (on: string, role: string) => string): Promise<void> => {
    for (const { schema, owner } of rows) {
      // A schema of its own goes along, and its owner may create there.
      const isOwn = owner === from && word === taking;
      const statement = word(`CREATE ON SCHEMA ${quoteIdentifier(String(schema))}`, quoteIdentifier(to));
      if (!isOwn) await asMemberOf(session, String(owner), () => run(session, statement));
    }
    if (!closed) return;
    const statement = word(`CREATE ON DATABASE ${quoteIdentifier(String(closed.database))}`, quoteIdentifier(to));
    await asMemberOf(session, String(closed.owner), () => run(session, statement));
  };
  await each(giving);
  await work();
  await each(taking);
}

async function reassign(session: SqlSession, from: string, to: string): Promise<void> {
  await lending(session, from, to, async () => {
    await run(session, `REASSIGN OWNED BY ${quoteIdentifier(from)} TO ${quoteIdentifier(to)}`);
  });
}

const giving = (right: string, role: string): string => `GRANT ${right} TO ${role}`;
const taking = (right: string, role: string): string => `REVOKE ${right} FROM ${role}`;

async function giveLargeObjects(session: SqlSession, from: string, to: string): Promise<void> {
  const { rows } = await session.query(
    `SELECT o.oid::text AS number FROM pg_catalog.pg_largeobject_metadata o JOIN pg_catalog.pg_roles r ON r.oid = o.lomowner WHERE r.rolname = $1`,
    [from],
  );
  for (const { number } of rows) await session.query(`ALTER LARGE OBJECT ${Number(number)} OWNER TO ${quoteIdentifier(to)}`);
}

/**
 * Within a transaction, as a member of the role: what it gave PUBLIC on its tables, sequences and schemas is taken, and what it let others pass
 * on, with what they did: each would be a way around its own lower level. What one is given at its own level has no grant option and stays.
 */
async function takeFromOthers(session: SqlSession, role: string): Promise<void> {
  const { rows } = await session.query(
    `WITH item (target, acl, owner) AS (
       SELECT pg_catalog.format('%s %I.%I', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.nspname, c.relname), x.acl, c.relowner
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         CROSS JOIN LATERAL (SELECT c.relacl AS acl UNION ALL SELECT t.attacl FROM pg_catalog.pg_attribute t WHERE t.attrelid = c.oid) x
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
       UNION ALL SELECT pg_catalog.format('SCHEMA %I', n.nspname), n.nspacl, n.nspowner FROM pg_catalog.pg_namespace n)
     SELECT DISTINCT i.target, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.format('%I', pg_catalog.pg_get_userbyid(a.grantee)) END AS grantee
       FROM item i JOIN pg_catalog.pg_roles r ON r.oid = i.owner CROSS JOIN LATERAL pg_catalog.aclexplode(i.acl) a
      WHERE r.rolname = $1 AND a.grantee <> i.owner AND (a.grantee = 0 OR a.is_grantable)`,
    [role],
  );
  for (const { target, grantee } of rows) await run(session, `REVOKE ALL ON ${target} FROM ${grantee} CASCADE`);
}

export interface HandOver {
  readonly from: string;
  readonly to: string;
  /** What others have granted `from`, and what its later tables give others, goes along. */
  readonly keepsGrants: boolean;
  /** `to` is a role without rights: what would lend it some is disarmed. */
  readonly disarms: boolean;
}

/**
 * In one transaction: `to` owns what `from` owned in the database of the session, and `from` is left without any right there. Answers with
 * what a person should know of it.
 */
export function handOver(session: SqlSession, database: string, { from, to, keepsGrants, disarms }: HandOver): Promise<string[]> {
  return transaction(session, () =>
    asMemberOf(session, from, () =>
      asMemberOf(session, to, async () => {
        const lost = await passGrants(session, from, keepsGrants ? to : undefined);
        if (keepsGrants) await copyDefaultPrivileges(session, from, to);
        const hooks = disarms ? await unhook(session, from, to) : [];
        await reassign(session, from, to);
        const disarmed = disarms ? await disarm(session, to) : [];
        await run(session, `DROP OWNED BY ${quoteIdentifier(from)}`);
        const unpassed = lost.map((right) => `${database}: not passed on to ${to}: ${right}`);
        return [...unpassed, ...describeUnhooked(database, hooks), ...describeDisarmed(database, disarmed)];
      }),
    ),
  );
}

/** What became of the objects of a role that may own nothing any more, and how a person gets at them. */
export function describeKept(databases: string, role: string): string {
  const name = quoteIdentifier(placeholderRole(role));
  return `what ${role} owned in ${databases} belongs to ${name}, a role without login and rights; GRANT ${name} TO an administrator opens it`;
}

/** `shop: code of the app no longer runs on tables of others: trigger t on public.orders`; nothing where there was none. */
export function describeUnhooked(database: string, hooks: readonly string[]): string[] {
  return listed(`${database}: code of the app no longer runs on tables of others`, hooks);
}

/** `shop: no longer SECURITY DEFINER, and not for everybody: public.f(integer)`; nothing where there was none. */
export function describeDisarmed(database: string, routines: readonly string[]): string[] {
  return listed(`${database}: no longer SECURITY DEFINER, and not for everybody`, routines);
}

function listed(what: string, words: readonly string[]): string[] {
  if (words.length === 0) return [];
  return [`${what}: ${words.slice(0, 10).join(", ")}${words.length > 10 ? ` and ${words.length - 10} more` : ""}`];
}

/**
 * Nobody signs in as the role any more, and who has goes: else it could make something between the hand-over and its own end, which would be
 * lost. A session outlives its role, without any right: an app's pool would be refused for as long as it keeps such connections.
 */
export async function shutOut(session: SqlSession, role: string): Promise<void> {
  await transaction(session, () => asMemberOf(session, role, () => run(session, `ALTER ROLE ${quoteIdentifier(role)} NOLOGIN`)));
  await transaction(session, () => asMemberOf(session, role, () => endSessions(session, role)));
}

/** How often, and how long between, it is looked whether an ended session is gone: 5 s. */
const GOODBYES = 50;
const GOODBYE_S = 0.1;

/** Undoes `shutOut` where the work that it was for was not done. */
export async function letIn(session: SqlSession, role: string): Promise<void> {
  await transaction(session, () => asMemberOf(session, role, () => run(session, `ALTER ROLE ${quoteIdentifier(role)} LOGIN`)));
}

/** Ends the sessions of a role that the session's own role is a member of, and waits a little until they and their temporary objects are gone. */
async function endSessions(session: SqlSession, role: string): Promise<void> {
  await session.query("SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename = $1", [role]);
  for (let looks = 0; looks < GOODBYES; looks += 1) {
    // What a transaction sees of other sessions is what it saw first.
    await session.query("SELECT pg_catalog.pg_stat_clear_snapshot()");
    const { rows } = await session.query("SELECT 1 FROM pg_catalog.pg_stat_activity WHERE usename = $1", [role]);
    if (rows.length === 0) return;
    await session.query("SELECT pg_catalog.pg_sleep($1)", [GOODBYE_S]);
  }
}

/** Databases that hold objects or grants of the role, with those that were named and exist; the one of the functions last. */
export async function databasesOf(session: SqlSession, role: string, named: readonly string[]): Promise<string[]> {
  const { rows } = await session.query(
    `SELECT d.datname::text AS name FROM pg_catalog.pg_database d
      WHERE d.datallowconn AND NOT d.datistemplate
        AND (d.datname = ANY($2) OR EXISTS (
          SELECT FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid
           WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND r.rolname = $1 AND s.dbid = d.oid))
      ORDER BY d.datname = 'postgres', 1`,
    [role, named],
  );
  return rows.map(({ name }) => String(name));
}
