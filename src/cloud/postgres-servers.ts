import type {
  AdministratorMicrosoftEntra,
  Configuration,
  PostgreSQLManagementFlexibleServerClient,
  Server,
  ServerForPatch,
  Database as WireDatabase,
  FirewallRule as WireFirewallRule,
} from "@azure/arm-postgresql-flexible";
import { KnownError } from "../base/errors.ts";
import { memoize } from "../base/memoize.ts";
import { poll } from "../base/poll.ts";
import { normalizeLocation } from "../base/resource-id.ts";
import type { Arm } from "./arm.ts";
import { hints } from "./hints.ts";
import { fromSimplePoller, lookInterval, type SimplePoller } from "./operations.ts";
import { ownHost } from "./own-host.ts";
import { serverWrites } from "./server-writes.ts";

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

interface NewPostgresServer {
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
interface ServerParameter {
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
  /** As `get`, after waiting for the end of an operation that is at work on it (`isInTransition`). */
  settled(group: string, name: string): Promise<PostgresServer | undefined>;
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

const MINUTE_MS = 60_000;
/** Recorded: 2 to 7 minutes for a create, 1 to 3 for the rest; a deadline for every wait, since servers have hung in `Updating`. */
const SERVER_DEADLINE_MS = 30 * MINUTE_MS;
const CHILD_DEADLINE_MS = 10 * MINUTE_MS;
const POSTGRES_PORT = 5432;

const TRANSITIONS = new Set(["creating", "provisioning", "starting", "stopping", "restarting", "updating", "dropping"]);

/** Another operation is at work on it: one of an earlier run that was killed, of another run, or of somebody else. */
export function isInTransition({ host, state }: PostgresServer): boolean {
  return host === "" || TRANSITIONS.has(state.toLowerCase());
}

const isEnabled = (word: string | undefined): boolean => word?.toLowerCase() === "enabled";
const enabled = (on: boolean): "Enabled" | "Disabled" => (on ? "Enabled" : "Disabled");

/** Location comes back as a display name ("Canada Central"); enum words are compared without case. */
function toServer(server: Server, domains: readonly string[] | undefined): PostgresServer {
  const host = server.fullyQualifiedDomainName ?? "";
  const tenantId = server.authConfig?.tenantId;
  return {
    id: server.id ?? "",
    name: server.name ?? "",
    location: normalizeLocation(server.location),
    // Absent while the server is in the making.
    host: host === "" ? "" : ownHost(`flexible server ${server.name ?? ""}`, host, domains),
    port: POSTGRES_PORT,
    version: server.version ?? "",
    sku: server.sku?.name ?? "",
    tier: server.sku?.tier ?? "",
    storageGb: server.storage?.storageSizeGB ?? 0,
    state: server.state ?? "",
    passwordAuth: isEnabled(server.authConfig?.passwordAuth),
    entraAuth: isEnabled(server.authConfig?.activeDirectoryAuth),
    ...(tenantId && { tenantId }),
    publicNetworkAccess: isEnabled(server.network?.publicNetworkAccess ?? "Enabled"),
    tags: server.tags ?? {},
  };
}

function fromNewServer({ location, version, sku, tier, storageGb, tenantId, tags }: NewPostgresServer): Server {
  return {
    location,
    tags: { ...tags },
    sku: { name: sku, tier },
    // `Create` and not `Default`: a PUT over a name that exists must not become an update.
    createMode: "Create",
    version,
    storage: { storageSizeGB: storageGb },
    authConfig: { activeDirectoryAuth: "Enabled", passwordAuth: "Disabled", tenantId },
    network: { publicNetworkAccess: "Enabled" },
    backup: { backupRetentionDays: 7, geoRedundantBackup: "Disabled" },
    highAvailability: { mode: "Disabled" },
  };
}

function fromChange(change: PostgresServerChange): ServerForPatch {
  const { passwordAuth, entraAuth, tenantId, tags, sku, tier, storageGb } = change;
  const authConfig = {
    ...(entraAuth !== undefined && { activeDirectoryAuth: enabled(entraAuth) }),
    ...(passwordAuth !== undefined && { passwordAuth: enabled(passwordAuth) }),
    ...(tenantId !== undefined && { tenantId }),
  };
  const newSku = { ...(sku !== undefined && { name: sku }), ...(tier !== undefined && { tier }) };
  return {
    ...(Object.keys(authConfig).length > 0 && { authConfig }),
    ...(Object.keys(newSku).length > 0 && { sku: newSku }),
    ...(tags !== undefined && { tags: { ...tags } }),
    ...(storageGb !== undefined && { storage: { storageSizeGB: storageGb } }),
  };
}

const administratorTypes = ["User", "Group", "ServicePrincipal"] as const;

function toAdministrator(administrator: AdministratorMicrosoftEntra): Administrator {
  const { objectId, principalName, principalType, tenantId } = administrator;
  return {
    objectId: objectId ?? "",
    name: principalName ?? "",
    type: administratorTypes.find((type) => type.toLowerCase() === principalType?.toLowerCase()) ?? "Unknown",
    tenantId: tenantId ?? "",
  };
}

const toFirewallRule = ({ name, startIpAddress, endIpAddress }: WireFirewallRule): FirewallRule => ({
  name: name ?? "",
  start: startIpAddress,
  end: endIpAddress,
});

const toDatabase = ({ id, name, charset, collation }: WireDatabase): Database => ({
  id: id ?? "",
  name: name ?? "",
  charset: charset ?? "",
  collation: collation ?? "",
});

const toParameter = ({ name, value, defaultValue, isConfigPendingRestart, allowedValues }: Configuration): ServerParameter => ({
  name: name ?? "",
  value: value ?? "",
  defaultValue: defaultValue ?? "",
  isPendingRestart: isConfigPendingRestart ?? false,
  allowedValues: allowedValues ?? "",
});

async function collect<From, To>(items: AsyncIterable<From>, convert: (item: From) => To): Promise<To[]> {
  const found: To[] = [];
  for await (const item of items) found.push(convert(item));
  return found;
}

/** `@azure/arm-postgresql-flexible` 9, api-version 2025-08-01. */
export function postgresServers(arm: Arm): PostgresServers {
  const { clock, credential, onProgress, signal, subscriptionId } = arm.context;
  const serverOf = (server: Server): PostgresServer => toServer(server, arm.context.environment.postgresDomains);
  const client = memoize(async () => {
    const { PostgreSQLManagementFlexibleServerClient } = await import("@azure/arm-postgresql-flexible");
    return new PostgreSQLManagementFlexibleServerClient(credential, subscriptionId, arm.clientOptions);
  });

  const read = (group: string, name: string) =>
    arm.orUndefined(`read the server ${name}`, async () => serverOf(await (await client()).servers.get(group, name)));

  const writes = serverWrites(arm, read);
  type Begin<T> = (sdk: PostgreSQLManagementFlexibleServerClient) => Promise<SimplePoller<T>>;
  const begun =
    <T>(begin: Begin<T>) =>
    async () =>
      fromSimplePoller(await begin(await client()));

  const writeServer = <T>(what: string, group: string, name: string, begin: Begin<T>) =>
    writes.to(group, name).write(`${what} the server ${name}`, begun(begin), SERVER_DEADLINE_MS);

  const writeChild = <T>(what: string, group: string, server: string, begin: Begin<T>) =>
    writes.to(group, server).write(`${what} of the server ${server}`, begun(begin), CHILD_DEADLINE_MS);

  /** A delete of what is absent answers 204, or 404 where the parent is gone too: both are done. */
  const absentIsFine = async (work: Promise<unknown>): Promise<void> => {
    try {
      await work;
    } catch (error) {
      if (!(error instanceof KnownError) || error.code !== "azure/not-found") throw error;
    }
  };

  return {
    get: read,
    settled: (group, name) =>
      poll(
        () => read(group, name),
        (server) => !server || !isInTransition(server),
        {
          clock,
          signal,
          deadlineMs: SERVER_DEADLINE_MS,
          intervalMs: lookInterval,
          onWait: (server) => onProgress?.(`waiting for the server ${name}, which is ${server?.state.toLowerCase()}`),
          late: (server) =>
            new KnownError("azure/timeout", `the server ${name} is still ${server?.state.toLowerCase()}`, { hint: hints.serverState }),
        },
      ),
    list: (group) =>
      arm.call(`list the servers of ${group}`, async () => collect((await client()).servers.listByResourceGroup(group), serverOf)),
    create: async (group, name, desired) => {
      const server = await writeServer("create", group, name, (sdk) =>
        sdk.servers.beginCreateOrUpdate(group, name, fromNewServer(desired)),
      );
      writes.to(group, name).isCreated();
      return serverOf(server);
    },
    update: async (group, name, change) =>
      serverOf(await writeServer("update", group, name, (sdk) => sdk.servers.beginUpdate(group, name, fromChange(change)))),
    start: async (group, name) => {
      await writeServer("start", group, name, (sdk) => sdk.servers.beginStart(group, name));
    },
    stop: async (group, name) => {
      await writeServer("stop", group, name, (sdk) => sdk.servers.beginStop(group, name));
    },
    restart: async (group, name) => {
      await writeServer("restart", group, name, (sdk) => sdk.servers.beginRestart(group, name));
    },
    delete: (group, name) => absentIsFine(writeServer("delete", group, name, (sdk) => sdk.servers.beginDelete(group, name))),
    checkName: (location, name) =>
      arm.call(`check the server name ${name}`, async () => {
        const { nameAvailability } = await client();
        const answer = await nameAvailability.checkWithLocation(location, { name, type: "Microsoft.DBforPostgreSQL/flexibleServers" });
        const { reason, message } = answer;
        return { isFree: answer.nameAvailable ?? false, ...(reason && { reason }), ...(message && { message }) };
      }),

    listAdministrators: (group, server) =>
      writes
        .to(group, server)
        .onceKnown(() =>
          arm.call(`list the administrators of the server ${server}`, async () =>
            collect((await client()).administratorsMicrosoftEntra.listByServer(group, server), toAdministrator),
          ),
        ),
    putAdministrator: async (group, server, { objectId, name, type, tenantId }) => {
      const parameters = { principalName: name, principalType: type, tenantId };
      await writeChild(`put the administrator ${name}`, group, server, (sdk) =>
        sdk.administratorsMicrosoftEntra.beginCreateOrUpdate(group, server, objectId, parameters),
      );
    },
    deleteAdministrator: (group, server, objectId) =>
      absentIsFine(
        writeChild(`remove the administrator ${objectId}`, group, server, (sdk) =>
          sdk.administratorsMicrosoftEntra.beginDelete(group, server, objectId),
        ),
      ),

    listFirewallRules: (group, server) =>
      writes
        .to(group, server)
        .onceKnown(() =>
          arm.call(`list the firewall rules of the server ${server}`, async () =>
            collect((await client()).firewallRules.listByServer(group, server), toFirewallRule),
          ),
        ),
    putFirewallRule: async (group, server, { name, start, end }) => {
      const rule = { startIpAddress: start, endIpAddress: end };
      await writeChild(`put the firewall rule ${name}`, group, server, (sdk) =>
        sdk.firewallRules.beginCreateOrUpdate(group, server, name, rule),
      );
    },
    deleteFirewallRule: (group, server, name) =>
      absentIsFine(
        writeChild(`remove the firewall rule ${name}`, group, server, (sdk) => sdk.firewallRules.beginDelete(group, server, name)),
      ),

    getDatabase: (group, server, name) =>
      arm.orUndefined(`read the database ${name} of the server ${server}`, async () =>
        toDatabase(await (await client()).databases.get(group, server, name)),
      ),
    createDatabase: async (group, server, name) =>
      toDatabase(
        await writeChild(`create the database ${name}`, group, server, (sdk) =>
          sdk.databases.beginCreate(group, server, name, { charset: "UTF8", collation: "en_US.utf8" }),
        ),
      ),
    deleteDatabase: (group, server, name) =>
      absentIsFine(writeChild(`delete the database ${name}`, group, server, (sdk) => sdk.databases.beginDelete(group, server, name))),

    getParameter: (group, server, name) =>
      arm.orUndefined(`read the parameter ${name} of the server ${server}`, async () =>
        toParameter(await (await client()).configurations.get(group, server, name)),
      ),
    setParameter: async (group, server, name, value) =>
      toParameter(
        await writeChild(`set the parameter ${name}`, group, server, (sdk) =>
          sdk.configurations.beginUpdate(group, server, name, { value, source: "user-override" }),
        ),
      ),
  };
}
