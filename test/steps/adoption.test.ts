import { describe, expect } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { repairBeside, safePart } from "../../src/checks/repair.ts";
import { warningsOf } from "../../src/checks/warnings.ts";
import { apply, describe as describeChange } from "../../src/engine/apply.ts";
import { planRemoval } from "../../src/removal/plan-removal.ts";
import { databasesOf } from "../support/databases.ts";
import { type TestEmulator, fileTest as test } from "../support/emulator.ts";
import { openTestProject, type TestProject } from "../support/project.ts";

const group = "rg-theirs";
const file = {
  resourceGroup: group,
  database: "ledger",
  server: { name: "their-db" },
  apps: { api: { name: "their-api", runtime: "python|3.12" } },
};
const web = "api-version=2024-04-01";
const postgres = "api-version=2025-08-01";

/** What `az`, the portal or Terraform leave: nothing is tagged as ours, names and sizes are theirs. */
async function fillByHand(emulator: TestEmulator, project: TestProject): Promise<void> {
  const { cloud } = project;
  const id = `${emulator.subscription}/resourceGroups/${group}`;
  const put = async (method: string, path: string, body: object): Promise<void> => {
    const answer = await emulator.arm(method, `${id}${path}`, body);
    if (answer.status >= 400) throw new Error(`${path}: ${answer.status} ${answer.text}`);
  };
  await put("PUT", "?api-version=2021-04-01", { location: "westeurope", tags: { team: "ledger" } });
  await put("PUT", `/providers/Microsoft.DBforPostgreSQL/flexibleServers/their-db?${postgres}`, {
    location: "westeurope",
    tags: { team: "ledger" },
    sku: { name: "Standard_D2ds_v5", tier: "GeneralPurpose" },
    properties: {
      createMode: "Create",
      version: "16",
      storage: { storageSizeGB: 64 },
      administratorLogin: "boss",
      administratorLoginPassword: "Tr0ub4dor&3",
      authConfig: { activeDirectoryAuth: "Enabled", passwordAuth: "Enabled", tenantId: emulator.endpoints.tenantId },
      network: { publicNetworkAccess: "Enabled" },
    },
  });
  await expect.poll(async () => (await cloud.postgresServers.get(group, "their-db"))?.state).toBe("Ready");
  await cloud.postgresServers.putFirewallRule(group, "their-db", { name: "office", start: "203.0.113.7", end: "203.0.113.7" });
  await put("PUT", `/providers/Microsoft.Web/serverfarms/their-plan?${web}`, {
    location: "westeurope",
    kind: "linux",
    sku: { name: "P1v3", tier: "PremiumV3", capacity: 2 },
    properties: { reserved: true },
  });
  await put("PUT", `/providers/Microsoft.Web/sites/their-api?${web}`, {
    location: "westeurope",
    kind: "app,linux",
    tags: { team: "ledger" },
    properties: {
      serverFarmId: `${id}/providers/Microsoft.Web/serverfarms/their-plan`,
      siteConfig: { linuxFxVersion: "PYTHON|3.12", appSettings: [{ name: "THEIR_SETTING", value: "stays" }] },
    },
  });
}

describe.sequential("a group that others filled", () => {
  test("the plan says first what would change, and nothing is replaced or made smaller", async ({ emulator }) => {
    const project = await openTestProject(emulator, file);
    await fillByHand(emulator, project);
    const planned = (await project.plan()).steps.filter(({ change }) => change.kind !== "keep");
    const said = Object.fromEntries(planned.map(({ step, change }) => [step.name, `${change.kind} ${describeChange(change)}`]));
    expect(said["flexible server"]).toBe(
      "update passwordAuth: Enabled → Disabled, tag passwordless-pg-shop: (none) → this project works here",
    );
    expect(said["web app api"]).toBe("update identity: None → SystemAssigned, httpsOnly: false → true");
    expect(said["App Service plan api"]).toBeUndefined();
    expect(said["resource group"]).toBeUndefined();
    expect(Object.values(said).filter((words) => words.startsWith("blocked"))).toEqual([]);
    const plan = await project.plan();
    expect(await warningsOf(project, plan)).toEqual([]);
    const sites = project.graph.sites.map((site) => ({ ...site, setup: { ...site.setup, settings: { SHOP_PASSWORD: "tr0ub4dor" } } }));
    const [warning, ...rest] = await warningsOf({ ...project, graph: { ...project.graph, sites } }, plan);
    expect([warning?.detail, rest]).toEqual(["settings of api hold secrets: SHOP_PASSWORD", []]);
    expect(warning?.hint).toMatch(/out of the project file/);
    await project.firewallAccess.revoke();
  });

  test("init takes everything over by name, deletes nothing of theirs, and is done", async ({ emulator }) => {
    const project = await openTestProject(emulator, file);
    project.writes();
    const report = await project.init();
    expect(report.steps.filter(({ outcome }) => outcome === "failed" || outcome === "skipped")).toEqual([]);
    const deleted = project.writes().filter((line) => line.startsWith("DELETE") && !/firewallRules\/passwordless-pg-/.test(line));
    expect(deleted).toEqual([]);
    const { cloud } = project;
    expect(await cloud.postgresServers.get(group, "their-db")).toMatchObject({
      sku: "Standard_D2ds_v5",
      storageGb: 64,
      location: "westeurope",
      passwordAuth: false,
      tags: { team: "ledger" },
    });
    expect((await cloud.postgresServers.listFirewallRules(group, "their-db")).map(({ name }) => name)).toContain("office");
    expect(await cloud.plans.get(group, "their-plan")).toMatchObject({ sku: "P1v3", capacity: 2 });
    expect(await cloud.plans.get(group, "their-api-plan")).toBeUndefined();
    expect(await cloud.sites.at({ group, app: "their-api" }).getSettings()).toMatchObject({ THEIR_SETTING: "stays", DB_NAME: "ledger" });
    expect((await project.plan()).steps.filter(({ change }) => change.kind !== "keep")).toEqual([]);
  });

  test("what makes it unsafe, and who would be locked out, is said and not touched", async ({ emulator }) => {
    const project = await openTestProject(emulator, file);
    const { cloud } = project;
    const server = await cloud.postgresServers.get(group, "their-db");
    await databasesOf(emulator, project).run(
      "postgres",
      "CREATE ROLE legacy LOGIN PASSWORD 'tr0ub4dor'",
      "CREATE ROLE azureuser LOGIN PASSWORD 'tr0ub4dor'",
    );
    const id = `${emulator.subscription}/resourceGroups/${group}/providers`;
    const body = {
      properties: { authConfig: { passwordAuth: "Enabled" }, administratorLogin: "boss", administratorLoginPassword: "Tr0ub4dor&3" },
    };
    const accepted = await emulator.arm("PATCH", `${id}/Microsoft.DBforPostgreSQL/flexibleServers/their-db?${postgres}`, body);
    expect(accepted.status).toBeLessThan(300);
    await expect.poll(async () => (await cloud.postgresServers.get(group, "their-db"))?.passwordAuth).toBe(true);
    await emulator.arm("PUT", `${id}/Microsoft.Web/sites/their-old-app?${web}`, {
      location: "westeurope",
      kind: "app,linux",
      properties: { serverFarmId: `${id}/Microsoft.Web/serverfarms/their-plan` },
    });
    await cloud.sites.at({ group, app: "their-old-app" }).putSettings({ PGHOST: server?.host ?? "", PGPASSWORD: "tr0ub4dor" });
    const settings = (await cloud.sites.at({ group, app: "their-api" }).getSettings()) ?? {};
    await cloud.sites.at({ group, app: "their-api" }).putSettings({ ...settings, OLD_PASSWORD: "tr0ub4dor" });
    await cloud.postgresServers.putFirewallRule(group, "their-db", { name: "all", start: "0.0.0.0", end: "255.255.255.255" });
    const planned = await project.plan();
    const found = await warningsOf(project, planned);
    await project.firewallAccess.revoke();
    expect(found.map(({ name, detail }) => `${name} | ${detail}`)).toEqual([
      "firewall is narrow | the server is open to the internet: all 0.0.0.0-255.255.255.255",
      "api: settings hold no secret | settings of api hold secrets: OLD_PASSWORD",
      "password authentication is off | password authentication is turned off; this ends the logins of web app their-old-app (PGPASSWORD), role azureuser, role boss, role legacy",
    ]);
    expect(JSON.stringify(found)).not.toContain("tr0ub4dor");
    expect(planned.steps.filter(({ change }) => change.kind === "blocked")).toEqual([]);
    // What `doctor --fix` does unasked locks nobody out of a server that is not the project's, and refuses none of its clients.
    await cloud.postgresServers.setParameter(group, "their-db", "require_secure_transport", "off");
    expect(await repairBeside(project.setup, cloud, systemClock)).toEqual([]);
    expect((await cloud.postgresServers.getParameter(group, "their-db", "require_secure_transport"))?.value).toBe("off");
    const fixed = await apply(safePart(planned, project), { clock: systemClock, signal: new AbortController().signal });
    expect(fixed.steps.find(({ name }) => name === "flexible server")).toMatchObject({ outcome: "kept" });
    expect((await cloud.postgresServers.get(group, "their-db"))?.passwordAuth).toBe(true);
    await cloud.postgresServers.setParameter(group, "their-db", "require_secure_transport", "on");
    await cloud.postgresServers.deleteFirewallRule(group, "their-db", "all");
    await cloud.sites.at({ group, app: "their-api" }).putSettings(settings);
    await databasesOf(emulator, project).run("postgres", "DROP ROLE legacy, azureuser");
    await project.init();
  });

  test("what the file names is asked for, never forced: another version is blocked, another size is shown", async ({ emulator }) => {
    const asked = { ...file, server: { name: "their-db", version: "15" } };
    const step = (await (await openTestProject(emulator, asked)).plan()).steps.find(({ step }) => step.name === "flexible server");
    expect(step?.change).toMatchObject({ kind: "blocked", reason: expect.stringContaining("PostgreSQL 16") });
    const larger = { ...file, server: { name: "their-db", sku: "Standard_B1ms" } };
    const shown = (await (await openTestProject(emulator, larger)).plan()).steps.find(({ step }) => step.name === "flexible server");
    expect(shown && describeChange(shown.change)).toBe("sku: Standard_D2ds_v5 → Standard_B1ms");
  });

  test("a stopped server is started, and what is in it is read after that", async ({ emulator }) => {
    const project = await openTestProject(emulator, file);
    await databasesOf(emulator, project).run("ledger", "CREATE TABLE booked (id int)");
    await project.cloud.postgresServers.stop(group, "their-db");
    const report = await project.init();
    expect(
      report.steps.filter(({ outcome }) => outcome !== "kept").map(({ name, outcome, reason }) => `${name} ${outcome} ${reason}`),
    ).toEqual(["flexible server updated state: Stopped → Ready"]);
  });

  const onTwo = (name: string) => ({
    name,
    resourceGroup: "rg-two",
    server: { name: "two-db" },
    apps: { api: { name: `${name}-api`, runtime: "python|3.12" } },
  });

  test("a second project on the server is a guest: its down leaves the server, and the first one's waits for it", async ({ emulator }) => {
    const first = await openTestProject(emulator, onTwo("first"));
    await first.init();
    const second = await openTestProject(emulator, onTwo("second"));
    await second.init();
    const down = async ({ setup, cloud, firewallAccess }: TestProject) => planRemoval(setup, cloud, firewallAccess);
    const { removals } = await down(second);
    expect(removals.map(({ what }) => what)).toEqual([
      "database role second-api",
      "web app second-api",
      "App Service plan second-api-plan",
      "database second",
      "tag passwordless-pg-second",
    ]);
    const waiting = await down(first);
    expect(waiting.removals.map(({ what }) => what)).toEqual([
      "database role first-api",
      "web app first-api",
      "App Service plan first-api-plan",
    ]);
    expect(waiting.kept.join("; ")).toContain("flexible server two-db (also in use by the project second)");
    // A table of somebody else in the second project's database keeps it.
    await databasesOf(emulator, second).run(
      "second",
      "CREATE ROLE stranger",
      "GRANT stranger TO CURRENT_USER",
      "CREATE TABLE theirs (id int)",
    );
    await databasesOf(emulator, second).run("second", "GRANT CREATE ON SCHEMA public TO stranger", "ALTER TABLE theirs OWNER TO stranger");
    expect((await down(second)).kept).toContain("database second of the server two-db (stranger has tables in it)");
    await databasesOf(emulator, second).run("second", "DROP TABLE theirs");
    for (const { remove } of (await down(second)).removals) await remove();
    await second.firewallAccess.revoke();
    expect((await down(second)).removals).toEqual([]);
    expect((await down(first)).removals.map(({ what }) => what)).toEqual(["resource group rg-two"]);
  });

  test("a guest who is administrator through a group takes no administrator away that somebody adds later", async ({ emulator }) => {
    const { directory } = emulator.platform;
    const user = directory.list().find(({ type }) => type === "User");
    const team = directory.list().find(({ type }) => type === "Group");
    if (!user || !team) throw new Error("the directory has no user or group");
    const { cloud } = await openTestProject(emulator, onTwo("first"));
    const { tenantId } = emulator.endpoints;
    const add = (objectId: string, name: string, type: "Group" | "User") =>
      cloud.postgresServers.putAdministrator("rg-two", "two-db", { objectId, name, type, tenantId });
    await add(team.objectId, team.displayName, "Group");
    const third = await openTestProject(emulator, onTwo("third"), { caller: user.objectId });
    await third.init();
    expect((await cloud.postgresServers.get("rg-two", "two-db"))?.tags["passwordless-pg-third"]).toBe("made database=third");
    await add(user.objectId, user.userPrincipalName ?? "", "User");
    const { removals } = await planRemoval(third.setup, third.cloud, third.firewallAccess);
    await third.firewallAccess.revoke();
    expect(removals.map(({ what }) => what).slice(-2)).toEqual(["database third", "tag passwordless-pg-third"]);
  });

  test("down leaves the server as it was before the project came", async ({ emulator }) => {
    const { setup, cloud, firewallAccess } = await openTestProject(emulator, file);
    const server = async () => cloud.postgresServers.get(group, "their-db");
    expect((await server())?.tags).toEqual({
      team: "ledger",
      "passwordless-pg-shop": `made administrator=${cloud.caller.objectId} rule=azure-services database=ledger`,
    });
    const { removals, kept } = await planRemoval(setup, cloud, firewallAccess);
    expect(removals.map(({ what }) => what)).toEqual([
      "database ledger",
      "firewall rule azure-services",
      `administrator ${cloud.caller.name}`,
      "tag passwordless-pg-shop",
    ]);
    expect(kept).toContain("database role their-api (this project did not create the web app)");
    for (const { remove } of removals) await remove();
    await firewallAccess.revoke();
    expect((await server())?.tags).toEqual({ team: "ledger" });
    expect(await cloud.postgresServers.getDatabase(group, "their-db", "ledger")).toBeUndefined();
    expect(await cloud.postgresServers.listAdministrators(group, "their-db")).toEqual([]);
    expect((await cloud.postgresServers.listFirewallRules(group, "their-db")).map(({ name }) => name)).toEqual(["office"]);
    expect((await planRemoval(setup, cloud, firewallAccess)).removals).toEqual([]);
  });
});
