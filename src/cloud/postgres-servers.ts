export interface PostgresServer {
  readonly id: string;
  readonly name: string;
  /** Normalised, `eastus`. */
  readonly location: string;
  /** `fullyQualifiedDomainName`; an address literal on local Azure. */
  readonly host: string;
  readonly port: number;
  /** Major version, `"16"`. */
  readonly version: string;
  readonly sku: string;
  readonly tier: string;
  readonly storageGb: number;
  /** `Ready`, `Stopped`, `Updating`, … A control-plane word: says nothing about logins. */
  readonly state: string;
  readonly passwordAuth: boolean;
  readonly entraAuth: boolean;
  /** Tenant whose tokens are accepted; absent while Entra authentication is off. */
  readonly tenantId?: string;
  readonly publicNetworkAccess: boolean;
  readonly tags: Readonly<Record<string, string>>;
}

export interface NewPostgresServer {
  readonly location: string;
  readonly version: string;
  readonly sku: string;
  readonly tier: string;
  readonly storageGb: number;
  readonly tenantId: string;
  readonly tags: Readonly<Record<string, string>>;
}

export interface PostgresServerChange {
  readonly passwordAuth?: boolean;
  readonly entraAuth?: boolean;
  readonly tenantId?: string;
  /** Replaces all tags. */
  readonly tags?: Readonly<Record<string, string>>;
  readonly sku?: string;
  readonly tier?: string;
  readonly storageGb?: number;
}

export interface Administrator {
  readonly objectId: string;
  /** Principal name, which is also the role name at login. */
  readonly name: string;
  readonly type: "User" | "Group" | "ServicePrincipal" | "Unknown";
  readonly tenantId: string;
}

export interface FirewallRule {
  readonly name: string;
  readonly start: string;
  readonly end: string;
}

export interface Database {
  readonly id: string;
  readonly name: string;
  readonly charset: string;
  readonly collation: string;
}

/** A server parameter; all values are texts. */
export interface ServerParameter {
  readonly name: string;
  readonly value: string;
  readonly defaultValue: string;
  readonly isPendingRestart: boolean;
  readonly allowedValues: string;
}

export interface NameAvailability {
  readonly isFree: boolean;
  /** `Invalid` or `AlreadyExists` when not free. */
  readonly reason?: string;
  readonly message?: string;
}

/** Flexible servers of one subscription. Writes end when their operation has; writes to one server are made one at a time. */
export interface PostgresServers {
  get(group: string, name: string): Promise<PostgresServer | undefined>;
  list(group: string): Promise<PostgresServer[]>;
  /** Creates an Entra-only server with public access and waits until it is made (3 to 8 minutes on Azure). */
  create(group: string, name: string, desired: NewPostgresServer): Promise<PostgresServer>;
  /** Sends only what is named. Turning Entra authentication on restarts the server. */
  update(group: string, name: string, change: PostgresServerChange): Promise<PostgresServer>;
  start(group: string, name: string): Promise<void>;
  stop(group: string, name: string): Promise<void>;
  restart(group: string, name: string): Promise<void>;
  delete(group: string, name: string): Promise<void>;
  checkName(location: string, name: string): Promise<NameAvailability>;

  listAdministrators(group: string, server: string): Promise<Administrator[]>;
  putAdministrator(group: string, server: string, administrator: Administrator): Promise<void>;
  deleteAdministrator(group: string, server: string, objectId: string): Promise<void>;

  listFirewallRules(group: string, server: string): Promise<FirewallRule[]>;
  putFirewallRule(group: string, server: string, rule: FirewallRule): Promise<void>;
  deleteFirewallRule(group: string, server: string, name: string): Promise<void>;

  getDatabase(group: string, server: string, name: string): Promise<Database | undefined>;
  createDatabase(group: string, server: string, name: string): Promise<Database>;
  deleteDatabase(group: string, server: string, name: string): Promise<void>;

  /** `undefined` where Azure hides the parameter (`pgbouncer.*` on Burstable). */
  getParameter(group: string, server: string, name: string): Promise<ServerParameter | undefined>;
  setParameter(group: string, server: string, name: string, value: string): Promise<ServerParameter>;
}
