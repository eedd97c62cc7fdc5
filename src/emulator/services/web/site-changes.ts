import { isSameId, normalizeLocation } from "../../../base/resource-id.ts";
import { refusals } from "./errors.ts";
import {
  allowsAlwaysOn,
  type ConnectionString,
  defaultConfig,
  defaultLogs,
  isKnownRuntime,
  type LogsConfig,
  type Plan,
  type Site,
  type SiteConfig,
} from "./model.ts";
import type { ConfigBody, SiteBody } from "./site-body.ts";

/** A site as a PUT on a free name makes it; `given` is what no body says. Throws Microsoft.Web's refusals. */
export function newSite(
  body: SiteBody,
  plan: Plan,
  given: Pick<Site, "id" | "name" | "resourceGroup" | "folder" | "publishingSeed" | "lastModified">,
): Site {
  const location = body.location ?? plan.location;
  if (normalizeLocation(location) !== normalizeLocation(plan.location)) throw refusals.otherRegion(plan.name);
  const wanted = body.properties ?? {};
  const { appSettings, connectionStrings, ...config } = wanted.siteConfig ?? {};
  return {
    ...given,
    location,
    kind: plan.isReserved ? withLinux(body.kind) : (body.kind ?? "app"),
    ...(body.tags ? { tags: body.tags } : {}),
    planId: plan.id,
    state: "Running",
    isHttpsOnly: wanted.httpsOnly ?? false,
    isClientAffinityEnabled: wanted.clientAffinityEnabled ?? true,
    publicNetworkAccess: wanted.publicNetworkAccess ?? null,
    config: changedConfig(defaultConfig, config, plan),
    appSettings: settingsFromList(appSettings ?? []),
    connectionStrings: connectionsFromList(connectionStrings ?? []),
    slotConfigNames: { appSettingNames: null, connectionStringNames: null, azureStorageConfigNames: null },
    logs: defaultLogs,
    // On in older subscriptions, off in newer ones (recorded): a client has to look.
    basicPublishing: { scm: true, ftp: true },
    ports: {},
  };
}

/** What a body changes of a site. Members left out stay, in a PUT, too (a guess, see azure/appservice.md 1.3). */
export function changedSite(before: Site, { tags, properties }: SiteBody, plan: Plan | undefined): Partial<Site> {
  const { httpsOnly, clientAffinityEnabled, publicNetworkAccess, siteConfig } = properties ?? {};
  return {
    ...(tags ? { tags } : {}),
    ...(plan ? { planId: plan.id } : {}),
    ...(httpsOnly === undefined ? {} : { isHttpsOnly: httpsOnly }),
    ...(clientAffinityEnabled === undefined ? {} : { isClientAffinityEnabled: clientAffinityEnabled }),
    ...(publicNetworkAccess === undefined ? {} : { publicNetworkAccess }),
    ...(siteConfig ? configChange(before, siteConfig, plan) : {}),
  };
}

/** Whether a change restarts the containers: one of configuration or plan does. */
export function recycles(before: Site, { properties }: SiteBody, plan: Plan | undefined): boolean {
  return properties?.siteConfig !== undefined || (plan !== undefined && !isSameId(plan.id, before.planId));
}

/** What a `siteConfig` or a write of `config/web` changes. */
export function configChange(
  before: Site,
  { appSettings, connectionStrings, ...config }: ConfigBody,
  plan: Plan | undefined,
): Partial<Site> {
  return {
    config: changedConfig(before.config, config, plan),
    ...(appSettings ? { appSettings: settingsFromList(appSettings) } : {}),
    ...(connectionStrings ? { connectionStrings: connectionsFromList(connectionStrings) } : {}),
  };
}

function withLinux(kind: string | undefined): string {
  const wanted = kind ?? "app";
  return wanted.includes("linux") ? wanted : `${wanted},linux`;
}

/** Members that are null stay as they were: newer SDKs write every member they do not know as null (az 2.91 does; inferred). */
function changedConfig(before: SiteConfig, wanted: Readonly<Record<string, unknown>>, plan: Plan | undefined): SiteConfig {
  const given = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== null));
  const next = { ...before, ...given, appSettings: null, connectionStrings: null } as SiteConfig;
  const runtime = next.linuxFxVersion ?? "";
  if (!isKnownRuntime(runtime) || (runtime !== "" && plan?.isReserved === false)) throw refusals.badRuntime();
  if (next.alwaysOn === true && wanted.alwaysOn === true && plan && !allowsAlwaysOn(plan.sku)) throw refusals.alwaysOn();
  return { ...next, linuxFxVersion: runtime, appCommandLine: next.appCommandLine ?? "", alwaysOn: next.alwaysOn === true };
}

export function changedLogs(before: LogsConfig, wanted: Partial<LogsConfig>): LogsConfig {
  const fileSystem = { ...before.httpLogs.fileSystem, ...wanted.httpLogs?.fileSystem };
  return { ...before, ...wanted, httpLogs: { ...before.httpLogs, ...wanted.httpLogs, fileSystem } };
}

function settingsFromList(list: readonly { readonly name: string; readonly value: unknown }[]): Record<string, string> {
  return textsOf(Object.fromEntries(list.map(({ name, value }) => [name, value])));
}

function connectionsFromList(list: NonNullable<ConfigBody["connectionStrings"]>): Record<string, ConnectionString> {
  return Object.fromEntries(list.map(({ name, connectionString, type }) => [name, { value: connectionString, type }]));
}

export function textsOf(values: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value === null ? "" : String(value)]));
}
