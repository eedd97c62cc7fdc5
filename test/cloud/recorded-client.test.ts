import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openCloud } from "../../src/cloud/cloud.ts";
import { contextOf, type Exchange, type ReplayServer, recorded, startReplay } from "./replay-server.ts";

const ZERO = "00000000-0000-0000-0000-000000000000";

let server: ReplayServer;
beforeEach(async () => {
  server = await startReplay();
});
afterEach(() => server.close());

const open = (subscriptionId = ZERO) => openCloud(contextOf(server, subscriptionId));
const pathOf = (exchange: Exchange | undefined): string => new URL(exchange?.request.url ?? "").pathname;
const calls = () => server.requests.map(({ method, path }) => `${method} ${path.split("/").slice(-2).join("/")}`);

/** One poll of an operation, as the recordings of other operations show it. */
const poll = (start: Exchange | undefined, status: string, error?: { code: string; message: string }): Exchange => ({
  request: { method: "GET", url: String(start?.response.headers["azure-asyncoperation"]) },
  response: { status: 200, headers: { "Retry-After": "60" }, body: { name: "an-operation", status, ...(error && { error }) } },
});

describe("flexible server", () => {
  // trap: postgres 1, postgres 2, postgres 34
  it("is created Entra-only: polls the signed address as it was given, then reads the server", async () => {
    const [put] = recorded("server_create_entra_only");
    const [ready] = recorded("server_get_ready");
    if (!put || !ready) throw new Error("recordings are missing");
    server.play([put, poll(put, "InProgress"), poll(put, "InProgress"), poll(put, "Succeeded")]);
    server.play([{ request: { method: "GET", url: put.request.url }, response: ready.response }]);
    const cloud = await open();

    const made = await cloud.postgresServers.create("clitest.rg000001", "azuredbclitest-000002", {
      location: "eastus",
      version: "16",
      sku: "Standard_D2s_v3",
      storageGb: 128,
      tenantId: "72f988bf-0000-4000-8000-000000000002",
      tags: {},
    });

    const sent = JSON.parse(server.requests[0]?.body ?? "") as { properties: Record<string, unknown> };
    expect(sent.properties).toMatchObject({
      createMode: "Create",
      version: "16",
      storage: { storageSizeGB: 128 },
      authConfig: { activeDirectoryAuth: "Enabled", passwordAuth: "Disabled" },
    });
    expect(sent.properties).not.toHaveProperty("administratorLoginPassword");
    const real = ready.response.body as { location: string; properties: { fullyQualifiedDomainName: string; version: string } };
    expect(made).toMatchObject({
      location: real.location.replaceAll(" ", "").toLowerCase(),
      host: real.properties.fullyQualifiedDomainName,
      version: real.properties.version,
      state: "Ready",
      port: 5432,
    });
    expect(server.requests.filter(({ path }) => path.includes("azureAsyncOperation"))).toHaveLength(3);
  });

  // trap: postgres 11
  it("says Azure's own code when an operation fails in its poll", async () => {
    const [put] = recorded("server_create_entra_only");
    if (!put) throw new Error("recording is missing");
    const words = "Subscriptions are restricted from provisioning in location 'eastus'. Try again in a different location.";
    server.play([put, poll(put, "Failed", { code: "LocationIsOfferRestricted", message: words })]);
    const cloud = await open();
    const creation = cloud.postgresServers.create("clitest.rg000001", "azuredbclitest-000002", {
      location: "eastus",
      version: "16",
      sku: "Standard_B1ms",
      storageGb: 32,
      tenantId: "t",
      tags: {},
    });
    await expect(creation).rejects.toMatchObject({
      code: "azure/region-closed",
      cause: { message: `LocationIsOfferRestricted: ${words}` },
    });
  });

  // trap: passwordless-flow 9
  it("tries a busy write again, whether it is refused at once or in the poll", async () => {
    const [put, ...rest] = recorded("firewall_rule_put");
    if (!put) throw new Error("recording is missing");
    const busy = {
      code: "ServerIsBusy",
      message: "Cannot complete operation while server 'x' is busy processing another operation. Try again later.",
    };
    const refused: Exchange = { request: put.request, response: { status: 409, headers: {}, body: { error: busy } } };
    const failed: Exchange = {
      request: { method: "GET", url: String(put.response.headers["Azure-AsyncOperation"]) },
      response: { status: 200, headers: {}, body: { name: "x", status: "Failed", error: busy } },
    };
    const site = pathOf(put).replace(/\/firewallRules.*/, "");
    const [ready] = recorded("server_get_ready");
    if (!ready) throw new Error("recording is missing");
    server.play([refused, put, failed, ...rest, { request: { method: "GET", url: `https://x${site}` }, response: ready.response }]);
    const cloud = await open("929287ae-832a-4946-8006-a6cc2a3f7244");
    await cloud.postgresServers.putFirewallRule("PostgreSqlTest", "postgresql-flexible-test-100", {
      name: "postgresqlrule01",
      start: "0.0.0.0",
      end: "0.0.0.1",
    });
    expect(server.requests.filter(({ method }) => method === "PUT")).toHaveLength(3);
  });

  // trap: postgres 5
  it("takes the administrator's object ID from the address and its name from the answer", async () => {
    const exchanges = recorded("administrator_put_user");
    server.play(exchanges);
    const one = exchanges[2];
    server.play([
      {
        request: { method: "GET", url: `https://x${pathOf(exchanges[0]).replace(/\/[^/]+$/, "")}` },
        response: { status: 200, headers: {}, body: { value: [one?.response.body] } },
      },
    ]);
    const cloud = await open();
    const objectId = "894ef8da-7971-4f68-972c-f561441eb329";
    await cloud.postgresServers.putAdministrator("clitest.rg000001", "azuredbclitest-000002", {
      objectId,
      name: "ana@example.com",
      type: "User",
      tenantId: "t",
    });
    expect(JSON.parse(server.requests[0]?.body ?? "")).toEqual({
      properties: { principalType: "User", principalName: "ana@example.com", tenantId: "t" },
    });
    const listed = await cloud.postgresServers.listAdministrators("clitest.rg000001", "azuredbclitest-000002");
    expect(listed).toEqual([
      { objectId, name: "<user principal name removed>", type: "User", tenantId: "72f988bf-86f1-41af-91ab-2d7cd011db47" },
    ]);
  });

  it("removes an administrator and creates a database", async () => {
    server.play(recorded("administrator_delete"));
    server.play(recorded("database_put"));
    server.play(recorded("check_name_available"));
    server.play(recorded("configuration_patch"));
    const cloud = await open();
    const [group, name] = ["clitest.rg000001", "azuredbclitest-000002"];
    await cloud.postgresServers.deleteAdministrator(group, name, "894ef8da-7971-4f68-972c-f561441eb329");
    expect(await cloud.postgresServers.createDatabase(group, name, "flexibleserverdb")).toMatchObject({
      name: "flexibleserverdb",
      charset: "UTF8",
      collation: "en_US.utf8",
    });
    expect(await cloud.postgresServers.checkName("eastus", name)).toEqual({ isFree: true });
    expect(await cloud.postgresServers.setParameter(group, name, "lock_timeout", "2000")).toMatchObject({
      value: "2000",
      defaultValue: "0",
    });
  });

  it("is undefined when absent", async () => {
    const path = `/subscriptions/${ZERO}/resourceGroups/g/providers/Microsoft.DBforPostgreSQL/flexibleServers/none`;
    const error = { code: "ResourceNotFound", message: "The Resource was not found." };
    server.play([{ request: { method: "GET", url: `https://x${path}` }, response: { status: 404, headers: {}, body: { error } } }]);
    const cloud = await open();
    expect(await cloud.postgresServers.get("g", "none")).toBeUndefined();
    expect(server.requests).toHaveLength(1);
  });
});

describe("web app", () => {
  const SUBSCRIPTION = "4d042dc6-fe17-4698-a23f-ec6a8d1e98f4";

  // trap: appservice 1, appservice 14
  it("is read with the SCM host of its Repository entry, its identity and all possible addresses", async () => {
    server.play(recorded("site-get-linux-python"));
    const cloud = await open(SUBSCRIPTION);
    const app = await cloud.sites.at({ group: "rg-azdtest-d347996", app: "app-yswqbm6bq4kx2" }).get();
    expect(app).toMatchObject({
      location: "eastus2",
      host: "app-yswqbm6bq4kx2.azurewebsites.net",
      scmHost: "app-yswqbm6bq4kx2.scm.azurewebsites.net",
      url: "https://app-yswqbm6bq4kx2.azurewebsites.net",
      state: "Running",
      httpsOnly: true,
    });
    expect(app?.possibleOutboundAddresses.length).toBeGreaterThan(12);
    expect(app?.changedAt).toBe(Date.parse("2026-04-10T16:14:52.966Z"));
  });

  // trap: appservice 18
  it("gets a Linux plan", async () => {
    server.play(recorded("plan-create-linux-s1"));
    const cloud = await open();
    const plan = await cloud.plans.create("cli_test_webapp_deploy_runtimestatus000001", "webapp-oneDeploy-plan000003", {
      location: "eastus",
      sku: "S1",
      tags: {},
    });
    expect(plan).toMatchObject({ sku: "S1", capacity: 1, isLinux: true, location: "eastus" });
    expect(JSON.parse(server.requests[0]?.body ?? "")).toMatchObject({
      kind: "linux",
      sku: { name: "S1", tier: "Standard", capacity: 1 },
      properties: { reserved: true },
    });
  });

  // trap: appservice 5
  it("reads Microsoft.Web's own error shape: a taken name is told apart from other conflicts", async () => {
    const url = `https://x/subscriptions/${ZERO}/resourceGroups/g/providers/Microsoft.Web/sites/taken`;
    const message = "Website with given name taken already exists.";
    const body = { Code: "Conflict", Message: message, Details: [{ Message: message }, { ErrorEntity: { ExtendedCode: "54001" } }] };
    server.play([{ request: { method: "PUT", url }, response: { status: 409, headers: {}, body } }]);
    const cloud = await open();
    const creation = cloud.sites
      .at({ group: "g", app: "taken" })
      .create({ location: "eastus", planId: "/p", config: {}, settings: {}, tags: {} });
    await expect(creation).rejects.toMatchObject({ code: "azure/name-taken", cause: { message: `Conflict (409): ${message}` } });
  });

  // trap: appservice 6
  it("does not take a quota refusal (401) for a missing sign-in", async () => {
    const url = `https://x/subscriptions/${ZERO}/resourceGroups/g/providers/Microsoft.Web/serverfarms/p`;
    const body = { Code: "Unauthorized", Message: "Operation cannot be completed without additional quota. Current Limit (Basic VMs): 0" };
    server.play([{ request: { method: "PUT", url }, response: { status: 401, headers: {}, body } }]);
    const cloud = await open();
    await expect(cloud.plans.create("g", "p", { location: "eastus", sku: "B1", tags: {} })).rejects.toMatchObject({
      code: "azure/quota",
    });
  });

  it.each([
    [
      "deploymentstatus-202-buildinprogress",
      "4d042dc6-fe17-4698-a23f-ec6a8d1e98f4",
      { status: "BuildInProgress", isTerminal: false, isOk: false },
    ],
    [
      "deploymentstatus-200-runtimesuccessful",
      "4d042dc6-fe17-4698-a23f-ec6a8d1e98f4",
      { status: "RuntimeSuccessful", isTerminal: true, isOk: true },
    ],
    ["deploymentstatus-200-runtimefailed", ZERO, { status: "RuntimeFailed", isTerminal: true, isOk: false }],
  ])("tells the deployment status of %s", async (name, subscription, expected) => {
    const [exchange] = recorded(name);
    if (!exchange) throw new Error("recording is missing");
    server.play([exchange]);
    const [, , , , group = "", , , , site = "", , id = ""] = pathOf(exchange).split("/");
    const status = await (await open(subscription)).sites.at({ group, app: site }).deploymentStatus(id);
    expect(status).toMatchObject(expected);
    if (name.endsWith("runtimefailed")) expect(status?.errors[0]).toMatchObject({ code: "04915" });
  });
});

describe("SCM site", () => {
  // trap: kudu 1, kudu 3, kudu 14, appservice 15
  it("starts a deployment and follows it from its temporary ID to its end", async () => {
    const [started] = recorded("kudu-zipdeploy-async-202");
    const [temporary] = recorded("kudu-latest-202-temp");
    const [done] = recorded("kudu-latest-200-success");
    const [log] = recorded("kudu-deployment-log-200");
    if (!started || !temporary || !done || !log) throw new Error("recordings are missing");
    const none: Exchange = {
      request: { method: "GET", url: temporary.request.url },
      response: { status: 404, headers: {}, body: "no deployments" },
    };
    const logUrl = `https://x/api/deployments/9d0fc21d/log`;
    server.play([started, none, temporary, done, { request: { method: "GET", url: logUrl }, response: log.response }]);
    const site = (await open()).scmSite({ name: "app", scmHost: server.host });

    const { deploymentId } = await site.zipDeploy({ stream: () => Readable.from([Buffer.from("PK zip")]), size: 6 });
    expect(deploymentId).toBe("9d0fc21d-4821-4425-b011-bf889ea84430");
    const post = server.requests.find(({ method }) => method === "POST");
    expect(post).toMatchObject({ path: "/api/zipdeploy", query: "isAsync=true", body: "PK zip" });
    expect(post?.authorization).toMatch(/^Bearer /);

    expect(await site.latest()).toMatchObject({ isTemporary: true, isComplete: false, statusText: "Receiving changes." });
    expect(await site.latest()).toMatchObject({ isTemporary: false, isComplete: true, status: "succeeded" });
    expect(server.requests.at(-1)?.headers.cookie).toMatch(/^ARRAffinity=[0-9a-f]+$/);
    const entries = await site.listLog("9d0fc21d");
    expect(entries[0]).toMatchObject({ message: "Updating submodules.", level: "info", hasDetails: false });
    expect(entries.some(({ hasDetails }) => hasDetails)).toBe(true);
  });
});

describe("linker", () => {
  // trap: servicelinker 1, servicelinker 2, servicelinker 3, servicelinker 5, servicelinker 13, servicelinker 20, passwordless-flow 11
  it("is put with the user name, waits for the operation and is read back", async () => {
    const [put] = recorded("put_linker_pgflex_secret_2022-05-01");
    if (!put) throw new Error("recording is missing");
    server.play([put, ...recorded("operation_status_put_succeeded_2022-05-01"), ...recorded("get_linker_pgflex_2022-05-01")]);
    const cloud = await open();
    const siteId = pathOf(put).replace(/\/providers\/Microsoft\.ServiceLinker.*/, "");
    const linker = await cloud.linkers.put(siteId, "testconn", { targetId: "/db", userName: "aad_testconn", clientType: "python" });
    expect(linker).toMatchObject({ name: "testconn", provisioningState: "Succeeded", clientType: "python" });
    expect(linker.targetId).toMatch(/\/flexibleServers\/servicelinker-flexiblepostgresql\/databases\/test$/);
    expect(server.requests[0]?.query).toBe("api-version=2024-04-01");
    expect(JSON.parse(server.requests[0]?.body ?? "")).toMatchObject({
      properties: { authInfo: { authType: "systemAssignedIdentity", userName: "aad_testconn" }, targetService: { id: "/db" } },
    });
    expect(calls().filter((call) => call.startsWith("PUT"))).toHaveLength(1);
  });

  // trap: servicelinker 6
  it("is validated and deleted; a body of the word null is no trouble", async () => {
    const [validate] = recorded("validate_linker_accepted_2022-05-01");
    const [verdict] = recorded("operation_status_validate_2023-04-01-preview");
    const [removal] = recorded("delete_linker_accepted_2022-05-01");
    if (!validate || !verdict || !removal) throw new Error("recordings are missing");
    const at = (start: Exchange) => ({ method: "GET", url: String(start.response.headers["azure-asyncoperation"]) });
    server.play([validate, { request: at(validate), response: verdict.response }]);
    server.play([
      removal,
      { request: at(removal), response: { status: 200, headers: {}, body: { status: "Succeeded", properties: null } } },
    ]);
    server.play(recorded("list_configurations_pgflex_python_2021-11-01-preview"));
    const cloud = await open();
    const siteId = pathOf(validate).replace(/\/providers\/Microsoft\.ServiceLinker.*/, "");
    const validation = await cloud.linkers.validate(siteId, "testconn");
    expect(validation.isAvailable).toBe(true);
    expect(validation.items.map(({ name, isOk }) => [name, isOk])).toContainEqual(["Target network access validated.", true]);
    expect(await cloud.linkers.listConfigurations(siteId, "testconn")).toMatchObject([
      { name: "AZURE_POSTGRESQL_TESTCONN_CONNECTIONSTRING" },
    ]);
    await cloud.linkers.delete(siteId, "testconn");
  });
});
