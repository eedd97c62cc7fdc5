import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Site } from "../../src/cloud/app-service/sites.ts";
import { openCloud } from "../../src/cloud/cloud.ts";
import { azureCodeOf, translate } from "../../src/cloud/errors.ts";
import { findLeftovers } from "../../src/cloud/firewall-access.ts";
import { deployPackage } from "../../src/steps/deploy/deploy-package.ts";
import { contextOf, type Exchange, type ReplayServer, recorded, startReplay } from "../cloud/replay-server.ts";
import { leapingClock } from "../support/leaping-clock.ts";

// Traps of real Azure (`traps.md`) that the client has to get past, played by a server that says what Azure was seen or is known to say.

const ZERO = "00000000-0000-0000-0000-000000000000";
const PROVIDER = `/subscriptions/${ZERO}/resourceGroups/g/providers`;
const SERVER = `${PROVIDER}/Microsoft.DBforPostgreSQL/flexibleServers/db`;
const SITE = `${PROVIDER}/Microsoft.Web/sites/app`;
const PLAN = `${PROVIDER}/Microsoft.Web/serverfarms/p`;

let azure: ReplayServer;
beforeEach(async () => {
  azure = await startReplay();
});
afterEach(() => azure.close());

const open = (more: Parameters<typeof contextOf>[2] = {}) => openCloud(contextOf(azure, ZERO, more));

/** One answer to one request; several for one address come in their order. */
const say = (method: string, path: string, status: number, body: unknown = null, headers: Record<string, string> = {}): Exchange => ({
  request: { method, url: `https://azure${path}` },
  response: { status, headers, body },
});
const refusal = (code: string, message: string) => ({ error: { code, message } });
const seen = (method: string, path: string) => azure.requests.filter((request) => request.method === method && request.path === path);

/** An accepted write of PostgreSQL's provider whose polls answer in this order. */
function operation(method: string, path: string, ...polls: readonly object[]): Exchange[] {
  const poll = `/subscriptions/${ZERO}/providers/Microsoft.DBforPostgreSQL/locations/eastus/azureAsyncOperation/one?api-version=2025-08-01`;
  return [
    say(method, path, 202, { operation: "x", startTime: "2026-04-16T22:56:18.553Z" }, { "azure-asyncoperation": `https://azure${poll}` }),
    ...polls.map((body) => say("GET", poll, 200, { name: "one", ...body })),
  ];
}

const administrator = { objectId: "894ef8da-7971-4f68-972c-f561441eb329", name: "ana@example.com", type: "User", tenantId: "t" } as const;
const newServer = { location: "eastus", version: "16", sku: "Standard_B1ms", storageGb: 32, tenantId: "t", tags: {} };
const readyServer = { id: SERVER, name: "db", location: "East US", properties: { state: "Ready", version: "16" } };

describe("flexible server", () => {
  // trap: postgres 3, passwordless-flow 9
  it("waits for the children of a server that it has just made, and for no other server's", async () => {
    const child = `${SERVER}/administrators/${administrator.objectId}`;
    azure.play([...operation("PUT", SERVER, { status: "Succeeded" }), say("GET", SERVER, 200, readyServer)]);
    azure.play([
      say("PUT", child, 404, refusal("ParentResourceNotFound", "not there yet")),
      say("PUT", child, 409, refusal("AadAuthOperationCannotBePerformedWhenServerIsNotAccessible", "not accessible")),
      say("PUT", child, 409, refusal("ServerIsBusy", "busy")),
      ...operation("PUT", child, { status: "Succeeded" }),
      say("GET", child, 200, { name: administrator.name, properties: { objectId: administrator.objectId } }),
    ]);
    const cloud = await open();
    await cloud.postgresServers.create("g", "db", newServer);
    await cloud.postgresServers.putAdministrator("g", "db", administrator);
    expect(seen("PUT", child)).toHaveLength(4);

    const stranger = child.replace("/db/", "/other/");
    azure.play([say("PUT", stranger, 404, refusal("ResourceNotFound", "no such server"))]);
    await expect(cloud.postgresServers.putAdministrator("g", "other", administrator)).rejects.toMatchObject({ code: "azure/not-found" });
    expect(seen("PUT", stranger)).toHaveLength(1);
  });

  it.each([
    // trap: postgres 7
    [
      "a version that is not offered",
      "ParameterOutOfRange",
      "The value of the 'Version' should be in: []. Try again.",
      "azure/sku-unavailable",
      /another location/,
    ],
    [
      "a closed region",
      "LocationIsOfferRestricted",
      "Subscriptions are restricted. Try again in a different location.",
      "azure/region-closed",
      /another location/,
    ],
    // trap: postgres 9
    [
      "a name left by a failed create",
      "InvalidResourceLocation",
      "The resource 'db' already exists in location 'westus'",
      "azure/conflict",
      /first made in/,
    ],
    // trap: postgres 38
    ["a taken name", "ServerNameAlreadyExists", "Specified server name is already used.", "azure/name-taken", /another server name/],
  ])("gives up at once on %s, whatever the words say", async (_what, code, message, ours, hint) => {
    azure.play([say("PUT", SERVER, 400, refusal(code, message))]);
    const cloud = await open();
    const creation = cloud.postgresServers.create("g", "db", newServer);
    await expect(creation).rejects.toMatchObject({ code: ours, hint: expect.stringMatching(hint), cause: { message: expect.any(String) } });
    expect(seen("PUT", SERVER)).toHaveLength(1);
  });

  // trap: postgres 28
  it("waits with a restart until the update before it is over", async () => {
    azure.play([
      say("POST", `${SERVER}/restart`, 409, refusal("ServerIsNotReady", "Current Server State = Updating")),
      say("GET", SERVER, 200, readyServer),
      ...operation("POST", `${SERVER}/restart`, { status: "Restarting" }, { status: "Succeeded" }),
    ]);
    await (await open()).postgresServers.restart("g", "db");
    expect(seen("POST", `${SERVER}/restart`)).toHaveLength(2);
  });

  it("does not wait for a server that is stopped", async () => {
    const stopped = { ...readyServer, properties: { state: "Stopped" } };
    const child = `${SERVER}/databases/shop`;
    azure.play([say("PUT", child, 409, refusal("ServerIsNotReady", "Stopped")), say("GET", SERVER, 200, stopped)]);
    await expect((await open()).postgresServers.createDatabase("g", "db", "shop")).rejects.toMatchObject({ code: "azure/conflict" });
    expect(seen("PUT", child)).toHaveLength(1);
  });

  // trap: postgres 29
  it("shows Azure's code when a parameter is refused late and without words", async () => {
    const parameter = `${SERVER}/configurations/work_mem`;
    azure.play(operation("PATCH", parameter, { status: "Failed", error: { code: "OperationFailed", message: "{0}" } }));
    const failure = (await open()).postgresServers.setParameter("g", "db", "work_mem", "lots").catch((error: unknown) => error);
    expect(azureCodeOf(await failure)).toBe("OperationFailed");
  });

  // trap: postgres 30, postgres 31
  it("reads recorded parameters as texts, each in its own spelling, and a hidden one as absent", async () => {
    const [list] = recorded("configurations_list_excerpt");
    const parameters = (list?.response.body as { value: { id: string; name: string }[] } | undefined)?.value ?? [];
    azure.play(parameters.map((parameter) => say("GET", parameter.id, 200, parameter)));
    const { postgresServers } = await open();
    const read = (name: string) => postgresServers.getParameter("clitest.rg000001", "azuredbclitest-000002", name);
    expect(await read("require_secure_transport")).toMatchObject({ value: "on", allowedValues: "on,off", isPendingRestart: false });
    expect(await read("pgbouncer.enabled")).toMatchObject({ value: "false", allowedValues: "true, false" });
    azure.play([say("GET", `${SERVER}/configurations/pgbouncer.enabled`, 404, refusal("ResourceNotFound", "hidden on Burstable"))]);
    expect(await postgresServers.getParameter("g", "db", "pgbouncer.enabled")).toBeUndefined();
  });

  // trap: postgres 6
  it("stops and deletes as recorded, polling at the address it was given", async () => {
    azure.play([...recorded("server_stop"), ...recorded("server_delete")]);
    const { postgresServers } = await openCloud(contextOf(azure, "929287ae-832a-4946-8006-a6cc2a3f7244"));
    await postgresServers.stop("PostgreSqlTest", "postgresql-flexible-test-100");
    await postgresServers.delete("PostgreSqlTest", "postgresql-flexible-test-400");
    const polls = azure.requests.filter(({ path }) => path.includes("azureAsyncOperation"));
    expect(polls.filter(({ path }) => path.includes("/eastus/"))).toHaveLength(3);
    expect(polls.filter(({ path }) => path.includes("/East%20US/"))).toHaveLength(1);
  });

  // trap: postgres 27
  it("switches Entra on with a PATCH of just that, as far as it was recorded, and believes the GET only", async () => {
    const [patch] = recorded("server_patch_enable_entra");
    const [ready] = recorded("server_get_ready");
    if (!patch || !ready) throw new Error("recordings are missing");
    const poll = { method: "GET", url: String(patch.response.headers["azure-asyncoperation"]) };
    azure.play([patch, { request: poll, response: { status: 200, headers: {}, body: { name: "x", status: "Succeeded" } } }]);
    azure.play([{ request: { method: "GET", url: patch.request.url }, response: ready.response }]);
    const change = { entraAuth: true, tenantId: "t" };
    const server = await (await open()).postgresServers.update("clitest.rg000001", "azuredbclitest-000002", change);
    expect(JSON.parse(azure.requests[0]?.body ?? "")).toEqual({
      properties: { authConfig: { activeDirectoryAuth: "Enabled", tenantId: "t" } },
    });
    const { authConfig } = (ready.response.body as { properties: { authConfig: { activeDirectoryAuth: string } } }).properties;
    expect(server.entraAuth).toBe(authConfig.activeDirectoryAuth === "Enabled");
  });
});

describe("leftover openings of the firewall", () => {
  const clock = { now: () => Date.parse("2026-04-16T12:00:00Z"), sleep: async () => {} };
  const opening = (minutesAgo: number) =>
    `passwordless-pg-00000000-${Math.floor((clock.now() - minutesAgo * 60_000) / 60_000).toString(36)}-abcdef`;
  const rule = (name: string) => ({ name, start: "203.0.113.7", end: "203.0.113.7" });

  it.each([
    { what: "a run of another machine, a moment ago", name: opening(0), isLeft: false },
    { what: "the same, at the end of the longest run", name: opening(119), isLeft: false },
    { what: "the same, which nobody can be working through any more", name: opening(121), isLeft: true },
    { what: "an hour ahead by another machine's clock", name: opening(-60), isLeft: false },
    { what: "a stamp that no clock has shown yet", name: opening(-121), isLeft: true },
    { what: "this run's own, or one of a run of this machine that lives, however old", name: opening(600), inUse: true, isLeft: false },
    { what: "a dead run's of this machine, a moment ago", name: opening(0), abandoned: true, isLeft: true },
    { what: "a dead run's that this run has taken over", name: opening(0), abandoned: true, inUse: true, isLeft: false },
    { what: "an opening of the first version, without a random part", name: opening(121).slice(0, -7), isLeft: true },
    { what: "a person's own rule", name: "office", isLeft: false },
    { what: "a person's own rule that begins like ours", name: "passwordless-pg-mine", isLeft: false },
  ])("$what: left behind is $isLeft", ({ name, isLeft, inUse, abandoned }) => {
    const known = { now: clock.now(), inUse: new Set(inUse ? [name] : []), abandoned: new Set(abandoned ? [name] : []) };
    expect(findLeftovers([rule("azure-services"), rule(name)], known)).toEqual(isLeft ? [name] : []);
  });

  // trap: postgres 22, passwordless-flow 8
  it("are a stranger's only when they are older than a run can be, and never one in use or one of another name", () => {
    const [fresh, old, used] = [opening(90), opening(150), "passwordless-pg-00000000-1"];
    const rules = [fresh, old, used, "office", "passwordless-pg", "passwordless-pg-mine"].map(rule);
    expect(findLeftovers(rules, { now: clock.now(), inUse: new Set([used]), abandoned: new Set() })).toEqual([old]);
  });
});

describe("providers and sign-in", () => {
  // trap: postgres 37
  it("registers a provider that the subscription has never used, waits, and goes on", async () => {
    const provider = `/subscriptions/${ZERO}/providers/Microsoft.Web`;
    azure.play([
      say(
        "PUT",
        PLAN,
        409,
        refusal("MissingSubscriptionRegistration", "The subscription is not registered to use namespace 'Microsoft.Web'."),
      ),
      say("PUT", PLAN, 200, { name: "p", location: "East US", sku: { name: "B1", tier: "Basic", capacity: 1 } }),
      say("POST", `${provider}/register`, 200, { registrationState: "Registering" }),
      say("GET", provider, 200, { registrationState: "Registering" }),
      say("GET", provider, 200, { registrationState: "Registered" }),
    ]);
    const plan = await (await open()).plans.create("g", "p", { location: "eastus", sku: "B1", tags: {} });
    expect(plan).toMatchObject({ name: "p", location: "eastus" });
    expect(seen("GET", provider)).toHaveLength(2);
  });

  // trap: appservice 8
  it("names Azure's code when an identity is not known to the directory yet", () => {
    const [answer] = recorded("identity-then-principalnotfound-400");
    const { status, body } = answer?.response ?? {};
    const error = translate("assign a role", Object.assign(new Error("HTTP"), { statusCode: status }), {
      status,
      body: JSON.stringify(body),
    });
    expect(azureCodeOf(error)).toBe("PrincipalNotFound");
  });

  // trap: postgres 39, kudu 5
  it("asks the credential before every call, so that a long wait never meets an expired token", async () => {
    let asked = 0;
    const inner = contextOf(azure, ZERO).credential;
    const credential: typeof inner = {
      getToken: (...of) => {
        asked += 1;
        return inner.getToken(...of);
      },
    };
    azure.play([say("GET", "/api/isdeploying", 200, { value: "False" })]);
    const scm = (await open({ credential })).scmSite({ name: "app", scmHost: azure.host });
    const before = asked;
    for (let polls = 0; polls < 3; polls += 1) await scm.isDeploying();
    expect(asked - before).toBe(3);
  });
});

describe("App Service", () => {
  // trap: appservice 11
  it("scales a plan by putting it back whole: other members stay, size and family are left to Azure", async () => {
    const sku = { name: "B1", tier: "Basic", size: "B1", family: "B", capacity: 1 };
    const plan = {
      name: "p",
      kind: "linux",
      location: "East US",
      tags: { t: "1" },
      sku,
      properties: { reserved: true, zoneRedundant: false },
    };
    azure.play([say("GET", PLAN, 200, plan), say("PUT", PLAN, 200, { ...plan, sku: { name: "S1", tier: "Standard", capacity: 3 } })]);
    const scaled = await (await open()).plans.scale("g", "p", { sku: "S1", capacity: 3 });
    expect(scaled).toMatchObject({ sku: "S1", capacity: 3 });
    expect(JSON.parse(seen("PUT", PLAN)[0]?.body ?? "")).toMatchObject({
      location: "East US",
      tags: { t: "1" },
      sku: { name: "S1", tier: "Standard", capacity: 3 },
      properties: { reserved: true, zoneRedundant: false },
    });
    expect(JSON.parse(seen("PUT", PLAN)[0]?.body ?? "").sku).not.toHaveProperty("family");
  });

  // trap: appservice 17
  it("keeps the plan when it deletes the last site on it", async () => {
    azure.play([say("DELETE", SITE, 200)]);
    await (await open()).sites.at({ group: "g", app: "app" }).delete();
    expect(seen("DELETE", SITE)[0]?.query).toMatch(/deleteEmptyServerFarm=false/i);
  });

  // trap: appservice 4
  it("reads a new site back until Azure knows it, and never believes the answer of the write", async () => {
    const stale = { name: "app", location: "East US", properties: { state: "Running", defaultHostName: "stale.example" } };
    azure.play([
      say("PUT", SITE, 200, stale),
      say("GET", SITE, 404, refusal("ResourceNotFound", "not yet")),
      say("GET", SITE, 200, { ...stale, properties: { state: "Running", defaultHostName: "true.example" } }),
    ]);
    const made = await (await open()).sites
      .at({ group: "g", app: "app" })
      .create({ location: "eastus", planId: PLAN, config: {}, settings: {}, tags: {} });
    expect(made.host).toBe("true.example");
  });
});

describe("deployment", () => {
  const KUDU = "/api/deployments";
  const ID = "9d0fc21d-4821-4425-b011-bf889ea84430";
  const building = { id: ID, status: 0, complete: false, is_temp: false };
  const built = { id: ID, status: 4, complete: true, is_temp: false };
  const others = { id: "somebody-elses", status: 3, complete: true, is_temp: false, received_time: "2026-04-10T16:25:26Z" };
  const accepted = (id = ID) => say("POST", "/api/zipdeploy", 202, null, { "SCM-DEPLOYMENT-ID": id, Retryafter: "30" });
  const status = (name: string, code = 200, errors: object[] = []) =>
    say("GET", `${SITE}/deploymentStatus/${ID}`, code, { properties: { status: name, errors } });
  const warm = say("GET", KUDU, 200, []);
  const log = say("GET", `${KUDU}/${ID}/log`, 200, []);
  const answers = [
    warm,
    log,
    say("GET", "/healthz", 200, {}),
    say("GET", SITE, 200, { name: "app", location: "East US", tags: { mine: "stays" }, properties: {} }),
    say("PATCH", SITE, 200, {}),
  ];

  /** Runs the whole deployment; gives what it was told to show. */
  async function run(...exchanges: readonly Exchange[]) {
    azure.play([...answers, ...exchanges]);
    const cloud = await open();
    const site: Site = {
      id: SITE,
      name: "app",
      location: "eastus",
      planId: PLAN,
      host: azure.host,
      scmHost: azure.host,
      url: azure.origin,
      state: "Running",
      httpsOnly: true,
      userIdentities: [],
      possibleOutboundAddresses: [],
      tags: {},
    };
    const packed = {
      ...{ sha256: "abc", files: 1, bytes: 6, suspicious: [], paths: new Set<string>(), credentialsLeftOut: [] },
      stream: () => Readable.from([Buffer.from("PK zip")]),
    };
    const context = {
      adapter: cloud.sites.at({ group: "g", app: site.name }),
      scmSite: cloud.scmSite,
      site: cloud.site,
      clock: leapingClock(),
      signal: new AbortController().signal,
      onDetail: () => {},
    };
    return deployPackage({ package: async () => packed, health: "/healthz" }, site, context);
  }

  // trap: kudu 2
  it("follows its own ID: that somebody else's deployment is the latest and failed says nothing", async () => {
    const done = await run(
      say("GET", `${KUDU}/latest`, 200, others),
      accepted(),
      say("GET", `${KUDU}/${ID}`, 200, building),
      say("GET", `${KUDU}/${ID}`, 200, built),
      status("RuntimeSuccessful"),
    );
    expect(done.deploymentId).toBe(ID);
    expect(JSON.parse(seen("PATCH", SITE)[0]?.body ?? "").tags).toMatchObject({ mine: "stays" });
  });

  // trap: kudu 4
  it("is not over when Kudu is done: it waits for the container, and fails with Azure's reason", async () => {
    const reason = { extendedCode: "04915", code: "BadRequest", message: "The site failed to start." };
    const running = run(
      say("GET", `${KUDU}/latest`, 200, others),
      accepted(),
      say("GET", `${KUDU}/${ID}`, 200, built),
      status("RuntimeStarting", 202),
      status("RuntimeFailed", 200, [reason]),
      say("GET", "/api/logstream", 200, null),
    );
    await expect(running).rejects.toMatchObject({ code: "deploy/start-failed", cause: { message: "The site failed to start." } });
    expect(seen("PATCH", SITE)).toHaveLength(0);
  });

  // trap: kudu 6
  it("deploys once more when a settings write has restarted the SCM site under the build", async () => {
    const stopped = "Deployment has been stopped due to SCM container restart. The restart can happen due to a management operation.";
    const done = await run(
      say("GET", `${KUDU}/latest`, 200, others),
      accepted(),
      say("GET", `${KUDU}/${ID}`, 200, { ...built, status: 3, status_text: stopped }),
      say("GET", `${KUDU}/${ID}`, 200, built),
      status("RuntimeSuccessful"),
    );
    expect(done.deploymentId).toBe(ID);
    expect(seen("POST", "/api/zipdeploy")).toHaveLength(2);
  });

  // trap: kudu 9
  it("does not send again after a 504: the deployment goes on behind the front end", async () => {
    const done = await run(
      say("GET", `${KUDU}/latest`, 200, others),
      say("GET", `${KUDU}/latest`, 200, { ...building, received_time: "2026-04-10T17:00:00Z" }),
      say("POST", "/api/zipdeploy", 504, "<html><title>504.0 GatewayTimeout</title></html>"),
      say("GET", `${KUDU}/${ID}`, 200, built),
      status("RuntimeSuccessful"),
    );
    expect(done.deploymentId).toBe(ID);
    expect(seen("POST", "/api/zipdeploy")).toHaveLength(1);
  });

  it("tells of an hour's Retry-After at once: the package is sent no second time", async () => {
    const ending = run(
      say("GET", `${KUDU}/latest`, 200, others),
      say("POST", "/api/zipdeploy", 429, "Too many requests", { "Retry-After": "3600" }),
      say("GET", "/api/isdeploying", 200, { value: "False", msg: "" }),
    );
    await expect(ending).rejects.toMatchObject({ code: "azure/busy", hint: expect.stringContaining("60 minutes") });
    expect(seen("POST", "/api/zipdeploy")).toHaveLength(1);
  });

  // trap: kudu 10
  it("waits for a running deployment before it sends again", async () => {
    await run(
      say("GET", `${KUDU}/latest`, 200, others),
      say("POST", "/api/zipdeploy", 502, "<html><title>502 Bad Gateway</title></html>"),
      say("POST", "/api/zipdeploy", 409, "There is a deployment currently in progress. Please try again when it completes."),
      accepted(),
      say("GET", "/api/isdeploying", 200, { value: "True", msg: "" }),
      say("GET", "/api/isdeploying", 200, { value: "False", msg: "" }),
      say("GET", `${KUDU}/${ID}`, 200, built),
      status("RuntimeSuccessful"),
    );
    expect(seen("POST", "/api/zipdeploy")).toHaveLength(3);
    expect(seen("GET", "/api/isdeploying")).toHaveLength(2);
  });

  // trap: kudu 7
  it.each([
    [
      401,
      "<html><title>401 - Unauthorized: Access is denied due to invalid credentials.</title></html>",
      /does not take the token/,
      /tenant/,
    ],
    [403, "<html><h1>Error 403 - This web app is stopped.</h1></html>", /refused/, /stopped, or the account lacks the role/],
    [403, "<html><h1>Error 403 - Ip Forbidden</h1></html>", /refused/, /access restrictions/],
  ])("a %i page of the SCM site is told apart: %s", async (code, page, message, hint) => {
    azure.play([say("GET", "/api/settings", code, page)]);
    const scm = (await open()).scmSite({ name: "app", scmHost: azure.host });
    await expect(scm.getSettings()).rejects.toMatchObject({
      code: "azure/denied",
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    });
  });

  // trap: kudu 15
  it("reads on over a restart of the SCM container", async () => {
    azure.play([say("GET", "/api/settings", 503, "<html></html>"), say("GET", "/api/settings", 200, { A: "1" })]);
    expect(await (await open()).scmSite({ name: "app", scmHost: azure.host }).getSettings()).toEqual({ A: "1" });
  });
});

describe("Service Connector", () => {
  const linker = `${SITE}/providers/Microsoft.ServiceLinker/linkers/db`;
  const poll = `/subscriptions/${ZERO}/providers/Microsoft.ServiceLinker/locations/EASTUS/operationStatuses/one?api-version=2021-01-01-privatepreview`;
  const accepted = (method: string, path: string, body: unknown) =>
    say(method, path, method === "PUT" ? 201 : 202, body, { "azure-asyncoperation": `https://azure${poll}` });

  // trap: servicelinker 7
  it.each([
    ["structured", { isConnectionAvailable: true, validationDetail: [{ name: "Target", result: "success" }] }, true, ["Target"]],
    ["structured, refused", { isConnectionAvailable: false, validationDetail: [{ name: "Target", result: "failure" }] }, false, ["Target"]],
    ["JSON in message", { message: '{"IsConnectionAvailable":true,"ValidationDetail":[{"Name":"T","Result":0}]}' }, true, ["T"]],
    ["JSON in Message", { Message: '{"IsConnectionAvailable":false,"ValidationDetail":[{"Name":"T","Result":1}]}' }, false, ["T"]],
    ["words", { message: "SourceId: x, IsConnectionAvailable: True" }, true, []],
    ["nothing", null, false, []],
  ])("finds the verdict of a validation: %s", async (_form, properties, isAvailable, names) => {
    azure.play([accepted("POST", `${linker}/validateLinker`, null), say("GET", poll, 200, { status: "Succeeded", properties })]);
    const verdict = await (await open()).linkers.validate(SITE, "db");
    expect([verdict.isAvailable, verdict.items.map(({ name }) => name)]).toEqual([isAvailable, names]);
  });

  it("reads a linker as recorded in 2024: members that are null count as absent", async () => {
    const [put] = recorded("put_linker_system_identity_2024-07-01-preview");
    if (!put) throw new Error("recording is missing");
    const { pathname } = new URL(put.request.url);
    const at = String(put.response.headers["azure-asyncoperation"]);
    azure.play([put, { request: { method: "GET", url: at }, response: { status: 200, headers: {}, body: { status: "Succeeded" } } }]);
    azure.play([say("GET", pathname, 200, put.response.body)]);
    const source = pathname.replace(/\/providers\/Microsoft\.ServiceLinker.*/, "");
    const made = await (await open()).linkers.put(source, "testconn", { targetId: "/db", userName: "aad_db", clientType: "python" });
    expect(made).toMatchObject({
      name: "testconn",
      authType: "systemAssignedIdentity",
      provisioningState: "Accepted",
      clientType: "python",
    });
    expect(made).not.toHaveProperty("userName");
  });

  // trap: servicelinker 4, servicelinker 14, servicelinker 18
  it("keeps code and words of a failed operation, and shows the user's token nowhere", async () => {
    const error = { code: "UnauthorizedResourceAccess", message: "No permission to access the target resource" };
    azure.play([accepted("PUT", linker, { properties: {} }), say("GET", poll, 200, { status: "Failed", properties: null, error })]);
    const putting = (await open()).linkers.put(`/${SITE}`, "db", { targetId: "/db", userName: "aad_db", clientType: "python" });
    const failure = (await putting.catch((reason: unknown) => reason)) as Error & { code: string };
    expect([failure.code, azureCodeOf(failure)]).toEqual(["azure/denied", "UnauthorizedResourceAccess"]);
    const tokens = azure.requests.map(({ headers }) => String(headers["x-ms-serviceconnector-user-token"]));
    expect(tokens).toHaveLength(2);
    expect(tokens[1]).toMatch(/^eyJ/);
    expect(JSON.stringify([failure.message, String(failure.cause), failure.stack])).not.toContain(tokens[1]);
    expect(azure.requests[0]?.path).toBe(linker);
  });
});
