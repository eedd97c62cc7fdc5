import { readdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectSql } from "../../src/cloud/database/sql.ts";
import { audiences } from "../../src/emulator/platform.ts";
import { verify } from "../../src/graph/project-checks.ts";
import { planRemoval } from "../../src/removal/plan-removal.ts";
import { openTestCloud, withoutFirewall } from "../support/cloud.ts";
import { databasesOf } from "../support/databases.ts";
import { startTestEmulator, type TestEmulator } from "../support/emulator.ts";
import { leapingClock } from "../support/leaping-clock.ts";
import { openTestProject, type TestProject } from "../support/project.ts";

// Traps of real Azure (`traps.md`) in the client's own steps, over local Azure: one project on a Free plan.

let emulator: TestEmulator;
let release: () => Promise<void>;
let project: TestProject;

beforeAll(async () => {
  ({ emulator, release } = await startTestEmulator());
  project = await openTestProject(emulator, { apps: { api: { runtime: "python|3.12", plan: "F1" } } });
  const { steps } = await project.init();
  expect(steps.filter(({ outcome }) => outcome === "failed" || outcome === "skipped")).toEqual([]);
});
afterAll(() => release?.());

const app = () => {
  const [first] = project.setup.sites;
  if (!first) throw new Error("the project has no app");
  return first;
};

async function server() {
  const found = await project.cloud.postgresServers.get(project.setup.resourceGroup, project.setup.server.name);
  if (!found) throw new Error("the project has no server");
  return found;
}

/** The roles of the server as a client sees them whose clock leaps: its pauses are over at once. */
async function leapingRoles() {
  const clock = leapingClock();
  const cloud = await openTestCloud(emulator, { clock });
  return { clock, roles: cloud.databases(withoutFirewall).at(await server(), cloud.caller.name) };
}

/** What only Azure itself can do: over the server's own socket. */
async function asAzure(...statements: readonly string[]): Promise<void> {
  const servers = join(emulator.homeFolder, "postgres", "servers");
  const [folder = ""] = readdirSync(servers);
  const client = new pg.Client({ host: join(servers, folder, "run"), user: "azuresu", database: "postgres" });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

describe("web app", () => {
  // trap: appservice 13
  test("Always On is not asked for on a Free plan", async () => {
    expect(await project.cloud.sites.at({ group: project.setup.resourceGroup, app: app().address.app }).getConfig()).toMatchObject({
      alwaysOn: false,
    });
  });

  // trap: kudu 13
  test("a stopped web app is started before anything is deployed to it", async () => {
    const { sites } = project.cloud;
    const group = project.setup.resourceGroup;
    await sites.at({ group, app: app().address.app }).stop();
    const changed = (await project.plan()).steps.filter(({ change }) => change.kind !== "keep");
    expect(changed).toMatchObject([
      { change: { kind: "update", differences: [{ field: "state", observed: "Stopped", desired: "Running" }] } },
    ]);
    await project.init();
    expect(await sites.at({ group, app: app().address.app }).get()).toMatchObject({ state: "Running" });
  });

  // trap: appservice 2, servicelinker 10, passwordless-flow 11
  test("a repaired setting leaves alone what Service Connector and others wrote", async () => {
    const { sites } = project.cloud;
    const group = project.setup.resourceGroup;
    const { DB_HOST: _gone, ...rest } = (await sites.at({ group, app: app().address.app }).getSettings()) ?? {};
    await sites.at({ group, app: app().address.app }).putSettings({ ...rest, FOREIGN: "stays" });
    await project.init();
    expect(await sites.at({ group, app: app().address.app }).getSettings()).toMatchObject({
      FOREIGN: "stays",
      DB_HOST: (await server()).host,
      AZURE_POSTGRESQL_CONNECTIONSTRING: expect.stringContaining(`user=${app().role}`),
    });
  });
});

describe("proof", () => {
  // trap: kudu 11, appservice 12
  test("App Service's placeholder page answers 200 and is still no proof of the app", async () => {
    const { cloud, firewallAccess, setup } = project;
    const site = await cloud.sites.at({ group: setup.resourceGroup, app: app().address.app }).get();
    expect(site && (await cloud.site(site).get("/")).status).toBe(200);
    const clock = leapingClock();
    const checks = await verify({ setup, cloud, firewallAccess, clock, signal: new AbortController().signal, marker: "trap" });
    await firewallAccess.revoke();
    expect(checks.find(({ name }) => name === "api: code is there")).toMatchObject({
      ok: false,
      detail: expect.stringContaining("placeholder"),
    });
  });
});

describe("roles", () => {
  // trap: postgres 16
  test("two identities of one name are no trouble: roles are made by object ID", async () => {
    const { directory } = emulator.platform;
    const [one, two] = ["one", "two"].map((id) => directory.createManagedIdentity(`/subscriptions/x/sites/${id}`, "twin"));
    const roles = project.databases.at(await server(), project.cloud.caller.name);
    const made = await roles.create({ role: "twin", objectId: two?.objectId ?? "" });
    expect(made).toMatchObject({ role: "twin", objectId: two?.objectId });
    expect(made.objectId).not.toBe(one?.objectId);
  });

  // trap: postgres 18, appservice 8
  test("an identity that Entra does not know yet is asked for again, with pauses", async () => {
    const identity = emulator.platform.directory.createManagedIdentity("/subscriptions/x/sites/late", "late");
    const signature = "text, text, text, boolean, boolean";
    await asAzure(
      "CREATE SEQUENCE tries",
      "GRANT USAGE ON SEQUENCE tries TO PUBLIC",
      `ALTER FUNCTION pgaadauth_create_principal_with_oid(${signature}) RENAME TO real_create`,
      `CREATE FUNCTION pg_catalog.pgaadauth_create_principal_with_oid(r text, o text, t text, a boolean, m boolean) RETURNS text LANGUAGE plpgsql AS $$
       BEGIN
         IF nextval('public.tries') <= 2 THEN RAISE EXCEPTION 'Could not validate AAD user % because its name is not found in the tenant.', o; END IF;
         RETURN real_create(r, o, t, a, m);
       END $$`,
    );
    try {
      const { roles, clock } = await leapingRoles();
      const made = await roles.create({ role: "late", objectId: identity.objectId });
      expect(made).toMatchObject({ role: "late", objectId: identity.objectId });
      expect(clock.slept).toEqual([5_000, 10_000]);
    } finally {
      await asAzure(
        `DROP FUNCTION pgaadauth_create_principal_with_oid(${signature})`,
        `ALTER FUNCTION real_create(${signature}) RENAME TO pgaadauth_create_principal_with_oid`,
      );
    }
  });

  // trap: postgres 20
  test("the list of principals is read whatever its first column is called", async () => {
    const roles = project.databases.at(await server(), project.cloud.caller.name);
    const before = await roles.find(app().role);
    await asAzure(
      "ALTER FUNCTION pgaadauth_list_principals(boolean) RENAME TO real_list",
      `CREATE FUNCTION pg_catalog.pgaadauth_list_principals(a boolean)
       RETURNS TABLE (rolename text, principal_type text, object_id text, tenant_id text, is_mfa int, is_admin int)
       LANGUAGE sql AS 'SELECT * FROM real_list(a)'`,
    );
    try {
      expect(before).toMatchObject({ role: app().role, type: "service" });
      expect(await roles.find(app().role)).toEqual(before);
    } finally {
      await asAzure(
        "DROP FUNCTION pgaadauth_list_principals(boolean)",
        "ALTER FUNCTION real_list(boolean) RENAME TO pgaadauth_list_principals",
      );
    }
  });
});

describe("firewall and diagnoses", () => {
  // trap: postgres 21, passwordless-flow 8
  test("an opening that acts late is waited for, named for this tool, of one address, and given back", async () => {
    const { cloud, databases, firewallAccess, setup } = project;
    await cloud.postgresServers.deleteFirewallRule(setup.resourceGroup, setup.server.name, "azure-services");
    const refusal = 'no pg_hba.conf entry for host "127.0.0.1", user "u", database "d", SSL encryption';
    // Three refusals: the first for want of a rule, two although the rule is there.
    const fault = emulator.faults.add({
      host: "postgres:*",
      method: "LOGIN",
      times: 3,
      action: { kind: "sql-error", sqlState: "28000", message: refusal },
    });
    try {
      const at = await server();
      const found = await databases.at(at, cloud.caller.name).find(app().role);
      expect(found).toMatchObject({ role: app().role });
      const rules = await cloud.postgresServers.listFirewallRules(setup.resourceGroup, at.name);
      expect(rules).toEqual([
        { name: expect.stringMatching(/^passwordless-pg-[0-9a-f]{8}-\w+-[0-9a-f]{6}$/), start: "127.0.0.1", end: "127.0.0.1" },
      ]);
    } finally {
      await firewallAccess.revoke();
      emulator.faults.remove(fault);
    }
    expect(await cloud.postgresServers.listFirewallRules(setup.resourceGroup, setup.server.name)).toEqual([]);
    await project.init();
  });

  // trap: passwordless-flow 7
  test("name, port, TLS, firewall, token and role are different diagnoses", async () => {
    const { host, port } = await server();
    const { caller, environment } = project.cloud;
    const right = {
      host,
      port,
      database: "postgres",
      user: caller.name,
      token: () => emulator.tokenFor(emulator.clientId, audiences.postgres[0]),
      environment,
      signal: new AbortController().signal,
    };
    const diagnosis = async (more: Partial<typeof right>): Promise<{ code: string; hint?: string }> => {
      try {
        await (await connectSql({ ...right, ...more })).close();
      } catch (error) {
        return error as { code: string; hint?: string };
      }
      throw new Error("not refused");
    };
    const closed = await freePort();
    const { caPem: _trusted, ...untrusting } = environment;
    expect(await diagnosis({ host: "no-such-server.invalid" })).toMatchObject({
      code: "database/unreachable",
      hint: expect.stringMatching(/name/),
    });
    expect(await diagnosis({ host: "127.0.0.1", port: closed })).toMatchObject({
      code: "database/unreachable",
      hint: expect.stringMatching(/listens/),
    });
    expect(await diagnosis({ environment: untrusting })).toMatchObject({
      code: "database/unreachable",
      hint: expect.stringMatching(/certificate/),
    });
    expect(await diagnosis({ token: async () => "no-token" })).toMatchObject({
      code: "database/login-refused",
      hint: expect.stringMatching(/token/),
    });
    expect(await diagnosis({ user: "nobody" })).toMatchObject({ code: "database/login-refused", hint: expect.stringMatching(/role/) });
    expect(await diagnosis({ database: "nowhere" })).toMatchObject({ code: "database/failed", hint: expect.stringMatching(/init/) });
  });
});

describe("service connection", () => {
  // trap: servicelinker 8
  test("a connection is called available although its user cannot sign in; only the database tells", async () => {
    const { cloud, setup } = project;
    const site = await cloud.sites.at({ group: setup.resourceGroup, app: app().address.app }).get();
    const database = await cloud.postgresServers.getDatabase(setup.resourceGroup, setup.server.name, setup.database);
    if (!site?.principalId || !database) throw new Error("no site or database");
    await cloud.linkers.put(site.id, "phantom", { targetId: database.id, userName: "phantom", clientType: "python" });
    expect((await cloud.linkers.validate(site.id, "phantom")).isAvailable).toBe(true);
    const login = { role: "phantom", principal: site.principalId, database: setup.database };
    await expect(databasesOf(emulator, project).as(login, async () => {})).rejects.toMatchObject({ code: "database/login-refused" });
    await cloud.linkers.delete(site.id, "phantom");
  });
});

describe("plans and removal", () => {
  // trap: passwordless-flow 10
  test("a server that is closed to the public is blocked with a hint, not opened", async () => {
    const at = await server();
    const set = async (publicNetworkAccess: string) => {
      const accepted = await emulator.arm("PATCH", `${at.id}?api-version=2025-08-01`, { properties: { network: { publicNetworkAccess } } });
      await emulator.until(accepted.headers.get("azure-asyncoperation") ?? "", ({ body }) => body.status !== "InProgress");
    };
    await set("Disabled");
    const planned = (await project.plan()).steps.find(({ step }) => step.name === "flexible server");
    expect(planned?.change).toMatchObject({ kind: "blocked", hint: expect.stringContaining("public access") });
    await set("Enabled");
  });

  // trap: passwordless-flow 12
  test("down takes only what carries the project's tag, the server after the app, and the group only when nothing foreign is in it", async () => {
    const { cloud, firewallAccess, setup } = project;
    const whole = await planRemoval(setup, cloud, firewallAccess);
    expect(whole.removals.map(({ what }) => what)).toEqual([`resource group ${setup.resourceGroup}`]);
    await cloud.plans.create(setup.resourceGroup, "foreign-plan", { location: "eastus", sku: "B1", tags: {} });
    const { removals, kept } = await planRemoval(setup, cloud, firewallAccess);
    expect(removals.map(({ what }) => what)).toEqual([
      `web app ${app().address.app}`,
      `App Service plan ${app().plan}`,
      `flexible server ${setup.server.name}`,
    ]);
    expect(kept.join("; ")).toMatch(/foreign-plan.*resource group/);
  });
});

/** A port of loopback that nothing listens to. */
async function freePort(): Promise<number> {
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const address = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  return typeof address === "object" && address ? address.port : 0;
}
