import type { Server, ServerForPatch } from "@azure/arm-postgresql-flexible";
import { KnownError } from "../base/errors.ts";
import { poll } from "../base/poll.ts";
import { normalizeLocation } from "../base/resource-id.ts";
import type { Arm } from "./arm.ts";
import type { CloudContext } from "./connection.ts";
import { hints } from "./hints.ts";
import { lookInterval } from "./operations.ts";
import { ownHost } from "./own-host.ts";
import { type ServerChildren, serverChildren } from "./server-children.ts";
import { absentIsFine, type Begin, collect, serverWrites } from "./server-writes.ts";

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

export interface NameAvailability {
  readonly isFree: boolean;
  /** `Invalid` or `AlreadyExists` when not free. */
  readonly reason?: string;
  readonly message?: string;
}

/**
 * Flexible servers of one subscription, and what belongs to them. Writes end when their operation has; writes to one server are made one at a
 * time.
 */
export interface PostgresServers extends ServerChildren {
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
}

/** Recorded: 2 to 7 minutes for a create, 1 to 3 for the rest; a deadline for every wait, since servers have hung in `Updating`. */
const DEADLINE_MS = 30 * 60_000;

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

/** `@azure/arm-postgresql-flexible` 9, api-version 2025-08-01. */
export function postgresServers(arm: Arm): PostgresServers {
  const writes = serverWrites(arm);
  const { sdk } = writes;
  const serverOf = (server: Server): PostgresServer => toServer(server, arm.context.environment.postgresDomains);
  const get = (group: string, name: string) =>
    arm.orUndefined(`read the server ${name}`, async () => serverOf(await (await sdk()).servers.get(group, name)));
  const change = <T>(verb: string, group: string, name: string, begin: Begin<T>): Promise<T> =>
    writes.write(`${verb} the server ${name}`, [group, name], begin, DEADLINE_MS);

  return {
    ...serverChildren(arm, writes),
    get,
    settled: (group, name) => settled(arm.context, name, () => get(group, name)),
    list: (group) =>
      arm.call(`list the servers of ${group}`, async () => collect((await sdk()).servers.listByResourceGroup(group), serverOf)),
    create: async (group, name, desired) => {
      const begin: Begin<Server> = ({ servers }) => servers.beginCreateOrUpdate(group, name, fromNewServer(desired));
      const server = await change("create", group, name, begin);
      writes.noteCreated([group, name]);
      return serverOf(server);
    },
    update: async (group, name, wanted) =>
      serverOf(await change("update", group, name, ({ servers }) => servers.beginUpdate(group, name, fromChange(wanted)))),
    start: async (group, name) => {
      await change("start", group, name, ({ servers }) => servers.beginStart(group, name));
    },
    stop: async (group, name) => {
      await change("stop", group, name, ({ servers }) => servers.beginStop(group, name));
    },
    restart: async (group, name) => {
      await change("restart", group, name, ({ servers }) => servers.beginRestart(group, name));
    },
    delete: (group, name) => absentIsFine(change("delete", group, name, ({ servers }) => servers.beginDelete(group, name))),
    checkName: (location, name) =>
      arm.call(`check the server name ${name}`, async () => {
        const { nameAvailability } = await sdk();
        const answer = await nameAvailability.checkWithLocation(location, { name, type: "Microsoft.DBforPostgreSQL/flexibleServers" });
        const { reason, message } = answer;
        return { isFree: answer.nameAvailable ?? false, ...(reason && { reason }), ...(message && { message }) };
      }),
  };
}

function settled(
  { clock, onProgress, signal }: CloudContext,
  name: string,
  get: () => Promise<PostgresServer | undefined>,
): Promise<PostgresServer | undefined> {
  const describe = (server: PostgresServer | undefined): string => `${server?.state.toLowerCase()}`;
  return poll(get, (server) => !server || !isInTransition(server), {
    clock,
    signal,
    deadlineMs: DEADLINE_MS,
    intervalMs: lookInterval,
    onWait: (server) => onProgress?.(`waiting for the server ${name}, which is ${describe(server)}`),
    late: (server) => new KnownError("azure/timeout", `the server ${name} is still ${describe(server)}`, { hint: hints.serverState }),
  });
}
