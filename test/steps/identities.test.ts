import { createRequire } from "node:module";
import { describe, expect } from "vitest";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import type { CheckResult as Check } from "../../src/checks/check.ts";
import { safePart } from "../../src/checks/repair.ts";
import { apply } from "../../src/engine/apply.ts";
import { changesOf } from "../../src/engine/plan.ts";
import type { Report } from "../../src/engine/report.ts";
import { doctor, verify } from "../../src/graph/project-checks.ts";
import { planRemoval } from "../../src/removal/plan-removal.ts";
import { databasesOf } from "../support/databases.ts";
import { type TestEmulator, fileTest as test } from "../support/emulator.ts";
import { failuresOf } from "../support/outcomes.ts";
import { openTestProject, type TestProject } from "../support/project.ts";
import { zipOf } from "../support/sites.ts";

const require = createRequire(import.meta.url);
const never = new AbortController().signal;
const clock: Clock = systemClock;
const app = { runtime: "node|22-lts", startup: "node app.js", plan: "B1", name: "shop-api-t3st", health: "/healthz" };
const withIdentity = { apps: { api: { ...app, identity: "shop-id" } } };
const withoutIdentity = { apps: { api: app } };

/** An app of the unmodified @azure/identity and pg that knows nothing of this project but its settings. */
const source = `
  const { readFileSync } = require("node:fs");
  const { createServer } = require("node:http");
  const { DefaultAzureCredential } = require(${JSON.stringify(require.resolve("@azure/identity"))});
  const pg = require(${JSON.stringify(require.resolve("pg"))});
  const { DB_HOST: host, DB_PORT, DB_NAME: database, DB_USER: user, PGSSLROOTCERT } = process.env;
  const credential = new DefaultAzureCredential();
  const ask = async (text, values) => {
    const { token } = await credential.getToken("https://ossrdbms-aad.database.windows.net/.default");
    const ssl = { rejectUnauthorized: true, host, ca: readFileSync(PGSSLROOTCERT) };
    const client = new pg.Client({ host, port: Number(DB_PORT), database, user, password: token, ssl });
    await client.connect();
    try { return { tls: client.connection.stream.encrypted, rows: (await client.query(text, values)).rows }; } finally { await client.end(); }
  };
  const routes = async (request, body) => {
    if (request.url === "/healthz/database") {
      const { tls, rows } = await ask("SELECT current_user::text AS user");
      return [200, { status: "ok", tls, ...rows[0] }];
    }
    if (request.method === "POST") {
      await ask("CREATE TABLE IF NOT EXISTS items (id serial PRIMARY KEY, name text)");
      return [201, (await ask("INSERT INTO items (name) VALUES ($1) RETURNING id", [JSON.parse(body).name])).rows[0]];
    }
    const id = /^\\/items\\/(\\d+)$/.exec(request.url);
    return id ? [200, (await ask("SELECT * FROM items WHERE id = $1", [id[1]])).rows[0]] : [200, { status: "ok" }];
  };
  createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    const [status, answer] = await routes(request, body).catch((error) => [500, { status: "failed", message: error.message }]);
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
  }).listen(process.env.PORT);`;

const changed = ({ steps }: Report): string[] =>
  steps.filter(({ outcome }) => outcome !== "kept").map(({ name, outcome }) => `${name}: ${outcome}`);
const wrong = (checks: readonly Check[]): string[] => checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`);

async function planned(project: TestProject): Promise<object[]> {
  const { steps } = await project.plan();
  await project.firewallAccess.revoke();
  return steps.filter(({ change }) => change.kind !== "keep").map(({ step, change }) => ({ name: step.name, ...change }));
}

async function check(project: TestProject): Promise<Check[]> {
  const { setup, cloud, firewallAccess } = project;
  const checks = await verify({ setup, cloud, firewallAccess, clock, signal: never, marker: `mark-${Math.random()}` });
  await firewallAccess.revoke();
  return checks;
}

/** The findings of `doctor` about identities, settings, connections and roles. */
async function findings(project: TestProject): Promise<string[]> {
  const { setup, cloud, firewallAccess } = project;
  const checks = await doctor({ setup, cloud, firewallAccess, clock, signal: never });
  await firewallAccess.revoke();
  return wrong(checks.filter(({ name }) => !/package/.test(name)));
}

async function siteOf({ cloud, setup }: TestProject) {
  const site = await cloud.sites.at({ group: setup.resourceGroup, app: app.name }).get();
  if (!site) throw new Error("no site");
  return site;
}

async function settingsOf({ cloud, setup }: TestProject): Promise<Record<string, string>> {
  return (await cloud.sites.at({ group: setup.resourceGroup, app: app.name }).getSettings()) ?? {};
}

function identityId({ cloud, setup }: TestProject, name = "shop-id"): string {
  return `/subscriptions/${cloud.subscriptionId}/resourceGroups/${setup.resourceGroup}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`;
}

async function identityOf(project: TestProject, name?: string) {
  const found = await project.cloud.managedIdentities.get(identityId(project, name));
  if (!found) throw new Error("no identity");
  return found;
}

async function labelOf(project: TestProject, role = app.name): Promise<string | undefined> {
  const { cloud, databases, firewallAccess, setup } = project;
  const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
  if (!server) throw new Error("no server");
  const found = await databases.at(server, cloud.caller.name).find(role);
  await firewallAccess.revoke();
  return found?.objectId;
}

async function deploy(emulator: TestEmulator, project: TestProject): Promise<void> {
  const { scmHost, id } = await siteOf(project);
  const token = await emulator.tokenFor(emulator.clientId, "https://appservice.azure.com");
  const sent = await emulator.fetch(`https://${scmHost}/api/zipdeploy?isAsync=true`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: await zipOf({ "app.js": source }),
  });
  const deployment = sent.headers.get("scm-deployment-id") ?? "";
  await emulator.until(`${id}/deploymentStatus/${deployment}?api-version=2024-04-01`, ({ status }) => status === 200);
}

describe.sequential("an app with a user-assigned identity", () => {
  test("init makes it, assigns it alone, and the role, the connection and the settings are of it", async ({ emulator }) => {
    const project = await openTestProject(emulator, withIdentity);
    expect(failuresOf(await project.init())).toEqual([]);
    const identity = await identityOf(project);
    expect(identity).toMatchObject({ name: "shop-id", location: "eastus", tags: { "passwordless-pg": project.setup.owner } });
    const site = await siteOf(project);
    expect([site.principalId, site.userIdentities]).toEqual([
      undefined,
      [{ id: identityId(project), principalId: identity.principalId, clientId: identity.clientId }],
    ]);
    expect(await settingsOf(project)).toMatchObject({
      AZURE_CLIENT_ID: identity.clientId,
      AZURE_POSTGRESQL_CLIENTID: identity.clientId,
      DB_CLIENT_ID: identity.clientId,
      DB_USER: app.name,
    });
    expect(await project.cloud.linkers.get(site.id, "postgres_api")).toMatchObject({
      authType: "userAssignedIdentity",
      clientId: identity.clientId,
      userName: app.name,
    });
    expect(await labelOf(project)).toBe(identity.principalId);
  });

  test("a second init writes nothing", async ({ emulator }) => {
    const project = await openTestProject(emulator, withIdentity);
    project.writes();
    expect(changed(await project.init())).toEqual([]);
    expect(project.writes()).toEqual([]);
  });

  test("an app with the unmodified library signs in with it: verified to the row, and doctor finds nothing", async ({ emulator }) => {
    const project = await openTestProject(emulator, withIdentity);
    await deploy(emulator, project);
    const checks = await check(project);
    expect(wrong(checks)).toEqual([]);
    expect(checks.find(({ name }) => name === "api: app signs in with its token")?.detail).toMatch(`as ${app.name} over TLS`);
    expect(checks.find(({ name }) => name === "api: app writes and reads a row")?.detail).toMatch(/item \d+ came back/);
    expect(await findings(project)).toEqual([]);
  });

  test("taken from the web app by hand: plan names it, doctor and verify find it, doctor --fix gives it back beside a foreign one", async ({
    emulator,
  }) => {
    const project = await openTestProject(emulator, withIdentity);
    const { cloud, setup } = project;
    const foreign = await cloud.managedIdentities.put(identityId(project, "foreign-id"), { location: "eastus", tags: {} });
    const site = await siteOf(project);
    const identity = {
      type: "SystemAssigned, UserAssigned",
      userAssignedIdentities: { [identityId(project, "foreign-id")]: {}, [identityId(project)]: null },
    };
    await emulator.arm("PATCH", `${site.id}?api-version=2024-04-01`, { identity });
    const system = (await siteOf(project)).principalId;
    expect(await planned(project)).toEqual([
      {
        name: "web app api",
        kind: "update",
        differences: [{ field: "identity", observed: "without shop-id", desired: "UserAssigned shop-id" }],
      },
    ]);
    const found = "managed identity is on: the user-assigned identity shop-id is not assigned to the app";
    expect(wrong(await check(project))).toContain(`api: ${found}`);
    expect(await findings(project)).toContain(`api: ${found}`);
    const report = await apply(safePart(await project.plan(), project), { clock, signal: never });
    await project.firewallAccess.revoke();
    expect(changed(report)).toEqual(["web app api: updated"]);
    const after = await siteOf(project);
    expect(after.principalId).toBe(system);
    expect(after.userIdentities.map(({ principalId }) => principalId).sort()).toEqual(
      [foreign.principalId, (await identityOf(project)).principalId].sort(),
    );
    expect(wrong(await check(project))).toEqual([]);
    expect(setup.sites[0]?.identity).toBe("shop-id");
  });

  test("deleted, and made anew under its name: found by its object ID and repaired, with the tables of the app", async ({ emulator }) => {
    const project = await openTestProject(emulator, withIdentity);
    const before = await identityOf(project);
    await project.cloud.managedIdentities.delete(identityId(project));
    expect(wrong(await check(project))).toContain("api: managed identity is on: the user-assigned identity shop-id does not exist");
    const gone = await planned(project);
    expect(gone.map((step) => (step as { name: string }).name)).toEqual([
      "managed identity shop-id",
      "web app api",
      "service connection api",
      "app settings api",
      "database principal api",
    ]);
    expect(gone[1]).toMatchObject({
      differences: [{ field: "identity shop-id", observed: before.principalId, desired: "(that of the new identity)" }],
    });
    const after = await project.cloud.managedIdentities.put(identityId(project), { location: "eastus", tags: before.tags });
    expect(after.principalId).not.toBe(before.principalId);
    expect(wrong(await check(project)).join("\n")).toMatch(/managed identity is on: shop-id was made anew/);
    expect((await findings(project)).join("\n")).toMatch(/role is labelled with the identity/);
    expect(await planned(project)).toMatchObject([
      { name: "web app api", differences: [{ field: "identity shop-id", observed: before.principalId, desired: after.principalId }] },
      { name: "service connection api", differences: [{ field: "clientId", observed: before.clientId, desired: after.clientId }] },
      { name: "app settings api" },
      { name: "database principal api", differences: [{ observed: before.principalId, desired: after.principalId }] },
    ]);
    expect(failuresOf(await project.init())).toEqual([]);
    expect(await labelOf(project)).toBe(after.principalId);
    expect(await settingsOf(project)).toMatchObject({ AZURE_CLIENT_ID: after.clientId });
    expect(wrong(await check(project))).toEqual([]);
    const names = await databasesOf(emulator, project).as(
      { role: app.name, principal: after.principalId, database: "shop" },
      async (session) => (await session.query("SELECT name FROM items")).rows,
    );
    expect(names.length).toBeGreaterThan(1);
    expect(changed(await project.init())).toEqual([]);
  });

  test("back to the system-assigned identity and forth again: role, connection and settings follow", async ({ emulator }) => {
    const system = await openTestProject(emulator, withoutIdentity);
    expect(failuresOf(await system.init())).toEqual([]);
    const site = await siteOf(system);
    expect(site.userIdentities.map(({ id }) => id.split("/").at(-1)).sort()).toEqual(["foreign-id", "shop-id"]);
    expect(await labelOf(system)).toBe(site.principalId);
    const settings = await settingsOf(system);
    expect(Object.keys(settings).filter((name) => /CLIENT_?ID/.test(name))).toEqual([]);
    expect(await system.cloud.linkers.get(site.id, "postgres_api")).toMatchObject({ authType: "systemAssignedIdentity" });
    expect(wrong(await check(system))).toEqual([]);
    expect(await findings(system)).toEqual([]);
    expect(changed(await system.init())).toEqual([]);
    const user = await openTestProject(emulator, withIdentity);
    expect(failuresOf(await user.init())).toEqual([]);
    expect(await labelOf(user)).toBe((await identityOf(user)).principalId);
    expect(wrong(await check(user))).toEqual([]);
  });

  test("AZURE_CLIENT_ID that somebody else has set is left to a system-assigned app, and doctor names it", async ({ emulator }) => {
    const system = await openTestProject(emulator, withoutIdentity);
    expect(failuresOf(await system.init())).toEqual([]);
    const { cloud, setup } = system;
    const foreign = await identityOf(system, "foreign-id");
    await cloud.sites
      .at({ group: setup.resourceGroup, app: app.name })
      .putSettings({ ...(await settingsOf(system)), AZURE_CLIENT_ID: foreign.clientId });
    expect(changed(await system.init())).toEqual([]);
    expect((await findings(system)).join("\n")).toMatch(/AZURE_CLIENT_ID chooses no other identity/);
    const user = await openTestProject(emulator, withIdentity);
    expect(failuresOf(await user.init())).toEqual([]);
    expect(await settingsOf(user)).toMatchObject({ AZURE_CLIENT_ID: (await identityOf(user)).clientId });
  });

  test("two apps of one identity have a role each; with unequal access the project file is refused", async ({ emulator }) => {
    const apps = { api: withIdentity.apps.api, worker: { ...app, name: "shop-worker-t3st", identity: "SHOP-ID" } };
    await expect(openTestProject(emulator, { apps: { ...apps, worker: { ...apps.worker, access: "read" } } })).rejects.toMatchObject({
      code: "project/invalid",
      message: expect.stringMatching(/api \("owner"\) and worker \("read"\) share an identity/),
    });
    const project = await openTestProject(emulator, { apps });
    const report = await project.init();
    expect(failuresOf(report)).toEqual([]);
    expect(report.steps.filter(({ name }) => name.startsWith("managed identity"))).toHaveLength(1);
    const { principalId } = await identityOf(project);
    expect([await labelOf(project), await labelOf(project, "shop-worker-t3st")]).toEqual([principalId, principalId]);
    expect(changed(await project.init())).toEqual([]);
    expect((await findings(project)).filter((words) => /identity|role/.test(words))).toEqual([]);
    await project.cloud.sites.at({ group: project.setup.resourceGroup, app: "shop-worker-t3st" }).delete();
  });

  test("one given by its resource ID is taken as it is and never made", async ({ emulator }) => {
    const group = await emulator.group("rg-platform");
    const id = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/platform-id`;
    const project = await openTestProject(emulator, { apps: { api: { ...app, identity: id } } });
    const blocked = await planned(project);
    expect(blocked[0]).toMatchObject({
      name: "managed identity rg-platform/platform-id",
      kind: "blocked",
      hint: expect.stringMatching(/resource ID/),
    });
    const report = await project.init();
    expect(failuresOf(report)[0]).toBe(`managed identity rg-platform/platform-id: there is no user-assigned identity ${id}`);
    expect(report.steps.find(({ error }) => error)?.error).toMatchObject({ code: "azure/not-found" });
    const { setup, cloud, firewallAccess } = project;
    const checks = await doctor({ setup, cloud, firewallAccess, clock, signal: never });
    await firewallAccess.revoke();
    const named = checks.find(({ name }) => name === "api: managed identity is on");
    expect(named).toMatchObject({ ok: false, hint: expect.stringMatching(/^correct its resource ID/) });
    const made = await project.cloud.managedIdentities.put(id, { location: "westus", tags: { owner: "platform" } });
    expect(failuresOf(await project.init())).toEqual([]);
    expect(await labelOf(project)).toBe(made.principalId);
    expect(await project.cloud.managedIdentities.get(id)).toEqual(made);
    expect(changed(await project.init())).toEqual([]);
  });

  test("down takes the identity that this project made, and no other", async ({ emulator }) => {
    const project = await openTestProject(emulator, withIdentity);
    const { cloud, firewallAccess, setup } = project;
    const { removals, kept } = await planRemoval(setup, cloud, firewallAccess);
    expect(removals.map(({ what }) => what)).toContain("managed identity shop-id");
    expect(kept.join("; ")).toMatch(/userAssignedIdentities foreign-id/);
    const site = await siteOf(project);
    await cloud.sites.at({ group: setup.resourceGroup, app: "stranger-t3st" }).create({
      location: "eastus",
      planId: site.planId,
      config: {},
      userIdentity: identityId(project),
      settings: {},
      tags: {},
    });
    const shared = await planRemoval(setup, cloud, firewallAccess);
    expect(shared.removals.map(({ what }) => what)).not.toContain("managed identity shop-id");
    expect(shared.kept.join("; ")).toMatch(/managed identity shop-id \(stranger-t3st has it/);
    await cloud.sites.at({ group: setup.resourceGroup, app: "stranger-t3st" }).delete();
    for (const removal of (await planRemoval(setup, cloud, firewallAccess)).removals) await removal.remove();
    await firewallAccess.revoke();
    expect(await cloud.managedIdentities.get(identityId(project))).toBeUndefined();
    expect(await cloud.managedIdentities.get(identityId(project, "foreign-id"))).toBeDefined();
    expect(changesOf(await project.plan())).toBeGreaterThan(5);
  });
});
