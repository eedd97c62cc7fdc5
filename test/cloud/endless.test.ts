import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Plans } from "../../src/cloud/app-service/plans.ts";
import type { SiteAdapter, Sites } from "../../src/cloud/app-service/sites.ts";
import { type Cloud, openCloud } from "../../src/cloud/cloud.ts";
import type { Linkers } from "../../src/cloud/linkers.ts";
import type { ManagedIdentities } from "../../src/cloud/managed-identities.ts";
import type { PostgresServers } from "../../src/cloud/postgres-servers.ts";
import type { ResourceGroups } from "../../src/cloud/resource-groups.ts";
import type { ScmSite } from "../../src/cloud/scm/scm-site.ts";
import type { Subscription } from "../../src/cloud/subscription.ts";
import { leapingClock } from "../support/leaping-clock.ts";
import { contextOf, type Exchange, type ReplayServer, startReplay } from "./replay-server.ts";

// Every call there is against an Azure that never comes to an end. A new call does not compile before it stands here.

const subscriptionId = "00000000-0000-0000-0000-000000000000";
const site = `/subscriptions/${subscriptionId}/resourceGroups/rg/providers/Microsoft.Web/sites/app`;
const identity = `/subscriptions/${subscriptionId}/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id`;
type Calls<T> = Record<keyof T, () => Promise<unknown>>;

const nobody = { objectId: "o", name: "ana", type: "User", tenantId: "t" } as const;
const place = { location: "eastus", tags: {} };

const servers = (of: PostgresServers): Calls<PostgresServers> => ({
  get: () => of.get("rg", "db"),
  settled: () => of.settled("rg", "db"),
  list: () => of.list("rg"),
  create: () => of.create("rg", "db", { ...place, version: "16", sku: "Standard_B1ms", storageGb: 32, tenantId: "t" }),
  update: () => of.update("rg", "db", { entraAuth: true }),
  start: () => of.start("rg", "db"),
  stop: () => of.stop("rg", "db"),
  restart: () => of.restart("rg", "db"),
  delete: () => of.delete("rg", "db"),
  checkName: () => of.checkName("eastus", "db"),
  listAdministrators: () => of.listAdministrators("rg", "db"),
  putAdministrator: () => of.putAdministrator("rg", "db", nobody),
  deleteAdministrator: () => of.deleteAdministrator("rg", "db", "o"),
  listFirewallRules: () => of.listFirewallRules("rg", "db"),
  putFirewallRule: () => of.putFirewallRule("rg", "db", { name: "r", start: "1.1.1.1", end: "1.1.1.1" }),
  deleteFirewallRule: () => of.deleteFirewallRule("rg", "db", "r"),
  getDatabase: () => of.getDatabase("rg", "db", "d"),
  createDatabase: () => of.createDatabase("rg", "db", "d"),
  deleteDatabase: () => of.deleteDatabase("rg", "db", "d"),
  getParameter: () => of.getParameter("rg", "db", "p"),
  setParameter: () => of.setParameter("rg", "db", "p", "on"),
});
const linkers = (of: Linkers): Calls<Linkers> => ({
  get: () => of.get(site, "c"),
  settled: () => of.settled(site, "c"),
  list: () => of.list(site),
  put: () => of.put(site, "c", { targetId: "/db", userName: "u", clientType: "python" }),
  delete: () => of.delete(site, "c"),
  validate: () => of.validate(site, "c"),
  listConfigurations: () => of.listConfigurations(site, "c"),
});
const groups = (of: ResourceGroups): Calls<ResourceGroups> => ({
  get: () => of.get("rg"),
  put: () => of.put("rg", place),
  resources: () => of.resources("rg"),
  find: () => of.find("Microsoft.Web/sites", "app"),
  delete: () => of.delete("rg"),
});
const identities = (of: ManagedIdentities): Calls<ManagedIdentities> => ({
  get: () => of.get(identity),
  put: () => of.put(identity, place),
  delete: () => of.delete(identity),
});
const subscriptions = (of: Subscription): Calls<Subscription> => ({
  read: () => of.read(),
  registrationOf: () => of.registrationOf("Microsoft.Web"),
  register: () => of.register("Microsoft.Web"),
  offerOf: () => of.offerOf("eastus"),
  usedUpQuota: () => of.usedUpQuota("eastus"),
});
const plans = (of: Plans): Calls<Plans> => ({
  get: () => of.get("rg", "p"),
  create: () => of.create("rg", "p", { ...place, sku: "B1", capacity: 1 }),
  scale: () => of.scale("rg", "p", { capacity: 2 }),
  delete: () => of.delete("rg", "p"),
});
const sites = (of: Sites): Calls<Omit<Sites, "at">> => ({
  list: () => of.list("rg"),
  checkName: () => of.checkName("app"),
});
const oneSite = (of: SiteAdapter): Calls<SiteAdapter> => ({
  get: () => of.get(),
  create: () => of.create({ ...place, planId: "/plan", config: { runtime: "PYTHON|3.12" }, settings: {} }),
  update: () => of.update({ tags: {} }),
  delete: () => of.delete(),
  start: () => of.start(),
  stop: () => of.stop(),
  restart: () => of.restart(),
  getConfig: () => of.getConfig(),
  updateConfig: () => of.updateConfig({ startup: "x" }),
  getSettings: () => of.getSettings(),
  putSettings: () => of.putSettings({}),
  getPublishingPolicies: () => of.getPublishingPolicies(),
  setPublishingPolicy: () => of.setPublishingPolicy("scm", false),
  getLogs: () => of.getLogs(),
  enableFileSystemLogging: () => of.enableFileSystemLogging(),
  deploymentStatus: () => of.deploymentStatus("d"),
});
const scm = (of: ScmSite): Calls<ScmSite> => ({
  warmUp: () => of.warmUp(),
  getSettings: () => of.getSettings(),
  zipDeploy: () => of.zipDeploy({ stream: () => Readable.from(["zip"]) }),
  latest: () => of.latest(),
  getDeployment: () => of.getDeployment("d"),
  listLog: () => of.listLog("d"),
  listLogDetails: () => of.listLogDetails("d", "l"),
  isDeploying: () => of.isDeploying(),
  openLogStream: () => of.openLogStream(new AbortController().signal),
  downloadLogs: () => of.downloadLogs(),
  newestAppLog: () => of.newestAppLog(),
  readLogFile: () => of.readLogFile("docker/a.log", { lastBytes: 100 }),
});

const callsOf = (cloud: Cloud, host: string): Readonly<Record<string, Readonly<Record<string, () => Promise<unknown>>>>> => ({
  servers: servers(cloud.postgresServers),
  linkers: linkers(cloud.linkers),
  groups: groups(cloud.resourceGroups),
  identities: identities(cloud.managedIdentities),
  subscription: subscriptions(cloud.subscription),
  plans: plans(cloud.plans),
  sites: sites(cloud.sites),
  site: oneSite(cloud.sites.at({ group: "rg", app: "app", slot: "staging" })),
  scm: scm(cloud.scmSite({ name: "app", scmHost: host })),
});

const unplanned = { status: 500, headers: {}, body: null };
const never = { "retry-after": "60" };
const asked = { method: "GET", url: "https://x/subscriptions/s/providers/p/locations/l/azureAsyncOperation/1?api-version=1&t=1" };

/** Ways never to come to an end. */
const azures: Readonly<Record<string, (request: { method: string; path: string }) => Exchange["response"]>> = {
  "answers 409 ServerIsNotReady": () => ({
    status: 409,
    headers: {},
    body: { error: { code: "ServerIsNotReady", message: "The server is not ready." } },
  }),
  "begins each operation and never ends it": ({ method, path }) =>
    method === "GET"
      ? {
          status: 200,
          headers: never,
          body: /azureAsyncOperation/.test(path)
            ? { status: "InProgress" }
            : { name: "x", location: "eastus", value: [], properties: { state: "Updating", provisioningState: "Updating" } },
        }
      : { status: 202, headers: { ...never, "azure-asyncoperation": asked.url }, body: { operation: "X", startTime: "2026" } },
  "shows a list whose next page is itself": ({ path }) => ({
    status: 200,
    headers: {},
    body: { value: [], nextLink: `ORIGIN${path}?api-version=1`, location: "eastus", properties: {} },
  }),
};

describe.each(Object.keys(azures))("an Azure that %s", (kind) => {
  let azure: ReplayServer;
  beforeEach(async () => {
    azure = await startReplay();
    azure.otherwise((request) => {
      const answer = azures[kind]?.(request) ?? unplanned;
      // Kudu's own lists; a deployment runs there for ever.
      if (answer.status === 200 && request.path.startsWith("/api")) {
        return { ...answer, body: /isdeploying/.test(request.path) ? { value: true } : [] };
      }
      return { ...answer, body: JSON.parse(JSON.stringify(answer.body).replaceAll("ORIGIN", azure.origin)) };
    });
  });
  afterEach(() => azure.close());

  test("ends every call: with a value, or with a typed error and a hint, within an hour and some hundred requests", async () => {
    const fresh = async () => {
      const clock = leapingClock();
      return { clock, cloud: await openCloud(contextOf(azure, subscriptionId, { clock })) };
    };
    const table = callsOf((await fresh()).cloud, azure.host);
    const wrong: string[] = [];
    for (const [adapter, calls] of Object.entries(table)) {
      for (const name of Object.keys(calls)) {
        const { clock, cloud } = await fresh();
        const before = azure.requests.length;
        const outcome = await Promise.resolve(callsOf(cloud, azure.host)[adapter]?.[name]?.()).then(
          () => undefined,
          (error: unknown) => error,
        );
        const waitedMs = clock.slept.reduce((sum, ms) => sum + ms, 0);
        const requests = azure.requests.length - before;
        const isTyped =
          outcome === undefined || (outcome instanceof Error && outcome.name === "KnownError" && "hint" in outcome && !!outcome.hint);
        if (!isTyped || waitedMs > 3_600_000 || requests > 400) {
          wrong.push(`${adapter}.${name}: ${requests} requests, ${Math.round(waitedMs / 1000)} s, ${String(outcome)}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });
});

describe("a server that stays busy", () => {
  test("is waited for by one write; those behind it in the queue do not wait all over again", async () => {
    const azure = await startReplay();
    const refused = azures["answers 409 ServerIsNotReady"]?.({ method: "PUT", path: "" }) ?? unplanned;
    const ready = { status: 200, headers: {}, body: { name: "db", location: "eastus", properties: { state: "Ready" } } };
    azure.otherwise(({ method }) => (method === "GET" ? ready : refused));
    const clock = leapingClock();
    const { postgresServers } = await openCloud(contextOf(azure, subscriptionId, { clock }));
    const { putAdministrator, putFirewallRule, createDatabase, setParameter } = servers(postgresServers);
    const outcomes = await Promise.allSettled([putAdministrator(), putFirewallRule(), createDatabase(), setParameter()]);
    await azure.close();
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { code: "azure/busy", hint: expect.stringMatching(/\w/) } });
    }
    expect(clock.slept.reduce((sum, ms) => sum + ms, 0)).toBeLessThan(6 * 60_000);
  });
});

describe("an SCM site that refuses each package with 409 while nothing is at work there", () => {
  test("is not asked again without a pause: whoever waits by the clock would never end", async () => {
    const azure = await startReplay();
    azure.otherwise(({ method, path }) => {
      if (method === "POST") return { status: 409, headers: {}, body: { message: "busy" } };
      return /isdeploying/.test(path) ? { status: 200, headers: {}, body: { value: false } } : { status: 404, headers: {}, body: {} };
    });
    const clock = leapingClock();
    const cloud = await openCloud(contextOf(azure, subscriptionId, { clock }));
    const upload = scm(cloud.scmSite({ name: "app", scmHost: azure.host })).zipDeploy();
    await expect(upload).rejects.toMatchObject({ name: "KnownError", hint: expect.stringMatching(/\w/) });
    await azure.close();
    const tries = azure.requests.filter(({ method }) => method === "POST").length;
    expect(clock.slept.reduce((sum, ms) => sum + ms, 0)).toBeGreaterThanOrEqual(3_000 * (tries - 1));
  });
});
