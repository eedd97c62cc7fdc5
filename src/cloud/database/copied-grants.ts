import { KnownError } from "../../base/errors.ts";
import { type SqlSession, sqlStateOf } from "./sql.ts";
import { asMemberOf, run } from "./transaction.ts";

/**
 * Every right that others have granted the role in this database, as a statement that gives it to another role, one that takes it, and the role that has to say them.
 * What the role owns needs none: it is handed over as it is.
 */
const GRANTS = `
  WITH source AS (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1),
  item AS (
    SELECT c.relowner AS owner, a.privilege_type AS word, a.is_grantable, a.grantee,
           pg_catalog.format('%s %I.%I', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.nspname, c.relname) AS target
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) a
    UNION ALL
    SELECT c.relowner, pg_catalog.format('%s (%I)', a.privilege_type, t.attname), a.is_grantable, a.grantee, pg_catalog.format('TABLE %I.%I', n.nspname, c.relname)
      FROM pg_catalog.pg_attribute t JOIN pg_catalog.pg_class c ON c.oid = t.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      CROSS JOIN LATERAL pg_catalog.aclexplode(t.attacl) a
    UNION ALL
    SELECT n.nspowner, a.privilege_type, a.is_grantable, a.grantee, pg_catalog.format('SCHEMA %I', n.nspname)
      FROM pg_catalog.pg_namespace n CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) a
    UNION ALL
    SELECT d.datdba, a.privilege_type, a.is_grantable, a.grantee, pg_catalog.format('DATABASE %I', d.datname)
      FROM pg_catalog.pg_database d CROSS JOIN LATERAL pg_catalog.aclexplode(d.datacl) a WHERE d.datname = pg_catalog.current_database()
    UNION ALL
    SELECT p.proowner, a.privilege_type, a.is_grantable, a.grantee, pg_catalog.format('ROUTINE %s', p.oid::regprocedure)
      FROM pg_catalog.pg_proc p CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) a)
  SELECT pg_catalog.pg_get_userbyid(owner)::text AS sayer,
         pg_catalog.format('GRANT %s ON %s TO %I%s', word, target, $2::text, CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS giving,
         pg_catalog.format('REVOKE %s ON %s FROM %I', word, target, $1::text) AS taking
    FROM item, source WHERE grantee = source.oid AND owner <> source.oid
  UNION ALL
  SELECT pg_catalog.pg_get_userbyid(d.defaclrole)::text,
         pg_catalog.format('%s GRANT %s TO %I', later.alter, later.rights, $2::text), pg_catalog.format('%s REVOKE %s FROM %I', later.alter, later.rights, $1::text)
    FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) a
    CROSS JOIN LATERAL (
      SELECT pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s', pg_catalog.pg_get_userbyid(d.defaclrole),
                    CASE WHEN n.nspname IS NULL THEN '' ELSE pg_catalog.format(' IN SCHEMA %I', n.nspname) END) AS alter,
             pg_catalog.format('%s ON %s', a.privilege_type, CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
                                                    WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END) AS rights) later, source
   WHERE a.grantee = source.oid AND d.defaclrole <> source.oid`;

/** What the role's own later objects in this database give to others, as statements that let another role's later objects give the same. */
const DEFAULT_PRIVILEGES = `
  SELECT pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s GRANT %s ON %s TO %s%s', $2::text,
                CASE WHEN n.nspname IS NULL THEN '' ELSE pg_catalog.format(' IN SCHEMA %I', n.nspname) END, a.privilege_type,
                CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END,
                CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.format('%I', pg_catalog.pg_get_userbyid(a.grantee)) END,
                CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS giving
    FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) a
   WHERE d.defaclrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1) AND a.grantee <> d.defaclrole`;

/**
 * Lets the later objects of `to` serve others as those of `from` do: `DROP OWNED` forgets it. Within a transaction, after `passGrants`, as a
 * member of both.
 */
export async function copyDefaultPrivileges(session: SqlSession, from: string, to: string): Promise<void> {
  const { rows } = await session.query(DEFAULT_PRIVILEGES, [from, to]);
  for (const { giving } of rows) await run(session, String(giving));
}

/**
 * Takes from `from` what others have granted it in this database and gives it to `to`, when there is one. As each owner, since `DROP OWNED`
 * leaves what the session's own roles did not grant. Within a transaction. Answers with the statements that were refused, because their object
 * belongs to somebody this administrator may not act for.
 */
export async function passGrants(session: SqlSession, from: string, to: string | undefined): Promise<string[]> {
  const { rows } = await session.query(GRANTS, [from, to ?? from]);
  const refused: string[] = [];
  for (const row of rows) {
    const statements = to === undefined ? [String(row.taking)] : [String(row.giving), String(row.taking)];
    await session.query("SAVEPOINT copied_grant");
    try {
      await asMemberOf(session, String(row.sayer), async () => {
        for (const statement of statements) await run(session, statement);
      });
    } catch (error) {
      const isRefusal = sqlStateOf(error) === "42501" || (error instanceof KnownError && error.code === "database/denied");
      if (!isRefusal) throw error;
      await session.query("ROLLBACK TO SAVEPOINT copied_grant");
      refused.push(statements.join("; "));
    }
  }
  return refused;
}
