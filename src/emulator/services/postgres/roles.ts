import { escapeIdentifier, escapeLiteral } from "pg";
import type { LoginRole } from "../../machines/postgres/login.ts";
import type { PostgresMachine } from "../../machines/postgres/machine.ts";
import type { Platform } from "../../platform.ts";
import type { Administrator, FlexibleServer } from "./model.ts";

/**
 * What a login is judged by; asked anew for each. It runs as the superuser in a database where apps may own objects: every session of the machine
 * searches `pg_catalog` only (`admin-options.ts`).
 */
export async function findRole(machine: PostgresMachine, user: string): Promise<LoginRole | undefined> {
  const [found] = await machine.administer(
    `SELECT r.rolpassword AS verifier, l.label FROM pg_catalog.pg_authid r
     LEFT JOIN pg_catalog.pg_shseclabel l
       ON l.objoid = r.oid AND l.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND l.provider = 'pgaadauth'
     WHERE r.rolname = ${escapeLiteral(user)}::pg_catalog.name`,
  );
  if (!found) return undefined;
  const label = typeof found.label === "string" ? found.label : undefined;
  const [, type] = /(?:^|,)type=([^,]+)/.exec(label ?? "") ?? [];
  const [, objectId] = /(?:^|,)oid=([^,]+)/.exec(label ?? "") ?? [];
  return {
    isEntra: label !== undefined,
    ...(type ? { type } : {}),
    ...(objectId ? { objectId } : {}),
    ...(typeof found.verifier === "string" ? { verifier: found.verifier } : {}),
  };
}

/** Gives the server the names `pgaadauth_create_principal` resolves. One batch, hence one transaction. */
export async function publishDirectory(machine: PostgresMachine, tenantId: string, directory: Platform["directory"]): Promise<void> {
  const rows = directory.list().flatMap((principal) => {
    const name = principal.type === "User" ? (principal.userPrincipalName ?? principal.displayName) : principal.displayName;
    if (name.includes("\0")) return []; // no role can be called that
    return `(${[name, labelType(principal.type), principal.objectId].map(escapeLiteral).join(", ")})`;
  });
  await machine.administer(
    [
      "DELETE FROM pgaadauth_local.tenant",
      `INSERT INTO pgaadauth_local.tenant VALUES (${escapeLiteral(tenantId)})`,
      "DELETE FROM pgaadauth_local.principals",
      ...(rows.length > 0 ? [`INSERT INTO pgaadauth_local.principals VALUES ${rows.join(", ")}`] : []),
    ].join(";"),
  );
}

function labelType(type: Administrator["principalType"]): "user" | "group" | "service" {
  return type === "ServicePrincipal" ? "service" : type === "Group" ? "group" : "user";
}

/** Creates or relabels the role of an administrator that ARM names. Repeatable. */
export async function putAdministratorRole(machine: PostgresMachine, administrator: Administrator): Promise<void> {
  const role = administrator.principalName;
  const known = await machine.administer(`SELECT FROM pg_catalog.pg_authid WHERE rolname = ${escapeLiteral(role)}::pg_catalog.name`);
  const values = [role, administrator.objectId, labelType(administrator.principalType)].map(escapeLiteral).join(", ");
  if (known.length === 0) {
    await machine.administer(`SELECT pgaadauth_local.create_role(${values}, true, false)`);
    return;
  }
  await machine.administer(
    [
      `ALTER ROLE ${escapeIdentifier(role)} LOGIN CREATEROLE CREATEDB`,
      `GRANT azure_pg_admin TO ${escapeIdentifier(role)} WITH ADMIN OPTION`,
      `SELECT pgaadauth_local.label_role(${values}, true, false)`,
    ].join(";"),
  );
}

/** Drops an administrator's role; what it owned goes to `azure_pg_admin` (inferred: Azure does not say where it goes). Repeatable. */
export async function dropAdministratorRole(machine: PostgresMachine, role: string): Promise<void> {
  const known = await machine.administer(`SELECT FROM pg_catalog.pg_authid WHERE rolname = ${escapeLiteral(role)}::pg_catalog.name`);
  if (known.length === 0) return;
  const name = escapeIdentifier(role);
  const databases = await machine.administer("SELECT datname FROM pg_catalog.pg_database WHERE datallowconn");
  for (const { datname } of databases) {
    await machine.query(String(datname), `REASSIGN OWNED BY ${name} TO azure_pg_admin; DROP OWNED BY ${name}`);
  }
  await machine.administer(`DROP ROLE ${name}`);
}

/** The login with a password, where the server has one: a member of `azure_pg_admin` without an Entra label. */
export async function putPasswordAdministrator(machine: PostgresMachine, server: FlexibleServer | undefined): Promise<void> {
  const { administratorLogin, administratorVerifier } = server ?? {};
  if (!administratorLogin || !administratorVerifier) return;
  const role = escapeIdentifier(administratorLogin);
  const known = await machine.administer(
    `SELECT FROM pg_catalog.pg_authid WHERE rolname = ${escapeLiteral(administratorLogin)}::pg_catalog.name`,
  );
  await machine.administer(
    [
      ...(known.length === 0 ? [`CREATE ROLE ${role} LOGIN CREATEROLE CREATEDB`] : []),
      `ALTER ROLE ${role} PASSWORD ${escapeLiteral(administratorVerifier)}`,
      `GRANT azure_pg_admin TO ${role} WITH ADMIN OPTION`,
    ].join(";"),
  );
}
