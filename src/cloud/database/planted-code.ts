import { quoteIdentifier, type SqlSession } from "./sql.ts";
import { asMemberOf, run } from "./transaction.ts";

/**
 * Code of a role that runs with the rights of somebody else, though nobody calls it: a trigger of the role on another's table runs as whoever
 * writes there, and PostgreSQL checks a foreign key as the owner of the table it points to, with the casts of the column's type
 * (`RI_FKey_check` in its source). Rows: `what` for people, `code` `trigger` or `constraint`, the table, its owner and the name, quoted.
 * `roles` is an array of names in SQL, the role with its placeholder.
 */
export const hooksOf = (roles: string): string => `
  SELECT 'trigger ' || t.tgname || ' on ' || n.nspname || '.' || c.relname AS what, 'trigger' AS code,
         pg_catalog.format('%I.%I', n.nspname, c.relname) AS target, pg_catalog.pg_get_userbyid(c.relowner)::text AS owner, t.tgname::text AS name
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
   WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND pg_catalog.pg_get_userbyid(p.proowner) = ANY (${roles})
     AND pg_catalog.pg_get_userbyid(c.relowner) <> ALL (${roles})
  UNION ALL
  SELECT 'foreign key ' || k.conname || ' from ' || n.nspname || '.' || c.relname || ' to a table of ' || pg_catalog.pg_get_userbyid(f.relowner),
         'constraint', pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.pg_get_userbyid(c.relowner)::text, k.conname::text
    FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
   WHERE k.contype = 'f' AND k.conparentid = 0 AND pg_catalog.pg_get_userbyid(c.relowner) = ANY (${roles})
     AND pg_catalog.pg_get_userbyid(f.relowner) <> ALL (${roles})
     AND EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
                   LEFT JOIN pg_catalog.pg_type b ON b.oid = y.typbasetype
                  WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND pg_catalog.pg_get_userbyid(y.typowner) = ANY (${roles})
                    AND (y.typtype <> 'd' OR b.typnamespace <> 'pg_catalog'::regnamespace))`;

/** Within a transaction: such triggers are switched off, such constraints dropped. Answers with what they were, for people. */
export async function unhook(session: SqlSession, role: string, placeholder: string): Promise<string[]> {
  const { rows } = await session.query(hooksOf("$1::name[]"), [[role, placeholder]]);
  for (const { code, target, owner, name } of rows) {
    const what = code === "trigger" ? "DISABLE TRIGGER" : "DROP CONSTRAINT";
    await asMemberOf(session, String(owner), () => run(session, `ALTER TABLE ${target} ${what} ${quoteIdentifier(String(name))}`));
  }
  return rows.map(({ what }) => String(what));
}

/**
 * Within a transaction, as a member of the role: its SECURITY DEFINER routines run with the rights of who calls them, and not everybody may.
 * A trigger needs no right to call its function: those of the role's tables that lived on the definer's rights are switched off, else they
 * would work with the rights of whoever writes there next. Answers with the names of the routines.
 */
export async function disarm(session: SqlSession, role: string): Promise<string[]> {
  const { rows: triggers } = await session.query(
    `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS target, t.tgname::text AS name
       FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
      WHERE r.rolname = $1 AND p.prosecdef AND c.relowner = r.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'`,
    [role],
  );
  for (const { target, name } of triggers) await run(session, `ALTER TABLE ${target} DISABLE TRIGGER ${quoteIdentifier(String(name))}`);
  const { rows } = await session.query(
    `SELECT p.oid::regprocedure::text AS name FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
      WHERE r.rolname = $1 AND p.prosecdef ORDER BY 1`,
    [role],
  );
  const names = rows.map(({ name }) => String(name));
  for (const name of names) {
    await run(session, `ALTER ROUTINE ${name} SECURITY INVOKER`);
    await run(session, `REVOKE ALL ON ROUTINE ${name} FROM PUBLIC`);
  }
  return names;
}
