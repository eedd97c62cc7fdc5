import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as yazl from "yazl";
import { type Cloud, openCloud } from "../../src/cloud/cloud.ts";
import type { CloudContext } from "../../src/cloud/connection.ts";
import { accessDifferences } from "../../src/cloud/database/access-differences.ts";
import type { ServerRoles } from "../../src/cloud/database/databases.ts";
import { placeholderRole } from "../../src/cloud/database/ownership.ts";
import { connectSql, quoteIdentifier, type SqlSession } from "../../src/cloud/database/sql.ts";
import { testCloudContext, withoutFirewall } from "../support/cloud.ts";
import { startTestEmulator, type TestEmulator } from "../support/emulator.ts";
import { PATIENCE_MS } from "../support/patience.ts";

/** Local Azure as a black box: only its endpoints are used. */
const GROUP = "rg-cloud";
const SERVER = "cloud-db";
const DATABASE = "Orders-1";
const ROLE = 'app-role "1"';
const OBJECT_ID = "11111111-2222-4333-8444-555555555555";

let emulator: TestEmulator;
let release: () => Promise<void>;
let context: CloudContext;
let cloud: Cloud;

beforeAll(async () => {
  ({ emulator, release } = await startTestEmulator());
  context = await testCloudContext(emulator);
  cloud = await openCloud(context);
});
afterAll(() => release?.());

const login = () => cloud.caller.name;
const target = async () => {
  const server = await cloud.postgresServers.get(GROUP, SERVER);
  if (!server) throw new Error("no server");
  return server;
};
const openRoles = async (): Promise<ServerRoles> => cloud.databases(withoutFirewall).at(await target(), login());
const session = async (database: string): Promise<SqlSession> => {
  const { host, port } = await target();
  return connectSql({
    host,
    port,
    database,
    user: login(),
    token: async () => (await cloud.databaseToken()).token,
    environment: context.environment,
    signal: context.signal,
  });
};
const inDatabase = async <T>(work: (session: SqlSession) => Promise<T>): Promise<T> => {
  const open = await session(DATABASE);
  try {
    await open.query('SET search_path = "$user", public');
    return await work(open);
  } finally {
    await open.close();
  }
};

describe("adapters over local Azure", () => {
  // trap: postgres 4
  it("makes a group and an Entra-only server with administrator and database", async () => {
    expect(await cloud.resourceGroups.get(GROUP)).toBeUndefined();
    await cloud.resourceGroups.put(GROUP, { location: "eastus", tags: { made: "here" } });
    expect(await cloud.resourceGroups.get(GROUP)).toMatchObject({ name: GROUP, location: "eastus", tags: { made: "here" } });
    const { tenantId, objectId, name, type } = cloud.caller;
    expect(await cloud.postgresServers.get(GROUP, SERVER)).toBeUndefined();
    const desired = {
      location: "eastus",
      version: "16",
      sku: "Standard_B1ms",
      tier: "Burstable",
      storageGb: 32,
      tenantId,
      tags: { a: "b" },
    };
    const server = await cloud.postgresServers.create(GROUP, SERVER, desired);
    expect(server).toMatchObject({ name: SERVER, passwordAuth: false, entraAuth: true, tenantId, tags: { a: "b" }, sku: "Standard_B1ms" });
    // Three writes at once: the adapter makes them one after the other.
    await Promise.all([
      cloud.postgresServers.putAdministrator(GROUP, SERVER, { objectId, name, type, tenantId }),
      cloud.postgresServers.putFirewallRule(GROUP, SERVER, { name: "me", start: "127.0.0.1", end: "127.0.0.1" }),
      cloud.postgresServers.createDatabase(GROUP, SERVER, DATABASE),
    ]);
    expect(await cloud.postgresServers.listAdministrators(GROUP, SERVER)).toMatchObject([{ objectId, name, type }]);
    expect(await cloud.postgresServers.listFirewallRules(GROUP, SERVER)).toEqual([{ name: "me", start: "127.0.0.1", end: "127.0.0.1" }]);
  });

  it("tells a firewall refusal and the address that was seen", async () => {
    await cloud.postgresServers.deleteFirewallRule(GROUP, SERVER, "me");
    await expect(session("postgres")).rejects.toMatchObject({ code: "database/firewall" });
    await cloud.postgresServers.putFirewallRule(GROUP, SERVER, { name: "me", start: "127.0.0.1", end: "127.0.0.1" });
    const open = await session("postgres");
    expect((await open.query("SELECT current_user::text AS me")).rows).toEqual([{ me: login() }]);
    await open.close();
    await expect(session("no such")).rejects.toMatchObject({ code: "database/failed" });
  });

  // trap: postgres 17
  it("creates a role for an identity, finds it, and grants exactly the level", async () => {
    const roles = await openRoles();
    expect(await roles.find(ROLE)).toBeUndefined();
    const made = await roles.create({ role: ROLE, objectId: OBJECT_ID });
    expect(made).toEqual({ role: ROLE, objectId: OBJECT_ID, type: "service", isAdmin: false });
    expect(await roles.create({ role: ROLE, objectId: OBJECT_ID })).toEqual(made);
    const other = "99999999-2222-4333-8444-555555555555";
    await expect(roles.create({ role: ROLE, objectId: other })).rejects.toMatchObject({
      code: "azure/conflict",
    });
    await inDatabase(async (admin) => {
      await admin.query('CREATE TABLE "Old Things" (id serial PRIMARY KEY, name text)');
    });
    for (const level of ["read", "owner", "write", "read", "owner"] as const) {
      expect(accessDifferences(await roles.in(DATABASE).access(ROLE), level), `before ${level}`).not.toEqual([]);
      await roles.in(DATABASE).grant(ROLE, level);
      expect(accessDifferences(await roles.in(DATABASE).access(ROLE), level), `after ${level}`).toEqual([]);
    }
    await roles.in(DATABASE).grant(ROLE, "owner");
    const later = await inDatabase(async (admin) => {
      await admin.query('CREATE TABLE "Later Things" (id serial PRIMARY KEY)');
      return admin.query(`SELECT has_table_privilege($1, '"Later Things"', 'INSERT') AS may`, [ROLE]);
    });
    expect(later.rows).toEqual([{ may: true }]);
  });

  it("gives a role to a recreated identity and keeps what the role owned", async () => {
    const roles = await openRoles();
    await inDatabase(async (admin) => {
      await admin.query(`GRANT "app-role ""1""" TO CURRENT_USER`);
      await admin.query(`SET ROLE "app-role ""1"""`);
      await admin.query("CREATE TABLE owned_by_app (id serial PRIMARY KEY)");
      await admin.query("INSERT INTO owned_by_app DEFAULT VALUES");
      await admin.query("RESET ROLE");
      await admin.query(`REVOKE "app-role ""1""" FROM CURRENT_USER`);
    });
    const objectId = "22222222-2222-4333-8444-555555555555";
    const repaired = await roles.repair({ role: ROLE, objectId }, [DATABASE]);
    expect(repaired).toMatchObject({ role: ROLE, objectId });
    await roles.in(DATABASE).grant(ROLE, "owner");
    const access = await roles.in(DATABASE).access(ROLE);
    expect(accessDifferences(access, "owner")).toEqual([]);
    expect(access.ownedTables).toBe(1);
    const held = await inDatabase((admin) => admin.query("SELECT count(*)::int AS n FROM pg_roles WHERE rolname LIKE '%_held'"));
    expect(held.rows).toEqual([{ n: 0 }]);

    await roles.in(DATABASE).grant(ROLE, "read");
    expect((await roles.in(DATABASE).access(ROLE)).ownedTables).toBe(0);
    await roles.drop(ROLE, [DATABASE]);
    expect(await roles.find(ROLE)).toBeUndefined();
    // Nobody has the rights of the placeholder unasked; an administrator may take them.
    const kept = await inDatabase(async (admin) => {
      await admin.query(`GRANT ${quoteIdentifier(placeholderRole(ROLE))} TO CURRENT_USER`);
      return admin.query("SELECT count(*)::int AS n FROM owned_by_app");
    });
    expect(kept.rows).toEqual([{ n: 1 }]);
  });

  // trap: servicelinker 9
  it("makes a plan and a web app with identity, settings, closed publishing and logs", async () => {
    const plan = await cloud.plans.create(GROUP, "cloud-plan", { location: "eastus", sku: "B1", tags: {} });
    expect(plan).toMatchObject({ sku: "B1", capacity: 1, isLinux: true });
    expect(await cloud.plans.scale(GROUP, "cloud-plan", { capacity: 2 })).toMatchObject({ sku: "B1", capacity: 2, isLinux: true });
    expect(await cloud.sites.at({ group: GROUP, app: "cloud-app" }).get()).toBeUndefined();
    const app = await cloud.sites.at({ group: GROUP, app: "cloud-app" }).create({
      location: "eastus",
      planId: plan.id,
      config: { runtime: "PYTHON|3.12", startup: "python app.py", ftpsState: "Disabled", minTlsVersion: "1.2" },
      settings: { ONE: "1" },
      tags: { t: "1" },
    });
    expect(app).toMatchObject({ name: "cloud-app", httpsOnly: true, state: "Running", tags: { t: "1" } });
    expect(app.principalId).toMatch(/^[0-9a-f-]{36}$/);
    expect(app.scmHost).not.toBe("");
    expect(await cloud.sites.at({ group: GROUP, app: "cloud-app" }).getConfig()).toMatchObject({
      runtime: "PYTHON|3.12",
      startup: "python app.py",
    });
    expect(await cloud.sites.at({ group: GROUP, app: "cloud-app" }).updateConfig({ healthCheckPath: "/healthz" })).toMatchObject({
      healthCheckPath: "/healthz",
    });
    expect(await cloud.sites.at({ group: GROUP, app: "cloud-app" }).getSettings()).toMatchObject({ ONE: "1" });
    await cloud.sites.at({ group: GROUP, app: "cloud-app" }).putSettings({ TWO: "2" });
    expect(await cloud.sites.at({ group: GROUP, app: "cloud-app" }).getSettings()).toEqual({ TWO: "2" });
    await cloud.sites.at({ group: GROUP, app: "cloud-app" }).setPublishingPolicy("scm", false);
    await cloud.sites.at({ group: GROUP, app: "cloud-app" }).setPublishingPolicy("ftp", false);
    expect(await cloud.sites.at({ group: GROUP, app: "cloud-app" }).getPublishingPolicies()).toEqual({ scm: false, ftp: false });
    await cloud.sites.at({ group: GROUP, app: "cloud-app" }).enableFileSystemLogging();
    expect(await cloud.sites.at({ group: GROUP, app: "cloud-app" }).getLogs()).toEqual({ isFileSystemLoggingOn: true });
    expect(await cloud.sites.at({ group: GROUP, app: "cloud-app" }).update({ tags: { t: "2" } })).toMatchObject({
      tags: { t: "2" },
      principalId: app.principalId,
    });
    expect(await cloud.sites.checkName("cloud-app")).toMatchObject({ isFree: false });

    const database = await cloud.postgresServers.getDatabase(GROUP, SERVER, "postgres");
    const linker = await cloud.linkers.put(app.id, "orders", {
      targetId: database?.id ?? "",
      userName: "aad_orders",
      clientType: "python",
    });
    expect(linker).toMatchObject({ userName: "aad_orders", authType: "systemAssignedIdentity", provisioningState: "Succeeded" });
    expect((await cloud.linkers.validate(app.id, "orders")).items.length).toBeGreaterThan(0);
    expect((await cloud.linkers.listConfigurations(app.id, "orders"))[0]?.value).toContain("aad_orders");
    expect(await cloud.linkers.list(app.id)).toHaveLength(1);
    await cloud.linkers.delete(app.id, "orders");
    expect(await cloud.linkers.get(app.id, "orders")).toBeUndefined();

    const scm = cloud.scmSite(app);
    await scm.warmUp();
    expect(await scm.getSettings()).toMatchObject({ TWO: "2" });
    expect(await scm.isDeploying()).toBe(false);
    expect((await cloud.site(app).get("/")).status).toBeLessThan(600);
  });

  it("deploys a package, follows it to its end and sees the app's log live", async () => {
    const plan = await cloud.plans.get(GROUP, "cloud-plan");
    const app = await cloud.sites.at({ group: GROUP, app: "cloud-node" }).create({
      location: "eastus",
      planId: plan?.id ?? "",
      config: { runtime: "NODE|20-lts", startup: "node server.js" },
      settings: {},
      tags: {},
    });
    await cloud.sites.at({ group: GROUP, app: "cloud-node" }).enableFileSystemLogging();
    const scm = cloud.scmSite(app);
    await scm.warmUp();
    const zip = new yazl.ZipFile();
    const code = `require("http").createServer((q, r) => { console.log("seen " + q.url); r.end("it is me"); }).listen(process.env.PORT);`;
    zip.addBuffer(Buffer.from(code), "server.js");
    zip.end();
    const bytes = await buffer(zip.outputStream);
    const { deploymentId } = await scm.zipDeploy({ stream: () => Readable.from([bytes]), size: bytes.length });

    const until = Date.now() + PATIENCE_MS;
    let status = await cloud.sites.at({ group: GROUP, app: "cloud-node" }).deploymentStatus(deploymentId);
    while (!status?.isTerminal && Date.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      status = await cloud.sites.at({ group: GROUP, app: "cloud-node" }).deploymentStatus(deploymentId);
    }
    expect(status).toMatchObject({ status: "RuntimeSuccessful", isOk: true });
    expect(await scm.latest()).toMatchObject({ id: deploymentId, status: "succeeded", isComplete: true });
    expect((await scm.listLog(deploymentId)).length).toBeGreaterThan(2);

    const stop = new AbortController();
    let seen = "";
    for await (const chunk of await scm.openLogStream(AbortSignal.any([stop.signal, AbortSignal.timeout(PATIENCE_MS)]))) {
      // Only once the stream is open: the line must come live.
      if (seen === "") expect(await cloud.site(app).get("/marker-1")).toMatchObject({ status: 200, body: "it is me" });
      seen += Buffer.from(chunk).toString("utf8");
      if (seen.includes("seen /marker-1")) break;
    }
    stop.abort();
    expect(seen).toContain("Welcome, you are now connected to log-streaming service.");
    expect(seen).toContain("seen /marker-1");
  });

  it("deletes the group with everything in it", async () => {
    expect((await cloud.resourceGroups.resources(GROUP)).map(({ type }) => type.toLowerCase())).toContain("microsoft.web/sites");
    await cloud.resourceGroups.delete(GROUP);
    expect(await cloud.resourceGroups.get(GROUP)).toBeUndefined();
    await cloud.resourceGroups.delete(GROUP);
  });
});
