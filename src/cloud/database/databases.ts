import type { AccessLevel } from "../../base/access-level.ts";
import { KnownError } from "../../base/errors.ts";
import { parseResourceId } from "../../base/resource-id.ts";
import type { Caller } from "../credential.ts";
import type { FirewallAccess } from "../firewall-access.ts";
import type { PostgresServer, PostgresServers } from "../postgres-servers.ts";
import type { Administrator } from "../server-children.ts";
import { type DatabaseAccess, readAccess } from "./access.ts";
import { type ExtraGrants, readExtraGrants } from "./extra-grants.ts";
import { grantLevel } from "./grants.ts";
import { ownAdministrator } from "./own-administrator.ts";
import { readOwners } from "./ownership.ts";
import {
  type AppRole,
  canSignIn,
  checkRoleName,
  createRole,
  type DatabasePrincipal,
  dropRole,
  findRole,
  listPasswordRoles,
  listRoles,
  repairRole,
  sweepPlaceholders,
} from "./roles.ts";
import { type DatabaseServer, openServerSession, type ServerSession, type SessionContext } from "./session.ts";

/** What flexible servers hold, over PostgreSQL itself, as an administrator and through their firewalls. */
export interface Databases {
  /** `login`: role name of the administrator who signs in. No connection is made yet. */
  at(server: DatabaseServer, login: string): ServerRoles;
  /** The same as the administrator that the caller is. Throws "database/denied" when it is none and in no group that is one. */
  asAdministrator(server: PostgresServer): Promise<ServerRoles>;
  /** The one of the server's administrators under whose name the server lets the caller in: itself or a group. */
  ownAdministrator(server: DatabaseServer, administrators: readonly Administrator[]): Promise<Administrator | undefined>;
}

/** The Entra roles of one server; each call opens its own connections. */
export interface ServerRoles {
  /** Role name of the administrator who is signed in. */
  readonly login: string;
  find(role: string): Promise<DatabasePrincipal | undefined>;
  /** Every role that Entra knows. */
  list(): Promise<DatabasePrincipal[]>;
  /** Roles that may sign in and that Entra does not know: with a password, while the server takes passwords. Azure's own (`azure_…`, superusers) are left out. */
  listWithPassword(): Promise<string[]>;
  /** Does the server let the caller in under the login? `false` only when it refuses the login itself. */
  canSignIn(): Promise<boolean>;
  /** Creates the role, waiting some minutes for a new identity to be known; an existing role with the same object ID is fine. */
  create(app: AppRole): Promise<DatabasePrincipal>;
  /** Gives an existing role to another object ID (recreated identity); what the role owns in any database is kept. Grants must be given again. */
  repair(app: AppRole, databases: readonly string[]): Promise<DatabasePrincipal>;
  /** Removes the role; what it owns goes to a placeholder without login and rights. Absent already is fine; an empty placeholder goes too. */
  drop(role: string, databases: readonly string[]): Promise<void>;
  /** Removes the placeholders of these roles that keep nothing in any database. */
  sweep(roles: readonly string[]): Promise<void>;
  in(database: string): DatabaseRights;
}

/** What roles may do in one database. */
interface DatabaseRights {
  /** Throws "database/failed" when there is no such role. */
  access(role: string): Promise<DatabaseAccess>;
  /**
   * What somebody granted the role by name and the level does not give, seen from the database. Beside `access`, since no plan reads it: such a
   * right may be wanted, and nothing takes it unasked.
   */
  extraGrants(role: string, level: AccessLevel): Promise<ExtraGrants>;
  /** Makes the role's access exactly the level: gives what is missing, takes what is too much. */
  grant(role: string, level: AccessLevel): Promise<void>;
  /** Roles that own tables, views or sequences in the database; what belongs to an extension is left out. */
  owners(): Promise<string[]>;
}

interface DatabasesContext {
  readonly session: SessionContext;
  readonly caller: Caller;
  readonly servers: Pick<PostgresServers, "listAdministrators">;
  readonly firewallAccess: Pick<FirewallAccess, "withAccess">;
}

export function openDatabases({ session, caller, servers, firewallAccess }: DatabasesContext): Databases {
  const databases: Databases = {
    at: (server, login) => serverRoles(openServerSession(session, firewallAccess, server, login), login),
    ownAdministrator: (server, administrators) =>
      ownAdministrator(caller, administrators, (login) => databases.at(server, login).canSignIn()),
    asAdministrator: async (server) => {
      const group = parseResourceId(server.id)?.resourceGroup ?? "";
      const administrators = await servers.listAdministrators(group, server.name);
      const found = await databases.ownAdministrator(server, administrators);
      if (found) return databases.at(server, found.name);
      const names = administrators.map(({ name }) => name).join(", ") || "none";
      throw new KnownError("database/denied", `${caller.name} is no Entra administrator of ${server.name} (there are: ${names})`, {
        hint: "run `passwordless-pg server create`, or sign in as one of them",
      });
    },
  };
  return databases;
}

function serverRoles(server: ServerSession, login: string): ServerRoles {
  return {
    login,
    find: (role) => findRole(server, role),
    list: () => listRoles(server),
    listWithPassword: () => listPasswordRoles(server),
    canSignIn: () => canSignIn(server),
    create: (app) => createRole(server, app),
    repair: (app, databases) => repairRole(server, app, databases),
    drop: (role, databases) => dropRole(server, role, databases),
    sweep: (roles) => sweepPlaceholders(server, roles),
    in: (database) => databaseRights(server, database),
  };
}

function databaseRights(server: ServerSession, database: string): DatabaseRights {
  return {
    access: async (role) => {
      const access = await server.in(database, (session) => readAccess(session, role));
      if (!access) throw new KnownError("database/failed", `there is no role ${role} on ${server.host}`);
      return access;
    },
    extraGrants: (role, level) => server.in(database, (session) => readExtraGrants(session, role, level === "owner")),
    grant: async (role, level) => {
      checkRoleName(role);
      const notes = await server.in(database, (session) => grantLevel(session, { database, role, level }));
      for (const note of notes) server.note(note);
    },
    owners: () => server.in(database, readOwners),
  };
}
