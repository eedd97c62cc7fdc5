import type { SiteLogsConfig, Site as WireSite } from "@azure/arm-appservice";
import type { WebSiteManagementContext } from "@azure/arm-appservice/api";
import { defined } from "../../base/defined.ts";
import { KnownError } from "../../base/errors.ts";
import { memoize } from "../../base/memoize.ts";
import { poll } from "../../base/poll.ts";
import { normalizeLocation } from "../../base/resource-id.ts";
import { type SiteAddress, siteAddressId, siteName, sitePath } from "../../base/site-address.ts";
import type { Arm } from "../arm.ts";
import { fromThenablePoller } from "../operations.ts";
import type { NameAvailability } from "../postgres-servers.ts";
import { appServiceClient } from "./app-service-client.ts";
import { type DeploymentStatus, toDeploymentStatus, type WireDeploymentStatus } from "./deployment-status.ts";
import { fromConfig, type SiteConfig, toConfig } from "./site-config.ts";
import { type IdentityChange, identityBodies } from "./site-identity.ts";

/** A web app or one of its slots. */
export interface Site {
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

interface NewSite {
  readonly location: string;
  readonly planId: string;
  readonly config: Partial<SiteConfig>;
  /** Resource ID of the user-assigned identity to have instead of a system-assigned one. */
  readonly userIdentity?: string;
  /** First app settings; may be empty. */
  readonly settings: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
}

interface SiteChange extends IdentityChange {
  readonly httpsOnly?: boolean;
  /** Replaces all tags. */
  readonly tags?: Readonly<Record<string, string>>;
}

export type PublishingKind = "scm" | "ftp";

/** The sites of one subscription. */
export interface Sites {
  /** Asks nothing: the address is that of all calls of what it answers. */
  at(address: SiteAddress): SiteAdapter;
  /** Production sites of a resource group; slots are not listed. */
  list(group: string): Promise<Site[]>;
  /** Is the name of a new app free in all of Azure? */
  checkName(name: string): Promise<NameAvailability>;
}

/** One site, or one slot. */
export interface SiteAdapter {
  get(): Promise<Site | undefined>;
  /** A Linux web app with an identity (system-assigned unless another is named), HTTPS only. Read back after the write, whose own answer is stale. */
  create(desired: NewSite): Promise<Site>;
  update(change: SiteChange): Promise<Site>;
  /** Leaves the plan alone. */
  delete(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
  restart(): Promise<void>;

  getConfig(): Promise<SiteConfig | undefined>;
  updateConfig(change: Partial<SiteConfig>): Promise<SiteConfig>;
  getSettings(): Promise<Record<string, string> | undefined>;
  /** Replaces ALL app settings, and recycles the app and its SCM site. */
  putSettings(settings: Readonly<Record<string, string>>): Promise<Record<string, string>>;
  getPublishingPolicies(): Promise<Record<PublishingKind, boolean> | undefined>;
  setPublishingPolicy(kind: PublishingKind, isAllowed: boolean): Promise<void>;
  getLogs(): Promise<{ readonly isFileSystemLoggingOn: boolean } | undefined>;
  enableFileSystemLogging(): Promise<void>;
  /** ARM's view of one deployment, with the start of the new container; `undefined` while ARM does not know it. */
  deploymentStatus(deploymentId: string): Promise<DeploymentStatus | undefined>;
}

const API_VERSION = "2025-05-01";
/** Recorded: 23 s; minutes at the worst. */
const DEADLINE_MS = 15 * 60_000;
/** A site may be unknown for about a minute after its own create. */
const READ_BACK_MS = 60_000;

/** Azure writes the time without a zone (recorded), so that the SDK takes it for this machine's own. */
function utcOf(local: Date): number {
  return local.getTime() - local.getTimezoneOffset() * 60_000;
}

function toSite(site: WireSite, scheme: string): Site {
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

function fromNewSite({ location, planId, config, userIdentity, settings, tags }: NewSite): WireSite {
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

type Operations = typeof import("@azure/arm-appservice/api/webApps");
/** What each operation of the SDK is told first. */
type At = readonly [connection: WebSiteManagementContext, group: string, site: string];
/** The SDK is large: it is loaded with the first call. */
type Sdk = () => Promise<readonly [operations: Operations, connection: WebSiteManagementContext]>;

/** `@azure/arm-appservice` 19, api-version 2025-05-01. */
export function sites(arm: Arm): Sites {
  const sdk: Sdk = memoize(() => Promise.all([import("@azure/arm-appservice/api/webApps"), appServiceClient(arm)]));
  const { siteScheme } = arm.context.environment;
  return {
    at: (address) => siteAt(arm, sdk, address),
    list: (group) =>
      arm.call(`list the web apps of ${group}`, async () => {
        const [{ listByResourceGroup }, connection] = await sdk();
        const found: Site[] = [];
        for await (const site of listByResourceGroup(connection, group)) found.push(toSite(site, siteScheme));
        return found;
      }),
    checkName: (name) =>
      arm.call(`check the web app name ${name}`, async () => {
        const [[, connection], { checkNameAvailability }] = await Promise.all([sdk(), import("@azure/arm-appservice/api")]);
        const { nameAvailable, reason, message } = await checkNameAvailability(connection, name, "Microsoft.Web/sites");
        return { isFree: nameAvailable ?? false, ...(reason && { reason }), ...(message && { message }) };
      }),
  };
}

/** `sitePath` has encoded the names already, and its slash makes the SDK's operation on a site one on the slot. */
const AS_IT_IS = { requestOptions: { skipUrlEncoding: true } };

function siteAt(arm: Arm, sdk: Sdk, address: SiteAddress): SiteAdapter {
  const { clock, environment, signal, subscriptionId } = arm.context;
  const named = `the web app ${siteName(address)}`;
  const target = (...more: string[]): string => `${[siteAddressId(subscriptionId, address), ...more].join("/")}?api-version=${API_VERSION}`;
  const over = async <T>(work: (operations: Operations, ...at: At) => T): Promise<Awaited<T>> => {
    const [operations, connection] = await sdk();
    return await work(operations, connection, encodeURIComponent(address.group), sitePath(address));
  };

  const read = () => arm.orUndefined(`read ${named}`, () => over((operations, ...at) => operations.get(...at, AS_IT_IS)));
  const get = async (): Promise<Site | undefined> => {
    const site = await read();
    return site && toSite(site, environment.siteScheme);
  };

  /** The answer of a write is stale (recorded): the truth is in the next GET, which may say 404 for a while after a create. */
  const readBack = (): Promise<Site> =>
    poll(get, (site) => site !== undefined, {
      clock,
      signal,
      deadlineMs: READ_BACK_MS,
      intervalMs: 2_000,
      late: () =>
        new KnownError("azure/timeout", `${named} was created but Azure does not show it yet`, {
          hint: "run the same command again in a minute: it goes on from there",
        }),
    });

  // Not the SDK: its PATCH type has no tags.
  const patch = (body: object): Promise<unknown> => arm.call(`update ${named}`, () => arm.request("PATCH", target(), body));

  return {
    get,
    create: async (desired) => {
      // The poller is itself a promise of the end: it is made where nothing awaits it.
      const [{ createOrUpdate }, connection] = await sdk();
      const at: At = [connection, encodeURIComponent(address.group), sitePath(address)];
      const begin = () => fromThenablePoller<WireSite>(() => createOrUpdate(...at, fromNewSite(desired), AS_IT_IS));
      await arm.operate(`create ${named}`, begin, { deadlineMs: DEADLINE_MS });
      return readBack();
    },
    update: async ({ httpsOnly, tags, ...identities }) => {
      const touchesIdentity = identities.systemIdentity || identities.userIdentity !== undefined;
      const bodies = touchesIdentity ? identityBodies(await read(), identities) : [];
      for (const identity of bodies.slice(0, -1)) await patch({ identity });
      const identity = bodies.at(-1);
      await patch(defined({ identity, tags, properties: httpsOnly === undefined ? undefined : { httpsOnly } }));
      return readBack();
    },
    delete: async () => {
      const options = { deleteEmptyServerFarm: false, ...AS_IT_IS };
      await arm.orUndefined(`delete ${named}`, () => over((operations, ...at) => operations.$delete(...at, options)));
    },
    start: () => arm.call(`start ${named}`, () => over((operations, ...at) => operations.start(...at, AS_IT_IS))),
    stop: () => arm.call(`stop ${named}`, () => over((operations, ...at) => operations.stop(...at, AS_IT_IS))),
    restart: () => arm.call(`restart ${named}`, () => over((operations, ...at) => operations.restart(...at, AS_IT_IS))),

    getConfig: () =>
      arm.orUndefined(`read the configuration of ${named}`, async () =>
        toConfig(await over((operations, ...at) => operations.getConfiguration(...at, AS_IT_IS))),
      ),
    updateConfig: (change) =>
      arm.call(`configure ${named}`, async () =>
        toConfig(await over((operations, ...at) => operations.updateConfiguration(...at, fromConfig(change), AS_IT_IS))),
      ),
    getSettings: () =>
      arm.orUndefined(`read the settings of ${named}`, async () => {
        const { properties } = await over((operations, ...at) => operations.listApplicationSettings(...at, AS_IT_IS));
        return properties ?? {};
      }),
    putSettings: (settings) =>
      arm.call(`write the settings of ${named}`, async () => {
        const wanted = { properties: { ...settings } };
        const { properties } = await over((operations, ...at) => operations.updateApplicationSettings(...at, wanted, AS_IT_IS));
        return properties ?? {};
      }),
    getPublishingPolicies: () =>
      arm.orUndefined(`read the publishing policies of ${named}`, () =>
        over(async (operations, ...at) => {
          // What Azure does not list counts as allowed: nothing may look safer than it is.
          const allowed: Record<PublishingKind, boolean> = { scm: true, ftp: true };
          for await (const policy of operations.listBasicPublishingCredentialsPolicies(...at, AS_IT_IS)) {
            if (policy.name === "scm" || policy.name === "ftp") allowed[policy.name] = policy.allow ?? true;
          }
          return allowed;
        }),
      ),
    setPublishingPolicy: async (kind, isAllowed) => {
      await arm.call(`set the ${kind} publishing policy of ${named}`, () =>
        over(({ updateScmAllowed, updateFtpAllowed }, ...at) => {
          const set = kind === "scm" ? updateScmAllowed : updateFtpAllowed;
          return set(...at, { allow: isAllowed }, AS_IT_IS);
        }),
      );
    },
    getLogs: () =>
      arm.orUndefined(`read the log settings of ${named}`, async () => {
        const { httpLogs } = await over((operations, ...at) => operations.getDiagnosticLogsConfiguration(...at, AS_IT_IS));
        return { isFileSystemLoggingOn: httpLogs?.fileSystem?.enabled ?? false };
      }),
    enableFileSystemLogging: async () => {
      await arm.call(`turn on the logs of ${named}`, () =>
        over((operations, ...at) => operations.updateDiagnosticLogsConfig(...at, FILE_SYSTEM_LOGS, AS_IT_IS)),
      );
    },
    // Not the SDK: there it is an operation that ends with the build, and the progress between would be lost.
    deploymentStatus: (deploymentId) =>
      arm.orUndefined(`read the deployment ${deploymentId} of ${named}`, async () => {
        const { body } = await arm.request("GET", target("deploymentStatus", encodeURIComponent(deploymentId)));
        return toDeploymentStatus((body as { properties?: WireDeploymentStatus } | undefined)?.properties ?? {});
      }),
  };
}
