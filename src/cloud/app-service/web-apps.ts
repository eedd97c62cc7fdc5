import type { Site, SiteConfigResource, SiteLogsConfig, AppServicePlan as WirePlan } from "@azure/arm-appservice";
import { KnownError } from "../../base/errors.ts";
import { isSameId, normalizeLocation, resourceGroupId, resourceId } from "../../base/resource-id.ts";
import type { Arm } from "../arm.ts";
import { fromThenablePoller, pause } from "../operations.ts";
import type { NameAvailability } from "../postgres-servers.ts";

export interface AppServicePlan {
  readonly id: string;
  readonly name: string;
  /** Normalised, `eastus`. */
  readonly location: string;
  /** `B1` */
  readonly sku: string;
  /** `Basic` */
  readonly tier: string;
  /** Instances. */
  readonly capacity: number;
  readonly isLinux: boolean;
  readonly numberOfSites: number;
  readonly tags: Readonly<Record<string, string>>;
}

export interface WebApp {
  readonly id: string;
  readonly name: string;
  readonly location: string;
  readonly planId: string;
  /** Default host name, with a port on local Azure. */
  readonly host: string;
  /** Host of the SCM site, from the `Repository` entry of `hostNameSslStates`. */
  readonly scmHost: string;
  readonly url: string;
  /** `Running` or `Stopped`. */
  readonly state: string;
  /** Object ID of the system-assigned identity; in the steps of an app with a user-assigned one, of that (`signedInBy`). */
  readonly principalId?: string;
  /** Of the user-assigned identity that the app signs in with; known to the steps only. */
  readonly clientId?: string;
  /** Those that are assigned, as they were then: one made anew under its name has other IDs. */
  readonly userIdentities: readonly { readonly id: string; readonly principalId?: string; readonly clientId?: string }[];
  readonly tenantId?: string;
  readonly httpsOnly: boolean;
  /** Last write to the app, its settings or its configuration, by Azure's clock; epoch milliseconds. */
  readonly changedAt?: number;
  readonly possibleOutboundAddresses: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
}

/** The parts of `config/web` this tool sets. */
export interface WebAppConfig {
  /** `linuxFxVersion`, `PYTHON|3.12`. */
  readonly runtime: string;
  /** `appCommandLine`; empty when App Service is to find out itself. */
  readonly startup: string;
  readonly alwaysOn: boolean;
  /** `Disabled`, `FtpsOnly`, `AllAllowed`. */
  readonly ftpsState: string;
  readonly minTlsVersion: string;
  readonly scmMinTlsVersion: string;
  /** Empty when no health check is set. */
  readonly healthCheckPath: string;
}

interface NewPlan {
  readonly location: string;
  readonly sku: string;
  readonly capacity?: number;
  readonly tags: Readonly<Record<string, string>>;
}

interface NewWebApp {
  readonly location: string;
  readonly planId: string;
  readonly config: Partial<WebAppConfig>;
  /** Resource ID of the user-assigned identity to have instead of a system-assigned one. */
  readonly userIdentity?: string;
  /** First app settings; may be empty. */
  readonly settings: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
}

interface WebAppChange {
  readonly httpsOnly?: boolean;
  /** Replaces all tags. */
  readonly tags?: Readonly<Record<string, string>>;
  /** Turns the system-assigned identity on; user-assigned ones stay. */
  readonly systemIdentity?: true;
  /** Assigns the user-assigned identity with this resource ID; the other identities stay. */
  readonly userIdentity?: string;
}

interface DeploymentStatus {
  /** `BuildInProgress`, `RuntimeStarting`, `RuntimeSuccessful`, … */
  readonly status: string;
  readonly isTerminal: boolean;
  /** Only true for `RuntimeSuccessful`. */
  readonly isOk: boolean;
  readonly instances: { readonly inProgress: number; readonly successful: number; readonly failed: number };
  readonly errors: readonly { readonly code: string; readonly message: string }[];
}

export type PublishingKind = "scm" | "ftp";

/** App Service plans and web apps of one subscription. */
export interface WebApps {
  getPlan(group: string, name: string): Promise<AppServicePlan | undefined>;
  createPlan(group: string, name: string, desired: NewPlan): Promise<AppServicePlan>;
  /** Changes SKU or number of instances: reads the plan and puts it back whole, since PATCH has no SKU. */
  scalePlan(group: string, name: string, change: { readonly sku?: string; readonly capacity?: number }): Promise<AppServicePlan>;
  deletePlan(group: string, name: string): Promise<void>;

  get(group: string, name: string): Promise<WebApp | undefined>;
  list(group: string): Promise<WebApp[]>;
  /** A Linux web app with an identity (system-assigned unless another is named), HTTPS only. Read back after the write, whose own answer is stale. */
  create(group: string, name: string, desired: NewWebApp): Promise<WebApp>;
  update(group: string, name: string, change: WebAppChange): Promise<WebApp>;
  /** Leaves the plan alone. */
  delete(group: string, name: string): Promise<void>;
  start(group: string, name: string): Promise<void>;
  stop(group: string, name: string): Promise<void>;
  restart(group: string, name: string): Promise<void>;
  checkName(name: string): Promise<NameAvailability>;

  getConfig(group: string, name: string): Promise<WebAppConfig | undefined>;
  updateConfig(group: string, name: string, change: Partial<WebAppConfig>): Promise<WebAppConfig>;
  getSettings(group: string, name: string): Promise<Record<string, string> | undefined>;
  /** Replaces ALL app settings, and recycles the app and its SCM site. */
  putSettings(group: string, name: string, settings: Readonly<Record<string, string>>): Promise<Record<string, string>>;
  getPublishingPolicies(group: string, name: string): Promise<Record<PublishingKind, boolean> | undefined>;
  setPublishingPolicy(group: string, name: string, kind: PublishingKind, isAllowed: boolean): Promise<void>;
  getLogs(group: string, name: string): Promise<{ readonly isFileSystemLoggingOn: boolean } | undefined>;
  enableFileSystemLogging(group: string, name: string): Promise<void>;
  /** ARM's view of one deployment, with the start of the new container; `undefined` while ARM does not know it. */
  deploymentStatus(group: string, name: string, deploymentId: string): Promise<DeploymentStatus | undefined>;
}

const API_VERSION = "2025-05-01";
/** Recorded: 9 s for a plan, 23 s for a site, minutes at the worst. */
const DEADLINE_MS = 15 * 60_000;
/** A site may be unknown for about a minute after its own create. */
const READ_BACK_MS = 60_000;

/** Tier of a plan SKU; wire words of the App Service notes. */
const tiers: readonly (readonly [pattern: RegExp, tier: string])[] = [
  [/^F1$/i, "Free"],
  [/^D1$/i, "Shared"],
  [/^B\d$/i, "Basic"],
  [/^S\d$/i, "Standard"],
  [/^P\dv2$/i, "PremiumV2"],
  [/^P\dv3$/i, "PremiumV3"],
  [/^P\dmv3$/i, "PremiumMV3"],
  [/^P\dv4$/i, "PremiumV4"],
  [/^P\dmv4$/i, "PremiumMV4"],
  [/^EP\d$/i, "ElasticPremium"],
  [/^Y1$/i, "Dynamic"],
  [/^FC1$/i, "FlexConsumption"],
];

function tierOf(sku: string): string {
  const tier = tiers.find(([pattern]) => pattern.test(sku))?.[1];
  if (tier === undefined) throw new KnownError("azure/invalid", `no App Service plan SKU is named ${sku}`, { hint: "use B1, S1, P0v3, …" });
  return tier;
}

function toPlan(plan: WirePlan): AppServicePlan {
  return {
    id: plan.id ?? "",
    name: plan.name ?? "",
    location: normalizeLocation(plan.location),
    sku: plan.sku?.name ?? "",
    tier: plan.sku?.tier ?? "",
    capacity: plan.sku?.capacity ?? 0,
    isLinux: plan.reserved ?? false,
    numberOfSites: plan.numberOfSites ?? 0,
    tags: plan.tags ?? {},
  };
}

/** Azure writes the time without a zone (recorded), so that the SDK takes it for this machine's own. */
function utcOf(local: Date): number {
  return local.getTime() - local.getTimezoneOffset() * 60_000;
}

function toWebApp(site: Site, scheme: string): WebApp {
  const host = site.defaultHostName ?? "";
  const { principalId, tenantId } = site.identity ?? {};
  return {
    id: site.id ?? "",
    name: site.name ?? "",
    location: normalizeLocation(site.location),
    planId: site.serverFarmId ?? "",
    host,
    scmHost: site.hostNameSslStates?.find(({ hostType }) => hostType?.toLowerCase() === "repository")?.name ?? "",
    url: `${scheme}://${host}`,
    state: site.state ?? "",
    ...(principalId && { principalId }),
    userIdentities: Object.entries(site.identity?.userAssignedIdentities ?? {}).map(([id, assigned]) => ({
      id,
      ...(assigned.principalId && { principalId: assigned.principalId }),
      ...(assigned.clientId && { clientId: assigned.clientId }),
    })),
    ...(tenantId && { tenantId }),
    httpsOnly: site.httpsOnly ?? false,
    ...(site.lastModifiedTimeUtc && { changedAt: utcOf(site.lastModifiedTimeUtc) }),
    // The current addresses may change with the SKU: a firewall needs the possible ones.
    possibleOutboundAddresses: site.possibleOutboundIpAddresses?.split(",").filter((address) => address !== "") ?? [],
    tags: site.tags ?? {},
  };
}

function toConfig(config: SiteConfigResource): WebAppConfig {
  return {
    runtime: config.linuxFxVersion ?? "",
    startup: config.appCommandLine ?? "",
    alwaysOn: config.alwaysOn ?? false,
    ftpsState: config.ftpsState ?? "",
    minTlsVersion: config.minTlsVersion ?? "",
    scmMinTlsVersion: config.scmMinTlsVersion ?? "",
    healthCheckPath: config.healthCheckPath ?? "",
  };
}

function fromConfig(config: Partial<WebAppConfig>): SiteConfigResource {
  const { runtime, startup, alwaysOn, ftpsState, minTlsVersion, scmMinTlsVersion, healthCheckPath } = config;
  return {
    ...(runtime !== undefined && { linuxFxVersion: runtime }),
    ...(startup !== undefined && { appCommandLine: startup }),
    ...(alwaysOn !== undefined && { alwaysOn }),
    ...(ftpsState !== undefined && { ftpsState }),
    ...(minTlsVersion !== undefined && { minTlsVersion }),
    ...(scmMinTlsVersion !== undefined && { scmMinTlsVersion }),
    ...(healthCheckPath !== undefined && { healthCheckPath }),
  };
}

function fromNewWebApp({ location, planId, config, userIdentity, settings, tags }: NewWebApp): Site {
  return {
    location,
    kind: "app,linux",
    tags: { ...tags },
    identity: userIdentity ? { type: "UserAssigned", userAssignedIdentities: { [userIdentity]: {} } } : { type: "SystemAssigned" },
    serverFarmId: planId,
    reserved: true,
    httpsOnly: true,
    clientAffinityEnabled: false,
    // Both here and in siteConfig: one of them alone does not always stick.
    publicNetworkAccess: "Enabled",
    siteConfig: {
      ...fromConfig(config),
      publicNetworkAccess: "Enabled",
      appSettings: Object.entries(settings).map(([name, value]) => ({ name, value })),
    },
  };
}

/** stdout and stderr of a Linux container are kept and streamed only when `httpLogs` go to the file system; `applicationLogs` alone do nothing. */
const FILE_SYSTEM_LOGS: SiteLogsConfig = {
  applicationLogs: { fileSystem: { level: "Information" } },
  httpLogs: { fileSystem: { enabled: true, retentionInMb: 100, retentionInDays: 3 } },
  detailedErrorMessages: { enabled: false },
  failedRequestsTracing: { enabled: false },
};

const FAILED_STATUS = new Set(["RuntimeFailed", "BuildFailed", "BuildAborted", "TimedOut"]);

interface WireDeploymentStatus {
  readonly status?: string;
  readonly numberOfInstancesInProgress?: number;
  readonly numberOfInstancesSuccessful?: number;
  readonly numberOfInstancesFailed?: number;
  readonly errors?: readonly { readonly extendedCode?: string; readonly code?: string; readonly message?: string }[] | null;
}

function toDeploymentStatus(wire: WireDeploymentStatus): DeploymentStatus {
  const status = wire.status ?? "";
  const isOk = status === "RuntimeSuccessful";
  return {
    status,
    isOk,
    isTerminal: isOk || FAILED_STATUS.has(status),
    instances: {
      inProgress: wire.numberOfInstancesInProgress ?? 0,
      successful: wire.numberOfInstancesSuccessful ?? 0,
      failed: wire.numberOfInstancesFailed ?? 0,
    },
    errors: (wire.errors ?? []).map(({ extendedCode, code, message }) => ({ code: extendedCode ?? code ?? "", message: message ?? "" })),
  };
}

interface IdentityBody {
  readonly type: string;
  readonly userAssignedIdentities?: Readonly<Record<string, object | null>>;
}

/** What PATCH is told: every identity that is to be there, since naming one alone may take the others away; `null` takes one away. */
function identityBody(hasSystem: boolean, assigned: readonly string[], without?: string): IdentityBody {
  const type = [hasSystem && "SystemAssigned", assigned.length > 0 && "UserAssigned"].filter((word) => word !== false).join(", ");
  if (assigned.length === 0) return { type: type || "None" };
  const gone = without === undefined ? {} : { [without]: null };
  return { type, userAssignedIdentities: { ...Object.fromEntries(assigned.map((id) => [id, {}])), ...gone } };
}

/**
 * The bodies that give a site the wanted identities beside those it has. One that is assigned already is taken away first: it was made
 * anew since, and naming it again may leave the site with the old one (inferred).
 */
function identityBodies(site: Site | undefined, { systemIdentity, userIdentity }: WebAppChange): IdentityBody[] {
  if (!systemIdentity && userIdentity === undefined) return [];
  const hadSystem = /SystemAssigned/i.test(site?.identity?.type ?? "");
  const assigned = Object.keys(site?.identity?.userAssignedIdentities ?? {});
  const stale = userIdentity === undefined ? undefined : assigned.find((id) => isSameId(id, userIdentity));
  const others = assigned.filter((id) => id !== stale);
  const whole = identityBody(hadSystem || systemIdentity === true, userIdentity === undefined ? others : [...others, userIdentity]);
  return stale === undefined ? [whole] : [identityBody(hadSystem, others, stale), whole];
}

/** `@azure/arm-appservice` 19, api-version 2025-05-01; its modular form, since the whole client is 9 MB. */
export function webApps(arm: Arm): WebApps {
  const { clock, credential, environment, signal, subscriptionId } = arm.context;
  const open = async () => {
    const [{ createWebSiteManagement, checkNameAvailability }, sites, plans] = await Promise.all([
      import("@azure/arm-appservice/api"),
      import("@azure/arm-appservice/api/webApps"),
      import("@azure/arm-appservice/api/appServicePlans"),
    ]);
    const connection = createWebSiteManagement(credential, subscriptionId, arm.clientOptions);
    return { connection, checkNameAvailability, sites, plans };
  };
  let opened: ReturnType<typeof open> | undefined;
  const sdk = () => {
    opened ??= open();
    return opened;
  };

  const siteId = (group: string, name: string, ...more: string[]): string =>
    resourceId(resourceGroupId(subscriptionId, encodeURIComponent(group)), "Microsoft.Web", "sites", encodeURIComponent(name), ...more);

  const readPlan = (group: string, name: string) =>
    arm.orUndefined(`read the App Service plan ${name}`, async () => {
      const { connection, plans } = await sdk();
      return plans.get(connection, group, name);
    });
  const putPlan = async (what: string, group: string, name: string, plan: WirePlan): Promise<AppServicePlan> => {
    const { connection, plans } = await sdk();
    const begin = () => fromThenablePoller<WirePlan>(() => plans.createOrUpdate(connection, group, name, plan));
    return toPlan(await arm.operate(`${what} the App Service plan ${name}`, begin, { deadlineMs: DEADLINE_MS }));
  };

  const readSite = (group: string, name: string) =>
    arm.orUndefined(`read the web app ${name}`, async () => {
      const { connection, sites } = await sdk();
      return sites.get(connection, group, name);
    });
  const get: WebApps["get"] = async (group, name) => {
    const site = await readSite(group, name);
    return site && toWebApp(site, environment.siteScheme);
  };

  /** The answer of a write is stale (recorded): the truth is in the next GET, which may say 404 for a while after a create. */
  const readBack = async (group: string, name: string): Promise<WebApp> => {
    const until = clock.now() + READ_BACK_MS;
    for (;;) {
      const site = await get(group, name);
      if (site) return site;
      if (clock.now() > until)
        throw new KnownError("azure/timeout", `the web app ${name} was created but Azure does not show it yet`, {
          hint: "run the same command again in a minute: it goes on from there",
        });
      await pause(clock, signal, 2_000);
    }
  };

  const getConfig: WebApps["getConfig"] = (group, name) =>
    arm.orUndefined(`read the configuration of the web app ${name}`, async () => {
      const { connection, sites } = await sdk();
      return toConfig(await sites.getConfiguration(connection, group, name));
    });

  return {
    getPlan: async (group, name) => {
      const plan = await readPlan(group, name);
      return plan && toPlan(plan);
    },
    createPlan: (group, name, { location, sku, capacity, tags }) =>
      putPlan("create", group, name, {
        location,
        kind: "linux",
        reserved: true,
        tags: { ...tags },
        sku: { name: sku, tier: tierOf(sku), capacity: capacity ?? 1 },
      }),
    scalePlan: async (group, name, { sku, capacity }) => {
      const plan = await readPlan(group, name);
      if (!plan) throw new KnownError("azure/not-found", `there is no App Service plan ${name} in ${group}`);
      const skuName = sku ?? plan.sku?.name ?? "";
      // Size and family belong to the old SKU: left out, Azure works them out.
      const wanted = { name: skuName, tier: tierOf(skuName), capacity: capacity ?? plan.sku?.capacity ?? 1 };
      return putPlan("scale", group, name, { ...plan, sku: wanted });
    },
    deletePlan: async (group, name) => {
      await arm.orUndefined(`delete the App Service plan ${name}`, async () => {
        const { connection, plans } = await sdk();
        await plans.$delete(connection, group, name);
      });
    },

    get,
    list: (group) =>
      arm.call(`list the web apps of ${group}`, async () => {
        const { connection, sites } = await sdk();
        const found: WebApp[] = [];
        for await (const site of sites.listByResourceGroup(connection, group)) found.push(toWebApp(site, environment.siteScheme));
        return found;
      }),
    create: async (group, name, desired) => {
      const { connection, sites } = await sdk();
      const begin = () => fromThenablePoller<Site>(() => sites.createOrUpdate(connection, group, name, fromNewWebApp(desired)));
      await arm.operate(`create the web app ${name}`, begin, { deadlineMs: DEADLINE_MS });
      return readBack(group, name);
    },
    update: async (group, name, change) => {
      const { httpsOnly, tags, systemIdentity, userIdentity } = change;
      const touchesIdentity = systemIdentity || userIdentity !== undefined;
      const bodies = touchesIdentity ? identityBodies(await readSite(group, name), change) : [];
      // Not the SDK: its PATCH type has no tags.
      const patch = (body: object): Promise<unknown> =>
        arm.call(`update the web app ${name}`, () => arm.request("PATCH", `${siteId(group, name)}?api-version=${API_VERSION}`, body));
      for (const identity of bodies.slice(0, -1)) await patch({ identity });
      const identity = bodies.at(-1);
      await patch({
        ...(identity && { identity }),
        ...(tags !== undefined && { tags }),
        ...(httpsOnly !== undefined && { properties: { httpsOnly } }),
      });
      return readBack(group, name);
    },
    delete: async (group, name) => {
      await arm.orUndefined(`delete the web app ${name}`, async () => {
        const { connection, sites } = await sdk();
        await sites.$delete(connection, group, name, { deleteEmptyServerFarm: false });
      });
    },
    start: (group, name) =>
      arm.call(`start the web app ${name}`, async () => {
        const { connection, sites } = await sdk();
        await sites.start(connection, group, name);
      }),
    stop: (group, name) =>
      arm.call(`stop the web app ${name}`, async () => {
        const { connection, sites } = await sdk();
        await sites.stop(connection, group, name);
      }),
    restart: (group, name) =>
      arm.call(`restart the web app ${name}`, async () => {
        const { connection, sites } = await sdk();
        await sites.restart(connection, group, name);
      }),
    checkName: (name) =>
      arm.call(`check the web app name ${name}`, async () => {
        const { connection, checkNameAvailability } = await sdk();
        const { nameAvailable, reason, message } = await checkNameAvailability(connection, name, "Microsoft.Web/sites");
        return { isFree: nameAvailable ?? false, ...(reason && { reason }), ...(message && { message }) };
      }),

    getConfig,
    updateConfig: (group, name, change) =>
      arm.call(`configure the web app ${name}`, async () => {
        const { connection, sites } = await sdk();
        return toConfig(await sites.updateConfiguration(connection, group, name, fromConfig(change)));
      }),
    getSettings: (group, name) =>
      arm.orUndefined(`read the settings of the web app ${name}`, async () => {
        const { connection, sites } = await sdk();
        return (await sites.listApplicationSettings(connection, group, name)).properties ?? {};
      }),
    putSettings: (group, name, settings) =>
      arm.call(`write the settings of the web app ${name}`, async () => {
        const { connection, sites } = await sdk();
        return (await sites.updateApplicationSettings(connection, group, name, { properties: { ...settings } })).properties ?? {};
      }),
    getPublishingPolicies: (group, name) =>
      arm.orUndefined(`read the publishing policies of the web app ${name}`, async () => {
        const { connection, sites } = await sdk();
        // What Azure does not list counts as allowed: nothing may look safer than it is.
        const allowed: Record<PublishingKind, boolean> = { scm: true, ftp: true };
        for await (const policy of sites.listBasicPublishingCredentialsPolicies(connection, group, name)) {
          if (policy.name === "scm" || policy.name === "ftp") allowed[policy.name] = policy.allow ?? true;
        }
        return allowed;
      }),
    setPublishingPolicy: (group, name, kind, isAllowed) =>
      arm.call(`set the ${kind} publishing policy of the web app ${name}`, async () => {
        const { connection, sites } = await sdk();
        const set = kind === "scm" ? sites.updateScmAllowed : sites.updateFtpAllowed;
        await set(connection, group, name, { allow: isAllowed });
      }),
    getLogs: (group, name) =>
      arm.orUndefined(`read the log settings of the web app ${name}`, async () => {
        const { connection, sites } = await sdk();
        const { httpLogs } = await sites.getDiagnosticLogsConfiguration(connection, group, name);
        return { isFileSystemLoggingOn: httpLogs?.fileSystem?.enabled ?? false };
      }),
    enableFileSystemLogging: (group, name) =>
      arm.call(`turn on the logs of the web app ${name}`, async () => {
        const { connection, sites } = await sdk();
        await sites.updateDiagnosticLogsConfig(connection, group, name, FILE_SYSTEM_LOGS);
      }),
    // Not the SDK: there it is an operation that ends with the build, and the progress between would be lost.
    deploymentStatus: (group, name, deploymentId) =>
      arm.orUndefined(`read the deployment ${deploymentId} of the web app ${name}`, async () => {
        const path = siteId(group, name, "deploymentStatus", encodeURIComponent(deploymentId));
        const { body } = await arm.request("GET", `${path}?api-version=${API_VERSION}`);
        return toDeploymentStatus((body as { properties?: WireDeploymentStatus } | undefined)?.properties ?? {});
      }),
  };
}
