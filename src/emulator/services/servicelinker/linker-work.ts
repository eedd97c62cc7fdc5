import { armError } from "../../http/arm-error.ts";
import type { FlexibleServerRegistry, FlexibleServerView, Platform, SiteRegistry, SiteView } from "../../platform.ts";
import type { Collection } from "../../store.ts";
import { databaseOf, type Linker } from "./model.ts";
import { type ValidationItem, validationToWire } from "./wire.ts";

/** What the work on linkers stands on. */
export interface LinkerContext extends LinkerDependencies {
  readonly platform: Platform;
  readonly rows: Collection<Linker>;
}

/** Those whom Service Connector works on. */
export interface LinkerDependencies {
  readonly sites: SiteRegistry;
  readonly servers: FlexibleServerRegistry;
}

/** What an operation on a linker carries. */
export interface LinkerPayload {
  readonly apiVersion: string;
}

/** Has the engine of operations do what is accepted: put, delete, validate. */
export function defineLinkerWork(context: LinkerContext): void {
  definePut(context);
  defineDelete(context);
  defineValidate(context);
}

function definePut(context: LinkerContext): void {
  const { platform, rows, sites, servers } = context;
  platform.operations.define("servicelinker/put", {
    work: async ({ resourceId }) => {
      const linker = rows.get(resourceId);
      if (!linker || !sites.find(linker.sourceId)) throw sourceNotFound(linker?.sourceId ?? resourceId);
      const found = targetOf(context, linker);
      if (!found) throw armError(404, "ResourceNotFound", "Target resource is not found");
      const { authInfo } = linker.properties;
      if (authInfo.authType === "userAssignedIdentity" && !isAuthOptedOut(linker) && !isIdentity(platform, authInfo.clientId)) {
        throw armError(404, "ResourceNotFound", `The user-assigned identity with client ID '${authInfo.clientId}' is not found.`); // inferred
      }
      const isDenied = found.server.publicNetworkAccess === "Disabled" && !isNetworkOptedOut(linker);
      return isDenied ? { message: DENIED_WARNING } : undefined;
    },
    finish: ({ resourceId }) => {
      const linker = rows.get(resourceId);
      const found = linker && targetOf(context, linker);
      if (!linker || !found || !sites.find(linker.sourceId)) return; // gone since the work looked
      const { authInfo, configurationInfo } = linker.properties;
      if (authInfo.authType === "systemAssignedIdentity" && !isAuthOptedOut(linker)) sites.enableSystemIdentity(linker.sourceId);
      if (authInfo.authType === "userAssignedIdentity" && !isAuthOptedOut(linker)) sites.assignIdentity(linker.sourceId, authInfo.clientId);
      if (found.server.publicNetworkAccess === "Enabled" && !isNetworkOptedOut(linker)) servers.allowAzureServices(found.server.id);
      const settings = configurationInfo?.action === "optOut" ? [] : linker.settings;
      write(context, linker, settings);
      rows.set(linker.id, { ...linker, provisioningState: "Succeeded", written: settings.map(({ name }) => name) });
    },
    fail: ({ resourceId }) => setState(rows, resourceId, "Failed"),
  });
}

function defineDelete(context: LinkerContext): void {
  const { platform, rows, sites } = context;
  platform.operations.define("servicelinker/delete", {
    finish: ({ resourceId }) => {
      const linker = rows.get(resourceId);
      if (!linker) return;
      if (sites.find(linker.sourceId)) write(context, linker, []);
      rows.delete(resourceId);
    },
    fail: ({ resourceId }) => setState(rows, resourceId, "Failed"),
  });
}

function defineValidate(context: LinkerContext): void {
  const { platform, rows, sites } = context;
  platform.operations.define("servicelinker/validate", {
    work: async ({ resourceId, payload, startTime }) => {
      const linker = rows.get(resourceId);
      if (!linker) throw armError(404, "ResourceNotFound", "The linker is not found");
      const times = { start: startTime, end: new Date(platform.clock.now()).toISOString() };
      const { apiVersion } = payload as LinkerPayload;
      return validationToWire(linker, judge(linker, targetOf(context, linker)?.server, sites.find(linker.sourceId)), times, apiVersion);
    },
  });
}

function targetOf({ servers }: LinkerContext, linker: Linker): { server: FlexibleServerView; database: string } | undefined {
  const parsed = databaseOf(linker.properties.targetService.id);
  if (!parsed) return undefined;
  const server = servers.find(parsed.serverId);
  return server?.databases.includes(parsed.database) ? { server, database: parsed.database } : undefined;
}

/** Makes the app settings of the source those of the linker, in place of what it has written before. */
function write({ sites }: LinkerContext, linker: Linker, settings: Linker["settings"]): void {
  if (settings.length === 0 && linker.written.length === 0) return;
  sites.changeAppSettings(linker.sourceId, (before) => {
    const kept = Object.entries(before).filter(([name]) => !linker.written.includes(name));
    return { ...Object.fromEntries(kept), ...Object.fromEntries(settings.map(({ name, value }) => [name, value])) };
  });
}

export function setState(rows: Collection<Linker>, id: string, provisioningState: Linker["provisioningState"]): void {
  const linker = rows.get(id);
  if (linker) rows.set(id, { ...linker, provisioningState });
}

/** ARM's 404 for a source that is not there. */
export function sourceNotFound(sourceId: string) {
  const [, group = "", resource = sourceId] = /\/resourceGroups\/([^/]+)\/providers\/(.+)/i.exec(sourceId) ?? [];
  return armError(
    404,
    "ResourceNotFound",
    `The Resource '${resource}' under resource group '${group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
  );
}

/** Recorded as a warning on a successful operation (springcloud_postgres_e2e_mi). */
const DENIED_WARNING =
  "Deny public network access is set to yes. Please confirm you are using private endpoint connection to access target resource.";

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
