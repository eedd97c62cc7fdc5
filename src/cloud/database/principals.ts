import type { AccessLevel } from "../../base/access-level.ts";
import type { DatabaseAccess } from "./access.ts";
import type { Databases } from "./databases.ts";
import type { ExtraGrants } from "./extra-grants.ts";
import type { AppRole, DatabasePrincipal } from "./roles.ts";
import type { DatabaseServer } from "./session.ts";

/** The former shape of `Databases`, for callers that open the firewall themselves. */
export interface Principals {
  find(server: DatabaseServer, login: string, role: string): Promise<DatabasePrincipal | undefined>;
  list(server: DatabaseServer, login: string): Promise<DatabasePrincipal[]>;
  passwordRoles(server: DatabaseServer, login: string): Promise<string[]>;
  canSignIn(server: DatabaseServer, login: string): Promise<boolean>;
  create(server: DatabaseServer, login: string, principal: AppRole): Promise<DatabasePrincipal>;
  repair(server: DatabaseServer, login: string, principal: AppRole & { readonly databases: readonly string[] }): Promise<DatabasePrincipal>;
  access(server: DatabaseServer, login: string, database: string, role: string): Promise<DatabaseAccess>;
  extraGrants(server: DatabaseServer, login: string, database: string, role: string, level: AccessLevel): Promise<ExtraGrants>;
  grant(server: DatabaseServer, login: string, database: string, role: string, level: AccessLevel): Promise<void>;
  owners(server: DatabaseServer, login: string, database: string): Promise<string[]>;
  drop(server: DatabaseServer, login: string, principal: { readonly role: string; readonly databases: readonly string[] }): Promise<void>;
  sweep(server: DatabaseServer, login: string, roles: readonly string[]): Promise<void>;
}

export function principals(databases: Databases): Principals {
  const { at } = databases;
  return {
    find: (server, login, role) => at(server, login).find(role),
    list: (server, login) => at(server, login).list(),
    passwordRoles: (server, login) => at(server, login).listWithPassword(),
    canSignIn: (server, login) => at(server, login).canSignIn(),
    create: (server, login, app) => at(server, login).create(app),
    repair: (server, login, { databases: named, ...app }) => at(server, login).repair(app, named),
    access: (server, login, database, role) => at(server, login).in(database).access(role),
    extraGrants: (server, login, database, role, level) => at(server, login).in(database).extraGrants(role, level),
    grant: (server, login, database, role, level) => at(server, login).in(database).grant(role, level),
    owners: (server, login, database) => at(server, login).in(database).owners(),
    drop: (server, login, { role, databases: named }) => at(server, login).drop(role, named),
    sweep: (server, login, roles) => at(server, login).sweep(roles),
  };
}
