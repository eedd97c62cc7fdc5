import { isSameId, normalizeLocation, parseResourceId, resourceGroupId, resourceId } from "../../../base/resource-id.ts";
import { type EmulatorRequest, empty, json, type Route, route } from "../../http/router.ts";
import type { Platform } from "../../platform.ts";
import { requireGroup, requireKnownGroup } from "../resources/groups.ts";
import { terminalPhases } from "../scm/model.ts";
import { deploymentToWire, logEntryToWire } from "../scm/wire.ts";
import { refusals } from "./errors.ts";
import { changeIdentities, checkIdentities, type IdentityBody } from "./identity-change.ts";
import {
  allowsAlwaysOn,
  type ConnectionString,
  defaultConfig,
  defaultLogs,
  isKnownRuntime,
  isSiteName,
  type LogsConfig,
  newPublishingSeed,
  type Plan,
  type Site,
  type SiteConfig,
} from "./model.ts";
import { publishingPassword } from "./publishing-password.ts";
import { type OnSite, publishingRoutes } from "./publishing-routes.ts";
import { bySiteEvent } from "./site-state.ts";
import { type Sites, siteFolderName } from "./sites.ts";
import { childToWire, deploymentStatusToWire, siteToWire } from "./wire.ts";

const SITES = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Web/sites";
const SITE = `${SITES}/{site}`;

interface SiteBody {
  readonly location?: string;
  readonly kind?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly identity?: IdentityBody;
  readonly properties?: {
    readonly serverFarmId?: string;
    readonly httpsOnly?: boolean;
    readonly clientAffinityEnabled?: boolean;
    readonly publicNetworkAccess?: string;
    readonly siteConfig?: Readonly<Record<string, unknown>> & {
      readonly appSettings?: readonly { readonly name: string; readonly value: unknown }[] | null;
      readonly connectionStrings?: readonly { readonly name: string; readonly connectionString: string; readonly type: string }[] | null;
    };
  };
}

/** Web apps: learn.microsoft.com/rest/api/appservice/web-apps. */
export function siteRoutes(platform: Platform, sites: Sites): readonly Route[] {
  const { tenantId } = platform.endpoints;
  const wire = (site: Site, form: "put" | "get"): object => siteToWire(site, sites.plans.get(site.planId), tenantId, form);
  const find = (request: EmulatorRequest): Site => {
    requireKnownGroup(platform, groupIdOf(request));
    const found = sites.get(siteId(request));
    if (!found) throw refusals.notFound("sites", request.params.site ?? "", request.params.group ?? "");
    return found;
  };
  /** A route below a site, given the site. */
  const on: OnSite = (method, path, source, handle) => route(method, `${SITE}${path}`, source, (request) => handle(find(request), request));

  return [
    route("PUT", SITE, "recorded", async (request) => {
      const group = requireGroup(platform, groupIdOf(request));
      const site = await sites.oneAtATime(siteId(request), () => putSite(platform, sites, request, group.name));
      return json(200, wire(site, "put"));
    }),
    on("GET", "", "recorded", (site) => json(200, wire(site, "get"))),
    on("PATCH", "", "specification", (site, request) =>
      json(200, wire(patchSite(platform, sites, site, (request.body ?? {}) as SiteBody), "get")),
    ),
    route("DELETE", SITE, "specification", async (request) => {
      requireKnownGroup(platform, groupIdOf(request));
      const site = sites.get(siteId(request));
      if (!site) return empty(204);
      await sites.oneAtATime(site.id, () => sites.delete(site.id));
      const keepsPlan = request.url.searchParams.get("deleteEmptyServerFarm")?.toLowerCase() === "false";
      if (!keepsPlan && sites.onPlan(site.planId).length === 0) sites.plans.delete(site.planId);
      return empty(200);
    }),
    route("GET", SITES, "specification", (request) => {
      requireKnownGroup(platform, groupIdOf(request));
      return json(200, { value: sites.list(`${groupIdOf(request)}/`).map((site) => wire(site, "get")), nextLink: null });
    }),
    route("GET", "/subscriptions/{subscription}/providers/Microsoft.Web/sites", "specification", ({ params }) =>
      json(200, { value: sites.list(`/subscriptions/${params.subscription}/`).map((site) => wire(site, "get")), nextLink: null }),
    ),
    on("GET", "/slots", "recorded", () => json(200, { value: [], nextLink: null })),
    on("POST", "/start", "specification", (site) => {
      const started = sites.update(site.id, bySiteEvent(site, "start"), false);
      background(platform, started, sites.machine(started).restartApp());
      return empty(200);
    }),
    on("POST", "/stop", "specification", async (site) => {
      await sites.machine(sites.update(site.id, bySiteEvent(site, "stop"), false)).host.stop();
      return empty(200);
    }),
    on("POST", "/restart", "specification", (site) => {
      background(platform, site, sites.machine(site).restartApp());
      return empty(200);
    }),
    on("GET", "/instances", "specification", (site) =>
      json(200, {
        value: sites
          .machine(site)
          .host.instances()
          .map(({ id, machine, state }) =>
            childToWire(site, `instances/${id}`, "instances", { name: id, machineName: machine, siteInstanceName: id, state }),
          ),
        nextLink: null,
      }),
    ),
    on("GET", "/instances/{instance}", "specification", (site, { params }) => {
      const found = sites
        .machine(site)
        .host.instances()
        .find(({ id }) => id === params.instance);
      if (!found) throw refusals.notFound("sites/instances", params.instance ?? "", site.resourceGroup);
      const { id, machine, state } = found;
      return json(200, childToWire(site, `instances/${id}`, "instances", { name: id, machineName: machine, siteInstanceName: id, state }));
    }),
    ...configRoutes(platform, sites, on),
    ...deploymentRoutes(platform, sites, on),
    ...publishingRoutes(on, (site) => publishingPassword(platform, site)),
    on("POST", "/containerlogs", "specification", (site) => {
      const text = sites.machine(site).log.tail();
      return text === "" ? empty(204) : new Response(text, { headers: { "content-type": "application/octet-stream" } });
    }),
  ];
}

function configRoutes(platform: Platform, sites: Sites, on: OnSite): readonly Route[] {
  const config = (site: Site): object =>
    childToWire(site, "config/web", "config", { ...site.config, logsDirectorySizeLimit: site.logs.httpLogs.fileSystem.retentionInMb });
  const writeConfig = (site: Site, request: EmulatorRequest): Response => {
    const wanted = propertiesOf<Record<string, unknown>>(request) ?? {};
    const plan = sites.plans.get(site.planId);
    const { appSettings, connectionStrings, ...rest } = wanted as NonNullable<NonNullable<SiteBody["properties"]>["siteConfig"]>;
    const change = {
      config: mergeConfig(site.config, rest, plan),
      ...(appSettings ? { appSettings: settingsFromList(appSettings) } : {}),
      ...(connectionStrings ? { connectionStrings: connectionsFromList(connectionStrings) } : {}),
    };
    return json(200, config(sites.update(site.id, change, true)));
  };
  const settings = (site: Site): object => childToWire(site, "config/appsettings", "config", site.appSettings);
  const connections = (site: Site): object => childToWire(site, "config/connectionstrings", "config", site.connectionStrings);
  const logs = (site: Site): object => childToWire(site, "config/logs", "config", site.logs);
  const names = (site: Site): object => childToWire(site, "config/slotConfigNames", "config", site.slotConfigNames);
  const policy = (site: Site, kind: "scm" | "ftp"): object =>
    childToWire(site, `basicPublishingCredentialsPolicies/${kind}`, "basicPublishingCredentialsPolicies", {
      allow: site.basicPublishing[kind],
    });
  const credentials = (site: Site): object => {
    const host = `localhost:${site.ports.scm}`;
    const password = publishingPassword(platform, site);
    return childToWire(site, "publishingcredentials/$", "publishingcredentials", {
      name: null,
      publishingUserName: `$${site.name}`,
      publishingPassword: password,
      publishingPasswordHash: null,
      publishingPasswordHashSalt: null,
      scmUri: `https://$${site.name}:${password}@${host}`,
    });
  };

  return [
    on("GET", "/config", "specification", (site) => json(200, { value: [config(site)], nextLink: null })),
    on("GET", "/config/web", "specification", (site) => json(200, config(site))),
    on("PUT", "/config/web", "specification", writeConfig),
    on("PATCH", "/config/web", "specification", writeConfig),
    on("POST", "/config/appsettings/list", "specification", (site) => json(200, settings(site))),
    on("PUT", "/config/appsettings", "specification", (site, request) => {
      const appSettings = texts(propertiesOf(request) ?? {});
      return json(200, settings(sites.update(site.id, { appSettings }, true)));
    }),
    on("POST", "/config/connectionstrings/list", "specification", (site) => json(200, connections(site))),
    on("PUT", "/config/connectionstrings", "specification", (site, request) => {
      const connectionStrings = propertiesOf<Record<string, ConnectionString>>(request) ?? {};
      return json(200, connections(sites.update(site.id, { connectionStrings }, true)));
    }),
    on("GET", "/config/slotConfigNames", "specification", (site) => json(200, names(site))),
    on("PUT", "/config/slotConfigNames", "specification", (site, request) => {
      const wanted = propertiesOf<Record<string, unknown>>(request) ?? {};
      return json(200, names(sites.update(site.id, { slotConfigNames: { ...site.slotConfigNames, ...wanted } }, false)));
    }),
    on("GET", "/config/logs", "specification", (site) => json(200, logs(site))),
    on("PUT", "/config/logs", "specification", (site, request) => {
      const next = mergeLogs(site.logs, propertiesOf<Partial<LogsConfig>>(request) ?? {});
      return json(200, logs(sites.update(site.id, { logs: next }, false)));
    }),
    on("POST", "/config/metadata/list", "specification", (site) => json(200, childToWire(site, "config/metadata", "config", {}))),
    on("POST", "/config/publishingcredentials/list", "specification", (site) => json(200, credentials(site))),
    on("GET", "/basicPublishingCredentialsPolicies", "specification", (site) =>
      json(200, { value: [policy(site, "ftp"), policy(site, "scm")], nextLink: null, id: null }),
    ),
    ...(["scm", "ftp"] as const).flatMap((kind) => [
      on("GET", `/basicPublishingCredentialsPolicies/${kind}`, "recorded", (site) => json(200, policy(site, kind))),
      on("PUT", `/basicPublishingCredentialsPolicies/${kind}`, "specification", (site, request) => {
        const allow = propertiesOf<{ allow?: boolean }>(request)?.allow;
        if (typeof allow !== "boolean") throw refusals.invalid("allow");
        const basicPublishing = { ...site.basicPublishing, [kind]: allow };
        return json(200, policy(sites.update(site.id, { basicPublishing }, false), kind));
      }),
    ]),
  ];
}

function deploymentRoutes(platform: Platform, sites: Sites, on: OnSite): readonly Route[] {
  const armForm = (site: Site, id: string, properties: object): object => childToWire(site, `deployments/${id}`, "deployments", properties);
  const scmBase = (site: Site): string => `https://localhost:${site.ports.scm}/api`;
  return [
    on("GET", "/deploymentStatus", "specification", (site) => {
      const rows = sites.machine(site).scm.deployments.list();
      return json(200, { value: rows.map((row) => deploymentStatusToWire(site, row)), nextLink: null });
    }),
    on("GET", "/deploymentStatus/{deployment}", "recorded", (site, request) => {
      const found = sites.machine(site).scm.deployments.find(request.params.deployment ?? "");
      if (!found) throw refusals.notFound("sites/deploymentStatus", request.params.deployment ?? "", site.resourceGroup);
      const body = deploymentStatusToWire(site, found);
      if (terminalPhases.includes(found.phase)) return json(200, body);
      const bare = new URL(`${platform.endpoints.resourceManager}${request.url.pathname}`);
      bare.searchParams.set("api-version", request.apiVersion);
      return json(202, body, { location: platform.operations.sign(bare.href), "retry-after": "0" });
    }),
    on("GET", "/deployments", "specification", (site) => {
      const rows = sites.machine(site).scm.deployments.list();
      return json(200, {
        value: rows.map((row) => armForm(site, row.id, deploymentToWire(row, site.name, scmBase(site)))),
        nextLink: null,
      });
    }),
    on("GET", "/deployments/{deployment}", "specification", (site, { params }) => {
      const found = sites.machine(site).scm.deployments.find(params.deployment ?? "");
      if (!found) throw refusals.notFound("sites/deployments", params.deployment ?? "", site.resourceGroup);
      return json(200, armForm(site, found.id, deploymentToWire(found, site.name, scmBase(site))));
    }),
    on("GET", "/deployments/{deployment}/log", "specification", (site, { params }) => {
      const entries = sites.machine(site).scm.deployments.log(params.deployment ?? "");
      if (!entries) throw refusals.notFound("sites/deployments", params.deployment ?? "", site.resourceGroup);
      const base = `${scmBase(site)}/deployments/${params.deployment}/log`;
      return json(200, {
        value: entries.map((entry) => armForm(site, `${params.deployment}/log/${entry.id}`, logEntryToWire(entry, base))),
        nextLink: null,
      });
    }),
  ];
}

async function putSite(platform: Platform, sites: Sites, request: EmulatorRequest, group: string): Promise<Site> {
  const id = siteId(request);
  const name = request.params.site ?? "";
  const body = (request.body ?? {}) as SiteBody;
  const before = sites.get(id);
  if (before) return patchSite(platform, sites, before, body, true);
  if (!isSiteName(name)) throw refusals.invalid("Name");
  if (sites.byName(name)) throw refusals.nameTaken(name);
  const plan = planOf(sites, body.properties?.serverFarmId, groupIdOf(request));
  const location = body.location ?? plan.location;
  if (normalizeLocation(location) !== normalizeLocation(plan.location)) throw refusals.otherRegion(plan.name);
  checkIdentities(platform.directory, id, body.identity);
  const { appSettings, connectionStrings, ...config } = body.properties?.siteConfig ?? {};
  const created = await sites.create({
    id,
    name,
    resourceGroup: group,
    location,
    kind: plan.isReserved ? withLinux(body.kind) : (body.kind ?? "app"),
    ...(body.tags ? { tags: body.tags } : {}),
    planId: plan.id,
    state: "Running",
    isHttpsOnly: body.properties?.httpsOnly ?? false,
    isClientAffinityEnabled: body.properties?.clientAffinityEnabled ?? true,
    publicNetworkAccess: body.properties?.publicNetworkAccess ?? null,
    config: mergeConfig(defaultConfig, config, plan),
    appSettings: settingsFromList(appSettings ?? []),
    connectionStrings: connectionsFromList(connectionStrings ?? []),
    slotConfigNames: { appSettingNames: null, connectionStringNames: null, azureStorageConfigNames: null },
    logs: defaultLogs,
    // On in older subscriptions, off in newer ones (recorded): a client has to look.
    basicPublishing: { scm: true, ftp: true },
    publishingSeed: newPublishingSeed(),
    folder: siteFolderName(id, platform.clock.now()),
    ports: {},
    lastModified: new Date(platform.clock.now()).toISOString(),
  });
  changeIdentities(platform.directory, sites, id, body.identity, "PUT");
  return sites.get(id) ?? created;
}

/** A change of an existing site: PATCH, or PUT on a name that is there. Members left out stay (a guess for PUT, see azure/appservice.md 1.3). */
function patchSite(platform: Platform, sites: Sites, before: Site, body: SiteBody, isPut = false): Site {
  checkIdentities(platform.directory, before.id, body.identity, before.userIdentities);
  const wanted = body.properties ?? {};
  const plan = wanted.serverFarmId ? planOf(sites, wanted.serverFarmId, groupOf(before)) : sites.plans.get(before.planId);
  const { appSettings, connectionStrings, ...config } = wanted.siteConfig ?? {};
  const touchesConfig = wanted.siteConfig !== undefined || (plan !== undefined && !isSameId(plan.id, before.planId));
  sites.update(
    before.id,
    {
      ...(body.tags ? { tags: body.tags } : {}),
      ...(plan ? { planId: plan.id } : {}),
      ...(wanted.httpsOnly === undefined ? {} : { isHttpsOnly: wanted.httpsOnly }),
      ...(wanted.clientAffinityEnabled === undefined ? {} : { isClientAffinityEnabled: wanted.clientAffinityEnabled }),
      ...(wanted.publicNetworkAccess === undefined ? {} : { publicNetworkAccess: wanted.publicNetworkAccess }),
      ...(wanted.siteConfig ? { config: mergeConfig(before.config, config, plan) } : {}),
      ...(appSettings ? { appSettings: settingsFromList(appSettings) } : {}),
      ...(connectionStrings ? { connectionStrings: connectionsFromList(connectionStrings) } : {}),
    },
    touchesConfig || isPut,
  );
  changeIdentities(platform.directory, sites, before.id, body.identity, isPut ? "PUT" : "PATCH");
  const after = sites.get(before.id);
  if (!after) throw new Error(`site ${before.name} went away while ${platform.endpoints.resourceManager} changed it`);
  return after;
}

/** The plan a site names: its ID, or its bare name in the same group. */
function planOf(sites: Sites, given: string | undefined, groupId: string): Plan {
  const id = given?.includes("/") ? given : resourceId(groupId, "Microsoft.Web", "serverfarms", given ?? "");
  const plan = sites.plans.get(`/${id.replace(/^\/+|\/+$/g, "")}`);
  if (!plan) throw refusals.planMissing(given?.split("/").at(-1) ?? "");
  return plan;
}

function withLinux(kind: string | undefined): string {
  const wanted = kind ?? "app";
  return wanted.includes("linux") ? wanted : `${wanted},linux`;
}

/** Members that are null stay as they were: newer SDKs write every member they do not know as null (az 2.91 does; inferred). */
function mergeConfig(before: SiteConfig, wanted: Readonly<Record<string, unknown>>, plan: Plan | undefined): SiteConfig {
  const given = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== null));
  const next = { ...before, ...given, appSettings: null, connectionStrings: null } as SiteConfig;
  const runtime = next.linuxFxVersion ?? "";
  if (!isKnownRuntime(runtime) || (runtime !== "" && plan?.isReserved === false)) throw refusals.badRuntime();
  if (next.alwaysOn === true && wanted.alwaysOn === true && plan && !allowsAlwaysOn(plan.sku)) throw refusals.alwaysOn();
  return { ...next, linuxFxVersion: runtime, appCommandLine: next.appCommandLine ?? "", alwaysOn: next.alwaysOn === true };
}

function mergeLogs(before: LogsConfig, wanted: Partial<LogsConfig>): LogsConfig {
  const fileSystem = { ...before.httpLogs.fileSystem, ...wanted.httpLogs?.fileSystem };
  return { ...before, ...wanted, httpLogs: { ...before.httpLogs, ...wanted.httpLogs, fileSystem } };
}

function settingsFromList(list: readonly { readonly name: string; readonly value: unknown }[]): Record<string, string> {
  return texts(Object.fromEntries(list.map(({ name, value }) => [name, value])));
}

function connectionsFromList(
  list: readonly { readonly name: string; readonly connectionString: string; readonly type: string }[],
): Record<string, ConnectionString> {
  return Object.fromEntries(list.map(({ name, connectionString, type }) => [name, { value: connectionString, type }]));
}

function texts(values: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value === null ? "" : String(value)]));
}

function propertiesOf<T extends object>(request: EmulatorRequest): T | undefined {
  return (request.body as { properties?: T } | undefined)?.properties;
}

function groupIdOf({ params }: EmulatorRequest): string {
  return resourceGroupId(params.subscription ?? "", params.group ?? "");
}

function groupOf(site: Site): string {
  const parsed = parseResourceId(site.id);
  return resourceGroupId(parsed?.subscriptionId ?? "", parsed?.resourceGroup ?? "");
}

function siteId(request: EmulatorRequest): string {
  return resourceId(groupIdOf(request), "Microsoft.Web", "sites", request.params.site ?? "");
}

function background(platform: Platform, site: Site, work: Promise<unknown>): void {
  work.catch((error: unknown) => platform.log(`site ${site.name}: ${String(error)}`));
}
