import { KnownError } from "../../base/errors.ts";
import { retry } from "../../base/retry.ts";
import {
  databasesOf,
  describeKept,
  dropEmpty,
  ensurePlaceholder,
  type HandOver,
  handOver,
  heldRole,
  isThere,
  moveTables,
  placeholderRole,
  shutOut,
} from "./ownership.ts";
import type { ServerSession } from "./session.ts";
import { quoteIdentifier, type SqlResult, type SqlSession, sqlStateOf } from "./sql.ts";
import { run, transaction } from "./transaction.ts";

export interface DatabasePrincipal {
  readonly role: string;
  /** Object ID in the role's label; empty when the role has none. */
  readonly objectId: string;
  /** `service`, `user`, `group`, or `none` for a role that Entra does not know. */
  readonly type: string;
  readonly isAdmin: boolean;
}

/** Throws "project/invalid" for a name PostgreSQL would cut (63 bytes), reserve, or take for everybody: `GRANT … TO "public"` means PUBLIC, quoted or not. */
export function checkRoleName(role: string): void {
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

/** Where the `pgaadauth_*` functions live, and only there. */
const HOME_DATABASE = "postgres";

const isSame = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

async function listIn(session: SqlSession): Promise<DatabasePrincipal[]> {
  return toPrincipals(await session.query("SELECT * FROM pg_catalog.pgaadauth_list_principals(false)"));
}

async function findIn(session: SqlSession, role: string): Promise<DatabasePrincipal | undefined> {
  const found = (await listIn(session)).find((principal) => principal.role === role);
  if (found) return found;
  return (await isThere(session, role)) ? { role, objectId: "", type: "none", isAdmin: false } : undefined;
}

export function listRoles(server: ServerSession): Promise<DatabasePrincipal[]> {
  return server.in(HOME_DATABASE, listIn);
}

export function findRole(server: ServerSession, role: string): Promise<DatabasePrincipal | undefined> {
  return server.in(HOME_DATABASE, (session) => findIn(session, role));
}

export function listPasswordRoles(server: ServerSession): Promise<string[]> {
  return server.in(HOME_DATABASE, async (session) => {
    const known = new Set((await listIn(session)).map(({ role }) => role));
    const { rows } = await session.query(
      "SELECT rolname::text AS name FROM pg_catalog.pg_roles WHERE rolcanlogin AND NOT rolsuper AND rolname !~ '^(azure_|pg_)' ORDER BY 1",
    );
    return rows.map(({ name }) => String(name)).filter((name) => !known.has(name));
  });
}

export async function canSignIn(server: ServerSession): Promise<boolean> {
  try {
    return await server.in(HOME_DATABASE, async () => true);
  } catch (error) {
    if (error instanceof KnownError && error.code === "database/login-refused") return false;
    throw error;
  }
}

/** Pauses while Entra learns of a new identity: some minutes (App Service and PostgreSQL notes). */
const NEW_IDENTITY_PAUSES_MS = [5_000, 10_000, 20_000, ...Array<number>(8).fill(30_000)];
/** The old and the new spelling; their SQLSTATE was never recorded. */
const NOT_YET_KNOWN = /(could not|cannot) validate/i;

const isNotYetKnown = (error: unknown): boolean =>
  error instanceof KnownError && error.cause instanceof Error && NOT_YET_KNOWN.test(error.cause.message);

/** The role of an app, and the object ID of the identity that signs in as it. */
export interface AppRole {
  readonly role: string;
  readonly objectId: string;
}

export async function createRole(server: ServerSession, app: AppRole): Promise<DatabasePrincipal> {
  checkRoleName(app.role);
  return server.in(HOME_DATABASE, (session) => createIn(server, session, app));
}

async function createIn(server: ServerSession, session: SqlSession, app: AppRole): Promise<DatabasePrincipal> {
  await createPrincipal(server, session, app);
  const found = await findIn(session, app.role);
  if (found && isSame(found.objectId, app.objectId)) return found;
  throw new KnownError("azure/conflict", `the database role ${app.role} belongs to another identity`, {
    hint: "`passwordless-pg doctor --fix` gives it to the current identity and keeps what it owns",
  });
}

/** Asks again while Entra does not know the identity yet. */
async function createPrincipal(server: ServerSession, session: SqlSession, { role, objectId }: AppRole): Promise<void> {
  const create = () =>
    session.query("SELECT pg_catalog.pgaadauth_create_principal_with_oid($1, $2, 'service', false, false)", [role, objectId]);
  const pauseMs = (error: unknown, tries: number): number | undefined => {
    const ms = isNotYetKnown(error) ? NEW_IDENTITY_PAUSES_MS[tries - 1] : undefined;
    if (ms !== undefined) server.note(`the identity of ${role} is not known to Entra yet, next try in ${ms / 1000} s`);
    return ms;
  };
  try {
    await retry(create, { ...server, pauseMs: ({ error, tries }) => pauseMs(error, tries) });
  } catch (error) {
    // The role is there already: whose it is shows afterwards.
    if (sqlStateOf(error) !== "42710") throw error;
  }
}

/** The documented way: reassign, drop, create again. What the role owns waits with a role of fixed name, so a broken run can go on. */
export async function repairRole(server: ServerSession, app: AppRole, databases: readonly string[]): Promise<DatabasePrincipal> {
  const { role, objectId } = app;
  checkRoleName(role);
  const held = heldRole(role);
  return server.in(HOME_DATABASE, async (session) => {
    const existing = await findIn(session, role);
    if (existing && !(isSame(existing.objectId, objectId) && existing.type === "service")) {
      refuseAdministrator(existing, "touched", "choose another role name for the app");
      await transaction(session, () => ensurePlaceholder(session, held, role));
      await shutOut(session, role);
      const there = await databasesOf(session, role, databases);
      await handOverIn(server, there, { from: role, to: held, keepsGrants: true, disarms: true });
      await run(session, `DROP ROLE ${quoteIdentifier(role)}`);
    }
    const created = await createIn(server, session, app);
    if (await isThere(session, held)) {
      const there = await databasesOf(session, held, databases);
      await handOverIn(server, there, { from: held, to: role, keepsGrants: true, disarms: false });
      await run(session, `DROP ROLE ${quoteIdentifier(held)}`);
    }
    return created;
  });
}

function refuseAdministrator({ role, isAdmin }: DatabasePrincipal, touched: string, hint: string): void {
  if (!isAdmin) return;
  throw new KnownError("step/blocked", `the role ${role} is an administrator of the server: it is not ${touched}`, { hint });
}

async function handOverIn(server: ServerSession, databases: readonly string[], what: HandOver): Promise<void> {
  for (const database of databases) {
    const work = server.in(database, async (session) => {
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
    for (const note of notes) server.note(note);
  }
}

export function dropRole(server: ServerSession, role: string, databases: readonly string[]): Promise<void> {
  const placeholder = placeholderRole(role);
  return server.in(HOME_DATABASE, async (session) => {
    const existing = await findIn(session, role);
    if (!existing) return dropEmpty(session, placeholder);
    refuseAdministrator(existing, "dropped", "remove the administrator in Azure first");
    await transaction(session, () => ensurePlaceholder(session, placeholder, role));
    await shutOut(session, role);
    const there = await databasesOf(session, role, databases);
    await handOverIn(server, there, { from: role, to: placeholder, keepsGrants: false, disarms: true });
    await run(session, `DROP ROLE ${quoteIdentifier(role)}`);
    await dropEmpty(session, placeholder);
    if (await isThere(session, placeholder)) server.note(describeKept(there.join(", "), role));
  });
}

export function sweepPlaceholders(server: ServerSession, roles: readonly string[]): Promise<void> {
  return server.in(HOME_DATABASE, async (session) => {
    for (const role of roles) await dropEmpty(session, placeholderRole(role));
  });
}
