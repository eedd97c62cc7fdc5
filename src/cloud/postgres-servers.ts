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
import { normalizeLocation } from "../base/resource-id.ts";
import type { Arm, OperationLimits } from "./arm.ts";
import { azureCodeOf } from "./errors.ts";
import { hints } from "./hints.ts";
import { fromSimplePoller, lookInterval, type Poller, pause } from "./operations.ts";
import { ownHost } from "./own-host.ts";

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
/** How long after its own create a server may still be unknown to the writes of its children. */
const NEW_SERVER_MS = 5 * MINUTE_MS;
const NOT_KNOWN_PAUSE_MS = 3_000;

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

/** `Standard_B1ms` is of tier Burstable. */
function tierOf(sku: string): string {
  if (sku.startsWith("Standard_B")) return "Burstable";
  return sku.startsWith("Standard_E") ? "MemoryOptimized" : "GeneralPurpose";
}

function fromNewServer({ location, version, sku, storageGb, tenantId, tags }: NewPostgresServer): Server {
  return {
    location,
    tags: { ...tags },
    sku: { name: sku, tier: tierOf(sku) },
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
  const { passwordAuth, entraAuth, tenantId, tags, sku, storageGb } = change;
  const authConfig = {
    ...(entraAuth !== undefined && { activeDirectoryAuth: enabled(entraAuth) }),
    ...(passwordAuth !== undefined && { passwordAuth: enabled(passwordAuth) }),
    ...(tenantId !== undefined && { tenantId }),
  };
  return {
    ...(Object.keys(authConfig).length > 0 && { authConfig }),
    ...(sku !== undefined && { sku: { name: sku, tier: tierOf(sku) } }),
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

interface LroPoller<T> {
  isDone(): boolean;
  poll(): Promise<unknown>;
  getResult(): T | undefined;
}

/** `@azure/arm-postgresql-flexible` 9, api-version 2025-08-01. */
export function postgresServers(arm: Arm): PostgresServers {
  const { clock, credential, signal, subscriptionId } = arm.context;
  const serverOf = (server: Server): PostgresServer => toServer(server, arm.context.environment.postgresDomains);
  const oneWriteAtATime = queues();
  const createdAt = new Map<string, number>();
  /** Servers that were busy for longer than is waited. */
  const busy = new Set<string>();
  const open = async () => {
    const { PostgreSQLManagementFlexibleServerClient } = await import("@azure/arm-postgresql-flexible");
    return new PostgreSQLManagementFlexibleServerClient(credential, subscriptionId, arm.clientOptions);
  };
  let opened: Promise<PostgreSQLManagementFlexibleServerClient> | undefined;
  const client = () => {
    opened ??= open();
    return opened;
  };

  const keyOf = (group: string, server: string): string => `${group}/${server}`.toLowerCase();

  const read = (group: string, name: string) =>
    arm.orUndefined(`read the server ${name}`, async () => serverOf(await (await client()).servers.get(group, name)));

  /** A busy answer is worth waiting for only while the server runs or is on its way. */
  const stillRunning = (group: string, name: string) => async () => {
    const server = await read(group, name);
    if (server?.state !== "Stopped" && server?.state !== "Disabled") return;
    throw new KnownError("azure/conflict", `the server ${name} is ${server.state.toLowerCase()}`, {
      hint: "start it with `passwordless-pg server start`",
    });
  };

  /** A server that was just made is not known everywhere in Azure for a while: not found means not yet. */
  const onceKnown = async <T>(group: string, server: string, work: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        const isNew = clock.now() - (createdAt.get(keyOf(group, server)) ?? -NEW_SERVER_MS) < NEW_SERVER_MS;
        const isUnknown = ["ResourceNotFound", "ParentResourceNotFound"].includes(azureCodeOf(error) ?? "");
        if (!isNew || !isUnknown) throw error;
      }
      await pause(clock, signal, NOT_KNOWN_PAUSE_MS);
    }
  };

  /** One write, in the server's queue: parallel writes to one server, children included, answer ServerIsBusy. */
  const write = <T>(
    what: string,
    [group, server]: readonly [string, string],
    begin: (sdk: PostgreSQLManagementFlexibleServerClient) => Promise<LroPoller<T>>,
    limits: Pick<OperationLimits, "deadlineMs">,
  ): Promise<T> => {
    const start = async (): Promise<Poller<T>> => fromSimplePoller(await begin(await client()));
    const key = keyOf(group, server);
    return oneWriteAtATime(key, async () => {
      try {
        // What one write has waited for in vain, those behind it in the queue do not wait for again.
        const more = { isImpatient: busy.has(key), beforeRetry: stillRunning(group, server) };
        const result = await onceKnown(group, server, () => arm.operate(what, start, { ...limits, ...more }));
        busy.delete(key);
        return result;
      } catch (error) {
        if (error instanceof KnownError && error.code === "azure/busy") busy.add(key);
        throw error;
      }
    });
  };

  const writeServer = <T>(
    what: string,
    group: string,
    name: string,
    begin: (sdk: PostgreSQLManagementFlexibleServerClient) => Promise<LroPoller<T>>,
  ) => write(`${what} the server ${name}`, [group, name], begin, { deadlineMs: SERVER_DEADLINE_MS });

  const writeChild = <T>(
    what: string,
    group: string,
    server: string,
    begin: (sdk: PostgreSQLManagementFlexibleServerClient) => Promise<LroPoller<T>>,
  ) => write(`${what} of the server ${server}`, [group, server], begin, { deadlineMs: CHILD_DEADLINE_MS });

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
    settled: async (group, name) => {
      const began = clock.now();
      const until = began + SERVER_DEADLINE_MS;
      for (;;) {
        const server = await read(group, name);
        if (!server || !isInTransition(server)) return server;
        if (clock.now() > until) {
          throw new KnownError("azure/timeout", `the server ${name} is still ${server.state.toLowerCase()}`, {
            hint: hints.serverState,
          });
        }
        arm.context.onProgress?.(`waiting for the server ${name}, which is ${server.state.toLowerCase()}`);
        await pause(clock, signal, lookInterval(clock.now() - began));
      }
    },
    list: (group) =>
      arm.call(`list the servers of ${group}`, async () => collect((await client()).servers.listByResourceGroup(group), serverOf)),
    create: async (group, name, desired) => {
      const server = await writeServer("create", group, name, (sdk) =>
        sdk.servers.beginCreateOrUpdate(group, name, fromNewServer(desired)),
      );
      createdAt.set(keyOf(group, name), clock.now());
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
      onceKnown(group, server, () =>
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
      onceKnown(group, server, () =>
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

/** Runs the work of one key in turn; keys run beside each other. */
function queues(): <T>(key: string, work: () => Promise<T>) => Promise<T> {
  const tails = new Map<string, Promise<unknown>>();
  return (key, work) => {
    const turn = (tails.get(key) ?? Promise.resolve()).then(work, work);
    tails.set(key, turn);
    return turn;
  };
}
