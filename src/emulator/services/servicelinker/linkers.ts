import { armFront } from "../../http/arm-error.ts";
import type { Operation } from "../../operations.ts";
import type { FlexibleServerRegistry, FlexibleServerView, Platform, SiteRegistry, SiteView } from "../../platform.ts";
import type { Collection } from "../../store.ts";
import { databaseOf, type Linker } from "./model.ts";
import { settingsFor } from "./settings.ts";
import { type LinkerRequest, type ValidationItem, validationToWire } from "./wire.ts";

/** Those whom Service Connector works on. */
export interface LinkerDependencies {
  readonly sites: SiteRegistry;
  readonly servers: FlexibleServerRegistry;
}

/** What an operation on a linker carries. */
export interface LinkerPayload {
  readonly apiVersion: string;
}

/** Linkers and what the service does for them. */
export interface Linkers {
  get(sourceId: string, name: string): Linker | undefined;
  list(sourceId: string): readonly Linker[];
  /** Stores the linker as `Accepted` and begins the work. Throws 404 for an absent source, 409 while it is being worked on. */
  put(
    sourceId: string,
    name: string,
    wanted: LinkerRequest,
    creator: Creator,
    apiVersion: string,
  ): { linker: Linker; operation: Operation };
  delete(linker: Linker, apiVersion: string): Operation;
  validate(linker: Linker, apiVersion: string): Operation;
  /** Forgets the linkers on a resource and below it; the source is going, so nothing is taken back. */
  removeBelow(id: string): void;
}

export interface Creator {
  readonly name: string;
  readonly type: "User" | "Application";
}

/** Recorded durations in milliseconds (server's own start to end). */
const PUT_MS = 10_000;
const DELETE_MS = 3_200;
const VALIDATE_MS = 3_800;

export function createLinkers(platform: Platform, { sites, servers }: LinkerDependencies): Linkers {
  const { operations } = platform;
  const rows: Collection<Linker> = platform.store.collection("linkers");

  const requireSource = (sourceId: string): SiteView => {
    const site = sites.find(sourceId);
    if (site) return site;
    throw sourceNotFound(sourceId);
  };
  const begin = (kind: string, linker: Linker, apiVersion: string, recordedMs: number): Operation => {
    if (operations.running(linker.id).some((running) => running.kind !== "servicelinker/validate")) {
      throw armFront(409, "Conflict", `Another operation on the linker '${linker.name}' is in progress.`); // code and text inferred
    }
    const payload: LinkerPayload = { apiVersion };
    return operations.accept({
      kind,
      name: kind,
      resourceId: linker.id,
      location: linker.location,
      payload,
      recordedMs,
      retryAfterSeconds: 0,
      // Done at the first poll: with no hint (none recorded) az waits 30 s before its second.
      polls: 0,
    });
  };
  const target = (linker: Linker): { server: FlexibleServerView; database: string } | undefined => {
    const parsed = databaseOf(linker.properties.targetService.id);
    if (!parsed) return undefined;
    const server = servers.find(parsed.serverId);
    return server?.databases.includes(parsed.database) ? { server, database: parsed.database } : undefined;
  };
  const write = (linker: Linker, settings: Linker["settings"]): void => {
    const names = new Set(settings.map(({ name }) => name));
    if (names.size === 0 && linker.written.length === 0) return;
    sites.changeAppSettings(linker.sourceId, (before) => {
      const kept = Object.entries(before).filter(([name]) => !linker.written.includes(name));
      return { ...Object.fromEntries(kept), ...Object.fromEntries(settings.map(({ name, value }) => [name, value])) };
    });
  };

  operations.define("servicelinker/put", {
    work: async ({ resourceId }) => {
      const linker = rows.get(resourceId);
      if (!linker || !sites.find(linker.sourceId)) throw sourceNotFound(linker?.sourceId ?? resourceId);
      const found = target(linker);
      if (!found) throw armFront(404, "ResourceNotFound", "Target resource is not found");
      const { authInfo } = linker.properties;
      if (authInfo.authType === "userAssignedIdentity" && !isAuthOptedOut(linker) && !isIdentity(platform, authInfo.clientId)) {
        throw armFront(404, "ResourceNotFound", `The user-assigned identity with client ID '${authInfo.clientId}' is not found.`); // inferred
      }
      const isDenied = found.server.publicNetworkAccess === "Disabled" && !isNetworkOptedOut(linker);
      return isDenied ? { message: DENIED_WARNING } : undefined;
    },
    finish: ({ resourceId }) => {
      const linker = rows.get(resourceId);
      const found = linker && target(linker);
      if (!linker || !found || !sites.find(linker.sourceId)) return; // gone since the work looked
      const { authInfo, configurationInfo } = linker.properties;
      if (authInfo.authType === "systemAssignedIdentity" && !isAuthOptedOut(linker)) sites.enableSystemIdentity(linker.sourceId);
      if (authInfo.authType === "userAssignedIdentity" && !isAuthOptedOut(linker)) sites.assignIdentity(linker.sourceId, authInfo.clientId);
      if (found.server.publicNetworkAccess === "Enabled" && !isNetworkOptedOut(linker)) servers.allowAzureServices(found.server.id);
      const settings = configurationInfo?.action === "optOut" ? [] : linker.settings;
      write(linker, settings);
      rows.set(linker.id, { ...linker, provisioningState: "Succeeded", written: settings.map(({ name }) => name) });
    },
    fail: ({ resourceId }) => setState(rows, resourceId, "Failed"),
  });
  operations.define("servicelinker/delete", {
    finish: ({ resourceId }) => {
      const linker = rows.get(resourceId);
      if (!linker) return;
      if (sites.find(linker.sourceId)) write(linker, []);
      rows.delete(resourceId);
    },
    fail: ({ resourceId }) => setState(rows, resourceId, "Failed"),
  });
  operations.define("servicelinker/validate", {
    work: async ({ resourceId, payload, startTime }) => {
      const linker = rows.get(resourceId);
      if (!linker) throw armFront(404, "ResourceNotFound", "The linker is not found");
      const times = { start: startTime, end: new Date(platform.clock.now()).toISOString() };
      const { apiVersion } = payload as LinkerPayload;
      return validationToWire(linker, judge(linker, target(linker)?.server, sites.find(linker.sourceId)), times, apiVersion);
    },
  });

  return {
    get: (sourceId, name) => {
      requireSource(sourceId);
      return rows.get(linkerId(sourceId, name));
    },
    list: (sourceId) => {
      requireSource(sourceId);
      return rows.list(linkerId(sourceId, ""));
    },
    put: (sourceId, name, { properties, secret }, creator, apiVersion) => {
      const site = requireSource(sourceId);
      const before = rows.get(linkerId(site.id, name));
      const others = rows.list(linkerId(site.id, "")).filter(({ id }) => id !== before?.id);
      const isSecond = before?.isSecond ?? others.some((other) => !other.isSecond);
      const now = new Date(platform.clock.now()).toISOString();
      const draft: Linker = {
        id: before?.id ?? linkerId(site.id, name),
        name: before?.name ?? name,
        sourceId: site.id,
        location: site.location,
        provisioningState: "Accepted",
        properties,
        isSecond,
        settings: [],
        written: before?.written ?? [],
        createdBy: before?.createdBy ?? creator.name,
        createdByType: before?.createdByType ?? creator.type,
        createdAt: before?.createdAt ?? now,
        modifiedAt: now,
      };
      const linker = { ...draft, settings: settingsOf(draft, servers, secret) };
      const operation = begin("servicelinker/put", linker, apiVersion, PUT_MS);
      rows.set(linker.id, linker);
      return { linker, operation };
    },
    delete: (linker, apiVersion) => {
      const operation = begin("servicelinker/delete", linker, apiVersion, DELETE_MS);
      setState(rows, linker.id, "Deleting");
      return operation;
    },
    validate: (linker, apiVersion) => begin("servicelinker/validate", linker, apiVersion, VALIDATE_MS),
    removeBelow: (below) => {
      for (const { id } of rows.list(`${below}/`)) rows.delete(id);
    },
  };
}

/** Recorded as a warning on a successful operation (springcloud_postgres_e2e_mi). */
const DENIED_WARNING =
  "Deny public network access is set to yes. Please confirm you are using private endpoint connection to access target resource.";

function linkerId(sourceId: string, name: string): string {
  return `${sourceId}/providers/Microsoft.ServiceLinker/linkers/${name}`;
}

function sourceNotFound(sourceId: string) {
  const match = /\/resourceGroups\/([^/]+)\/providers\/([^/]+\/[^/]+)\/([^/]+)/i.exec(sourceId);
  const [, group = "", type = "", name = sourceId] = match ?? [];
  return armFront(
    404,
    "ResourceNotFound",
    `The Resource '${type}/${name}' under resource group '${group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
  );
}

/** `optOutAllAuth`: it writes settings and leaves identities alone. */
function isAuthOptedOut({ properties: { authInfo } }: Linker): boolean {
  return authInfo.authType !== "secret" && authInfo.authMode === "optOutAllAuth";
}

function isIdentity({ directory }: Platform, clientId: string): boolean {
  return directory.findByAppId(clientId)?.managedIdentityOf !== undefined;
}

function isNetworkOptedOut({ properties }: Linker): boolean {
  return properties.publicNetworkSolution?.action === "optOut" || properties.vNetSolution !== null;
}

function settingsOf(linker: Linker, servers: FlexibleServerRegistry, secret: string | undefined): Linker["settings"] {
  const { authInfo, clientType, configurationInfo, targetService } = linker.properties;
  const parsed = databaseOf(targetService.id);
  const server = parsed && servers.find(parsed.serverId);
  if (!server) return []; // the operation will say that the target is not found
  return settingsFor({
    name: linker.isSecond ? linker.name : undefined,
    clientType,
    host: server.host,
    port: server.port,
    database: parsed.database,
    user: authInfo.authType === "secret" ? authInfo.name : (authInfo.userName ?? undefined),
    clientId: authInfo.authType === "userAssignedIdentity" ? authInfo.clientId : undefined,
    password: secret,
    configuration: configurationInfo,
  });
}

function setState(rows: Collection<Linker>, id: string, provisioningState: Linker["provisioningState"]): void {
  const linker = rows.get(id);
  if (linker) rows.set(id, { ...linker, provisioningState });
}

/** What the real service looks at: the target exists, its network lets the source in, the settings are in place. Never a login. */
function judge(linker: Linker, server: FlexibleServerView | undefined, site: SiteView | undefined): readonly ValidationItem[] {
  const isConfigured = linker.written.every((name) => site?.appSettings[name] !== undefined);
  const isDenied = server?.publicNetworkAccess === "Disabled";
  return [
    { name: "Target resource existence validated.", description: null, result: server ? "success" : "failure" },
    { name: "Target network access validated.", description: isDenied ? DENIED_WARNING : null, result: isDenied ? "warning" : "success" },
    { name: "Configured connection information validated.", description: null, result: isConfigured ? "success" : "failure" },
  ];
}
