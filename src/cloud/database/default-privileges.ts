import type { AccessLevel } from "../../base/access-level.ts";
import { privilegesOf } from "./privileges.ts";
import { quoteIdentifier, type SqlSession } from "./sql.ts";
import { asMemberOf, run } from "./transaction.ts";

/** Roles beside the administrator that make tables in schema public and whose default privileges the administrator may set. */
export const CREATORS = `
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

/** What tables, sequences and routines made later give the role, whoever of the administrator and the creators makes them. */
export async function setDefaultPrivileges(session: SqlSession, role: string, level: AccessLevel): Promise<void> {
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
