/** Owner may create tables in schema public; write changes rows; read reads them. */
export type AccessLevel = "owner" | "write" | "read";

export interface DatabaseServer {
  readonly host: string;
  readonly port: number;
}

export interface DatabasePrincipal {
  readonly role: string;
  /** Object ID in the role's label; empty when the role has none. */
  readonly objectId: string;
  /** `service`, `user`, `group`, or `none` for a role that Entra does not know. */
  readonly type: string;
  readonly isAdmin: boolean;
}

export interface TableAccess {
  /** Tables, views and partitioned tables in schema public. */
  readonly total: number;
  readonly select: number;
  readonly insert: number;
  readonly update: number;
  readonly delete: number;
}

/** What the database itself says (`has_*_privilege`) a role may do. */
export interface DatabaseAccess {
  readonly connect: boolean;
  readonly temp: boolean;
  readonly databaseCreate: boolean;
  readonly schemaUsage: boolean;
  readonly schemaCreate: boolean;
  readonly tables: TableAccess;
  readonly sequences: { readonly total: number; readonly usage: number; readonly select: number; readonly update: number };
  /** Privilege words (`SELECT`, …) that tables and sequences made later by the asking administrator will carry for the role. */
  readonly defaultPrivileges: { readonly tables: readonly string[]; readonly sequences: readonly string[] };
  /** Relations in schema public owned by the role. */
  readonly ownedTables: number;
  /** Objects in other schemas owned by the role. */
  readonly ownsOutsidePublic: number;
  /** Relations in schema public owned by neither the role nor the asking administrator, as `table (owner)`. */
  readonly foreignTables: readonly string[];
  readonly memberOf: readonly string[];
  readonly isSuperuser: boolean;
  readonly canCreateRole: boolean;
  readonly canCreateDatabase: boolean;
  readonly canBypassRls: boolean;
}

/** Entra roles inside PostgreSQL. `login` is the role name of the administrator who is signed in; each call opens its own connections. */
export interface Principals {
  find(server: DatabaseServer, login: string, role: string): Promise<DatabasePrincipal | undefined>;
  /** Creates the role, waiting some minutes for a new identity to be known; an existing role with the same object ID is fine. */
  create(
    server: DatabaseServer,
    login: string,
    principal: { readonly role: string; readonly objectId: string; readonly type: "service" },
  ): Promise<DatabasePrincipal>;
  /** Gives an existing role to another object ID (recreated identity); what the role owns is kept. Grants must be given again. */
  repair(
    server: DatabaseServer,
    login: string,
    principal: { readonly role: string; readonly objectId: string; readonly databases: readonly string[] },
  ): Promise<DatabasePrincipal>;
  access(server: DatabaseServer, login: string, database: string, role: string): Promise<DatabaseAccess>;
  /** Makes the role's access exactly the level: gives what is missing, takes what is too much. */
  grant(server: DatabaseServer, login: string, database: string, role: string, level: AccessLevel): Promise<void>;
  revokeAll(server: DatabaseServer, login: string, database: string, role: string): Promise<void>;
  /** Removes the role; what it owns goes to the administrator. Absent already is fine. */
  drop(server: DatabaseServer, login: string, principal: { readonly role: string; readonly databases: readonly string[] }): Promise<void>;
}

/** Whether the access is exactly what the level means; the differences in words, empty when it is. */
export function accessDifferences(_access: DatabaseAccess, _level: AccessLevel): string[] {
  throw new Error("not written yet");
}
