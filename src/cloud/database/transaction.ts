import { KnownError } from "../../base/errors.ts";
import { quoteIdentifier, type SqlResult, type SqlSession } from "./sql.ts";

/**
 * Runs a statement whose warnings count as errors: a GRANT without grant option only warns (01007), and so does a REVOKE (01006).
 */
export async function run(session: SqlSession, text: string): Promise<SqlResult> {
  const result = await session.query(text);
  const refusal = result.notices.find(({ code }) => code === "01007" || code === "01006");
  if (refusal) {
    throw new KnownError("database/denied", "the administrator may not pass on these privileges", {
      hint: "the owner of the database or its tables must grant them: the cause names the object",
      cause: Object.assign(new Error(`${refusal.code}: ${refusal.message}`), { name: "PostgresError", code: refusal.code }),
    });
  }
  return result;
}

export async function transaction<T>(session: SqlSession, work: () => Promise<T>): Promise<T> {
  await session.query("BEGIN");
  try {
    const result = await work();
    await session.query("COMMIT");
    return result;
  } catch (error) {
    // The first error is the one to tell; a connection that is gone has rolled back by itself.
    await session.query("ROLLBACK").catch(() => {});
    throw error;
  }
}

/**
 * Does work that needs the rights of another role, by joining it for the time of the surrounding transaction.
 * Inferred for Azure: an Entra administrator may grant itself the roles it manages (CREATEROLE).
 */
export async function asMemberOf<T>(session: SqlSession, role: string, work: () => Promise<T>): Promise<T> {
  const { rows } = await session.query("SELECT pg_catalog.pg_has_role(current_user, $1::name, 'USAGE') AS is_member", [role]);
  if (rows[0]?.is_member === true) return work();
  await run(session, `GRANT ${quoteIdentifier(role)} TO CURRENT_USER`);
  const result = await work();
  await run(session, `REVOKE ${quoteIdentifier(role)} FROM CURRENT_USER`);
  return result;
}
