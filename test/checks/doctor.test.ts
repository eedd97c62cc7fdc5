import { createServer } from "node:net";
import { describe, expect } from "vitest";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { resourceId } from "../../src/base/resource-id.ts";
import { checksOf } from "../../src/checks/all.ts";
import type { CheckResult as Check } from "../../src/checks/check.ts";
import { doctor } from "../../src/checks/doctor.ts";
import { gatherFacts } from "../../src/checks/facts.ts";
import { repairBeside, safePart } from "../../src/checks/repair.ts";
import type { Connectivity } from "../../src/cloud/connectivity.ts";
import { probeConnectivity } from "../../src/cloud/connectivity.ts";
import { apply } from "../../src/engine/apply.ts";
import { plan } from "../../src/engine/plan.ts";

const orphansName = "no web app is left over";

import { stepsNamed } from "../../src/steps/all.ts";
import { databasesOf } from "../support/databases.ts";
import { startTestEmulator, type TestEmulator, fileTest as test } from "../support/emulator.ts";
import { openTestProject, type TestProject } from "../support/project.ts";
import { zipOf } from "../support/sites.ts";

const file = {
  location: "eastus",
  server: { sku: "Standard_B1ms", version: "16", storageGb: 32 },
  apps: { api: { runtime: "python|3.12", plan: "B1", startup: "python -m http.server $PORT", settings: { GREETING: "hello" } } },
};
const role = "shop-api-t3st";
const postgresAudience = "https://ossrdbms-aad.database.windows.net";
const aUser = async ({ platform }: TestEmulator): Promise<string> =>
  platform.directory.list().find(({ type }) => type === "User")?.objectId ?? "";
const never = new AbortController().signal;

/** Nothing is deployed in this file, so these two are always found. */
const always = ["api: code is there", "api: deployed package is that of the folder"];

let shared: Promise<TestProject> | undefined;

async function examine({ cloud, setup, firewallAccess }: TestProject, more: { readonly areRestarting?: boolean } = {}): Promise<Check[]> {
  try {
    return await doctor({
      cloud,
      setup,
      firewallAccess,
      clock: systemClock,
      signal: never,
      packageHash: async () => "0".repeat(64),
      ...more,
    });
  } finally {
    await firewallAccess.revoke();
  }
}

/** Every condition that a test of this file has made and doctor has found. */
const made = new Set<string>();

const wrong = (checks: readonly Check[]): string[] => {
  for (const { name, ok } of checks) if (!ok) made.add(name);
  return namesOf(checks);
};

const namesOf = (checks: readonly Check[]): string[] =>
  checks
    .filter(({ ok, name }) => !ok && !always.includes(name))
    .map(({ name }) => name)
    .sort();

/** What `doctor --fix` does. */
async function fix(project: TestProject): Promise<void> {
  const beside = await repairBeside(project.setup, project.cloud, systemClock);
  expect(beside.filter(({ outcome }) => outcome === "failed")).toEqual([]);
  const report = await apply(safePart(await project.plan(), project.setup), { clock: systemClock, signal: never });
  await project.firewallAccess.revoke();
  expect(report.steps.filter(({ outcome }) => outcome === "failed").map(({ name, reason }) => `${name}: ${reason}`)).toEqual([]);
}

interface Spoilt {
  readonly project: TestProject;
  readonly emulator: TestEmulator;
  readonly group: string;
  readonly server: string;
  /** ARM, below the group's `providers`. */
  arm(method: string, path: string, body?: object): Promise<unknown>;
  sql(...statements: readonly string[]): Promise<void>;
}

function toolsFor(project: TestProject, emulator: TestEmulator): Spoilt {
  const group = project.setup.resourceGroup;
  return {
    project,
    emulator,
    group,
    server: project.setup.server.name,
    arm: async (method, path, body) => {
      const answer = await emulator.arm(method, `${emulator.subscription}/resourceGroups/${group}/providers/${path}`, body);
      if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
      return answer.body;
    },
    sql: (...statements) => databasesOf(emulator, project).run(project.setup.database, ...statements),
  };
}

/** What a role made by hand lacks. */
const noRights = [
  "api: later tables serve the role",
  "api: role may connect to the database",
  "api: role may use schema public",
  "api: sequence rights are complete",
  "api: table rights are complete",
];

const site = `Microsoft.Web/sites/${role}`;
const web = "api-version=2024-04-01";

async function setTenant(
  tenantId: string,
  { arm, server, cloud, group }: Pick<Spoilt, "arm" | "server" | "group"> & Pick<TestProject, "cloud">,
) {
  await arm("PATCH", `Microsoft.DBforPostgreSQL/flexibleServers/${server}?api-version=2025-08-01`, {
    properties: { authConfig: { tenantId } },
  });
  const isSet = async () => {
    const at = await cloud.postgresServers.get(group, server);
    return at?.state === "Ready" && at.tenantId === tenantId;
  };
  await expect.poll(isSet).toBe(true);
}

/** One batch: made by hand, found by name (and nothing else is), repaired by `--fix` or by the hand named, and then well. */
const batches: readonly {
  readonly what: string;
  spoil(tools: Spoilt): Promise<unknown>;
  readonly found: readonly string[];
  /** What `--fix` must not touch, and how a person repairs it. */
  readonly byHand?: readonly string[];
  mend?(tools: Spoilt): Promise<unknown>;
}[] = [
  {
    what: "web app and its configuration",
    spoil: async ({ project: { cloud }, group, arm }) => {
      await cloud.webApps.updateConfig(group, role, {
        startup: "",
        ftpsState: "AllAllowed",
        minTlsVersion: "1.0",
        healthCheckPath: "/gone",
        runtime: "PYTHON|3.11",
      });
      await cloud.webApps.setPublishingPolicy(group, role, "scm", true);
      await cloud.webApps.setPublishingPolicy(group, role, "ftp", true);
      await cloud.webApps.update(group, role, { httpsOnly: false });
      await arm("PUT", `${site}/config/logs?${web}`, { properties: { httpLogs: { fileSystem: { enabled: false } } } });
      await cloud.webApps.stop(group, role);
    },
    found: [
      "api: FTP is off",
      "api: HTTPS only",
      "api: TLS is 1.2 or newer",
      "api: basic publishing credentials of FTP are off",
      "api: basic publishing credentials of SCM are off",
      "api: health check path is set",
      "api: logs are kept",
      "api: runtime is that of the project file",
      "api: start command is set",
      "api: web app runs",
    ],
  },
  {
    what: "settings",
    spoil: async ({ project: { cloud }, group }) =>
      cloud.webApps.putSettings(group, role, {
        DB_HOST: "elsewhere.example",
        DB_PORT: "6432",
        DB_NAME: "postgres",
        DB_USER: "somebody",
        AZURE_POSTGRESQL_CONNECTIONSTRING: "dbname=old host=old user=old",
        AZURE_CLIENT_ID: "11111111-2222-4333-8444-555555555555",
        SHOP_PASSWORD: "tr0ub4dor",
        WEB_CONCURRENCY: "9",
      }),
    found: [
      "api: own settings are as the file says",
      "api: setting AZURE_CLIENT_ID chooses no other identity",
      "api: setting DB_HOST is right",
      "api: setting DB_NAME is right",
      "api: setting DB_PORT is right",
      "api: setting DB_USER is right",
      "api: settings AZURE_POSTGRESQL_* are current",
      "api: settings hold no secret",
      "connections suffice for the apps",
    ],
    byHand: ["api: setting AZURE_CLIENT_ID chooses no other identity", "api: settings hold no secret", "connections suffice for the apps"],
    mend: async ({ project: { cloud }, group }) => {
      const { AZURE_CLIENT_ID: _a, SHOP_PASSWORD: _b, WEB_CONCURRENCY: _c, ...rest } = (await cloud.webApps.getSettings(group, role)) ?? {};
      await cloud.webApps.putSettings(group, role, rest);
    },
  },
  {
    what: "service connection",
    spoil: async ({ project: { cloud, setup }, group, server }) => {
      const web = await cloud.webApps.get(group, role);
      const database = await cloud.postgresServers.createDatabase(group, server, "second");
      for (const name of [setup.apps[0]?.linker ?? "", "made_by_az"]) {
        await cloud.linkers.put(web?.id ?? "", name, { targetId: database.id, userName: "aad_made_by_az", clientType: "python" });
      }
    },
    found: [
      "api: no other service connection writes the same settings",
      "api: service connection signs in as the role",
      "api: service connection points at the database",
      "api: settings AZURE_POSTGRESQL_* are current",
    ],
    byHand: ["api: no other service connection writes the same settings"],
    mend: async ({ project: { cloud }, group }) => cloud.linkers.delete((await cloud.webApps.get(group, role))?.id ?? "", "made_by_az"),
  },
  {
    what: "service connection with a password",
    spoil: async ({ project: { cloud, setup }, emulator, group, server }) => {
      const id = `${(await cloud.webApps.get(group, role))?.id}/providers/Microsoft.ServiceLinker/linkers/${setup.apps[0]?.linker}`;
      const database = await cloud.postgresServers.getDatabase(group, server, "shop");
      const answer = await emulator.arm("PUT", `${id}?api-version=2024-04-01`, {
        properties: {
          targetService: { type: "AzureResource", id: database?.id },
          authInfo: { authType: "secret", name: role, secretInfo: { secretType: "rawValue", value: "Tr0ub4dor&3" } },
          clientType: "python",
        },
      });
      if (answer.status >= 400) throw new Error(answer.text);
      const isDone = ({ body }: { body: { properties?: { provisioningState?: string } } }) =>
        body.properties?.provisioningState === "Succeeded";
      await emulator.until(`${id}?api-version=2024-04-01`, isDone);
    },
    found: [
      "api: service connection signs in as the role",
      "api: service connection uses the identity",
      "api: settings AZURE_POSTGRESQL_* are current",
      "api: settings hold no secret",
    ],
  },
  {
    what: "service connection removed, firewall shut, openings left behind",
    spoil: async ({ project: { cloud, setup }, group, server }) => {
      await cloud.linkers.delete((await cloud.webApps.get(group, role))?.id ?? "", setup.apps[0]?.linker ?? "");
      await cloud.postgresServers.deleteFirewallRule(group, server, "azure-services");
      const rule = (name: string, start: string, end: string) => cloud.postgresServers.putFirewallRule(group, server, { name, start, end });
      await rule("passwordless-pg-00000000-1", "203.0.113.7", "203.0.113.7");
      await rule("everybody", "1.0.0.0", "255.255.255.255");
    },
    found: [
      "api: service connection exists",
      "api: settings AZURE_POSTGRESQL_* are current",
      "firewall is narrow",
      "firewall lets the apps in",
      "no firewall opening is left",
    ],
    byHand: ["firewall is narrow"],
    mend: ({ project: { cloud }, group, server }) => cloud.postgresServers.deleteFirewallRule(group, server, "everybody"),
  },
  {
    what: "rights of the role",
    spoil: async ({ sql }) => {
      await sql(
        "CREATE TABLE things (id serial PRIMARY KEY)",
        `REVOKE ALL ON things FROM "${role}"`,
        `REVOKE ALL ON SEQUENCE things_id_seq FROM "${role}"`,
        `REVOKE ALL ON SCHEMA public FROM "${role}"`,
        `ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM "${role}"`,
        `GRANT CREATE ON DATABASE shop TO "${role}"`,
        `ALTER ROLE "${role}" CREATEROLE`,
        `GRANT pg_monitor TO "${role}"`,
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "GRANT UPDATE ON things TO PUBLIC",
        "CREATE FUNCTION lent_power() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "REVOKE CONNECT, TEMPORARY ON DATABASE shop FROM PUBLIC",
        `REVOKE CONNECT ON DATABASE shop FROM "${role}"`,
      );
    },
    found: [
      'api: role may do no more than "owner"',
      "api: later tables serve the role",
      "api: nobody else may change the tables",
      "api: role calls nothing with an administrator's rights",
      "api: role holds no administrative right",
      "api: role is a member of no role",
      "api: role may connect to the database",
      "api: sequence rights are complete",
      "api: table rights are complete",
      "only roles with the right create in schema public",
    ],
    byHand: [
      "api: nobody else may change the tables",
      "api: role calls nothing with an administrator's rights",
      "only roles with the right create in schema public",
    ],
    mend: ({ sql }) =>
      sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC", "REVOKE UPDATE ON things FROM PUBLIC", "DROP FUNCTION lent_power()"),
  },
  {
    what: "settings that new sessions start with, a role that may not sign in",
    spoil: ({ sql }) =>
      sql(
        `ALTER ROLE "${role}" SET search_path = nowhere`,
        `ALTER ROLE "${role}" IN DATABASE shop SET default_transaction_read_only = on`,
        `ALTER ROLE "${role}" IN DATABASE shop SET role = 'azure_pg_admin'`,
        `ALTER ROLE "${role}" NOLOGIN`,
      ),
    found: ["api: role may sign in", "api: role starts with no misleading setting"],
  },
  {
    what: "settings that new sessions of the database start with",
    spoil: ({ sql }) => sql("ALTER DATABASE shop SET search_path = nowhere", "ALTER DATABASE shop SET default_transaction_read_only = on"),
    found: ["database starts with no misleading setting"],
    byHand: ["database starts with no misleading setting"],
    mend: ({ sql }) => sql("SET default_transaction_read_only = off", "ALTER DATABASE shop RESET ALL"),
  },
  {
    what: "schema public closed, things owned elsewhere, a second role of the identity",
    spoil: async ({ sql, project, emulator, group }) => {
      const identity = (await project.cloud.webApps.get(group, role))?.principalId;
      await sql(
        `REVOKE ALL ON SCHEMA public FROM "${role}"`,
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "CREATE SCHEMA side",
        `GRANT CREATE, USAGE ON SCHEMA side TO "${role}"`,
      );
      const databases = databasesOf(emulator, project);
      const login = { role, principal: identity ?? "", database: "shop" };
      await databases.as(login, (session) => session.query("CREATE TABLE side.mine (id int)"));
      await databases.run("postgres", `SELECT pgaadauth_create_principal_with_oid('aad_other', '${identity}', 'service', false, false)`);
      await sql("CREATE TABLE strange (id int)", "GRANT CREATE ON SCHEMA public TO aad_other", "GRANT aad_other TO CURRENT_USER");
      await sql("ALTER TABLE strange OWNER TO aad_other");
    },
    found: [
      "api: identity has one role",
      "api: later tables serve the role",
      "api: role may use schema public",
      "api: role owns nothing beyond schema public",
      "api: role was granted nothing beyond its level",
      "api: tables belong to the role or the administrator",
    ],
    byHand: [
      "api: identity has one role",
      "api: role owns nothing beyond schema public",
      "api: role was granted nothing beyond its level",
      "api: tables belong to the role or the administrator",
    ],
    mend: async ({ sql }) => {
      await sql(`GRANT "${role}" TO CURRENT_USER`, "DROP SCHEMA side CASCADE", `REVOKE "${role}" FROM CURRENT_USER`);
      await sql("DROP OWNED BY aad_other", "DROP ROLE aad_other");
    },
  },
  {
    what: "the web app made anew, without its identity at first",
    spoil: async ({ project: { cloud, setup }, group, arm }) => {
      const old = await cloud.webApps.get(group, role);
      await cloud.webApps.delete(group, role);
      await arm("PUT", `${site}?${web}`, {
        location: setup.location,
        kind: "app,linux",
        properties: { serverFarmId: old?.planId, httpsOnly: true, siteConfig: { linuxFxVersion: "PYTHON|3.12" } },
      });
    },
    found: [
      "api: FTP is off",
      "api: basic publishing credentials of FTP are off",
      "api: basic publishing credentials of SCM are off",
      "api: logs are kept",
      "api: managed identity is on",
      "api: own settings are as the file says",
      "api: role is labelled with the identity",
      "api: service connection exists",
      "api: setting DB_HOST is right",
      "api: setting DB_NAME is right",
      "api: setting DB_PORT is right",
      "api: setting DB_USER is right",
      "api: settings AZURE_POSTGRESQL_* are current",
      "api: start command is set",
    ],
  },
  {
    what: "a role of the wrong type",
    spoil: async ({ project, emulator, group, server }) => {
      const { cloud } = project;
      const at = await cloud.postgresServers.get(group, server);
      if (at) await cloud.principals.drop(at, cloud.caller.name, { role, databases: ["shop"] });
      const identity = (await cloud.webApps.get(group, role))?.principalId;
      await databasesOf(emulator, project).run(
        "postgres",
        `SELECT pgaadauth_create_principal_with_oid('${role}', '${identity}', 'user', false, false)`,
      );
    },
    found: ["api: role is labelled with the identity", ...noRights],
  },
  {
    what: "no role at all",
    spoil: async ({ project: { cloud }, group, server }) => {
      const at = await cloud.postgresServers.get(group, server);
      if (at) await cloud.principals.drop(at, cloud.caller.name, { role, databases: ["shop"] });
    },
    found: ["api: role exists"],
  },
  {
    what: "a role with a password",
    spoil: async ({ project: { cloud }, sql, group, server }) => {
      const at = await cloud.postgresServers.get(group, server);
      if (at) await cloud.principals.drop(at, cloud.caller.name, { role, databases: ["shop"] });
      await sql(`CREATE ROLE "${role}" LOGIN PASSWORD 'tr0ub4dor'`);
    },
    found: ["api: role is labelled with the identity", ...noRights],
    byHand: ["api: role is labelled with the identity", ...noRights],
    mend: async ({ sql, project }) => {
      await sql(`DROP ROLE "${role}"`);
      await project.init();
    },
  },
  {
    what: "the identity as administrator",
    spoil: async ({ project: { cloud }, group, server, emulator }) => {
      const objectId = (await cloud.webApps.get(group, role))?.principalId ?? "";
      await cloud.postgresServers.putAdministrator(group, server, {
        objectId,
        name: "the-app-itself",
        type: "ServicePrincipal",
        tenantId: emulator.endpoints.tenantId,
      });
    },
    found: ["api: identity has one role", "api: role is no administrator"],
    byHand: ["api: identity has one role", "api: role is no administrator"],
    mend: async ({ project: { cloud }, group, server }) =>
      cloud.postgresServers.deleteAdministrator(group, server, (await cloud.webApps.get(group, role))?.principalId ?? ""),
  },
  {
    what: "server in clear text and with passwords",
    spoil: async ({ arm, server, project: { cloud }, group }) => {
      await arm("PATCH", `Microsoft.DBforPostgreSQL/flexibleServers/${server}?api-version=2025-08-01`, {
        properties: { authConfig: { passwordAuth: "Enabled" }, administratorLogin: "boss", administratorLoginPassword: "Tr0ub4dor&3" },
      });
      await expect.poll(async () => (await cloud.postgresServers.get(group, server))?.passwordAuth).toBe(true);
      await cloud.postgresServers.setParameter(group, server, "require_secure_transport", "off");
    },
    found: ["TLS is required", "password authentication is off"],
  },
  {
    what: "an app that the file no longer names",
    spoil: async ({ emulator }) => {
      const before = await openTestProject(emulator, { ...file, apps: { api: { ...file.apps.api, name: "shop-old" } } });
      await before.init();
    },
    found: [orphansName],
    byHand: [orphansName],
    mend: async ({ project, arm, sql }) => {
      const { detail, hint = "" } = (await examine(project)).find(({ name }) => name === orphansName) ?? { detail: "" };
      expect(detail).toMatch(/web app shop-old \(App Service plan shop-old-plan\) .* role shop-old may still sign in/);
      expect(hint).toContain("`az webapp delete -g rg-shop -n shop-old`");
      await arm("DELETE", `Microsoft.Web/sites/shop-old?${web}`);
      await sql(...(hint.split("connect`: ")[1] ?? "").split(/(?<=;) ?/).filter((statement) => statement !== ""));
    },
  },
  {
    what: "server stopped",
    spoil: ({ project: { cloud }, group, server }) => cloud.postgresServers.stop(group, server),
    found: ["server is ready"],
  },
  {
    what: "database gone",
    spoil: ({ project: { cloud }, group, server }) => cloud.postgresServers.deleteDatabase(group, server, "shop"),
    found: ["database exists"],
  },
  {
    what: "plan of another tier, server of another size",
    spoil: async ({ project: { cloud }, group, server }) => {
      await cloud.webApps.updateConfig(group, role, { alwaysOn: false });
      await cloud.webApps.scalePlan(group, `${role}-plan`, { sku: "F1" });
      await cloud.postgresServers.update(group, server, { sku: "Standard_D2ds_v5", tier: "GeneralPurpose" });
    },
    found: ["api: plan keeps the app awake", "server is as the project file says"],
    byHand: ["api: plan keeps the app awake", "server is as the project file says"],
    mend: ({ project }) => project.init(),
  },
  {
    what: "server of another size that takes passwords",
    spoil: async ({ arm, server, project: { cloud }, group }) => {
      await cloud.postgresServers.update(group, server, { sku: "Standard_D2ds_v5", tier: "GeneralPurpose" });
      await arm("PATCH", `Microsoft.DBforPostgreSQL/flexibleServers/${server}?api-version=2025-08-01`, {
        properties: { authConfig: { passwordAuth: "Enabled" }, administratorLogin: "boss", administratorLoginPassword: "Tr0ub4dor&3" },
      });
      await expect.poll(async () => (await cloud.postgresServers.get(group, server))?.passwordAuth).toBe(true);
    },
    found: ["password authentication is off", "server is as the project file says"],
    byHand: ["server is as the project file says"],
    mend: ({ project }) => project.init(),
  },
  {
    what: "Entra authentication off",
    spoil: async ({ arm, server, project: { cloud }, group }) => {
      await arm("PATCH", `Microsoft.DBforPostgreSQL/flexibleServers/${server}?api-version=2025-08-01`, {
        properties: {
          authConfig: { passwordAuth: "Enabled", activeDirectoryAuth: "Disabled" },
          administratorLogin: "boss",
          administratorLoginPassword: "Tr0ub4dor&3",
        },
      });
      const isOff = async () => {
        const found = await cloud.postgresServers.get(group, server);
        return found?.state === "Ready" && !found.entraAuth;
      };
      await expect.poll(isOff).toBe(true);
    },
    found: ["Entra authentication is on", "caller signs in to PostgreSQL", "password authentication is off"],
  },
  {
    what: "public access closed",
    spoil: async ({ arm, server, project: { cloud }, group }) => {
      await arm("PATCH", `Microsoft.DBforPostgreSQL/flexibleServers/${server}?api-version=2025-08-01`, {
        properties: { network: { publicNetworkAccess: "Disabled" } },
      });
      const isClosed = async () => {
        const found = await cloud.postgresServers.get(group, server);
        return found?.state === "Ready" && !found.publicNetworkAccess;
      };
      await expect.poll(isClosed).toBe(true);
    },
    found: ["server is reachable over public access"],
    byHand: ["server is reachable over public access"],
    mend: async ({ arm, server, project: { cloud }, group }) => {
      await arm("PATCH", `Microsoft.DBforPostgreSQL/flexibleServers/${server}?api-version=2025-08-01`, {
        properties: { network: { publicNetworkAccess: "Enabled" } },
      });
      const isOpen = async () => {
        const found = await cloud.postgresServers.get(group, server);
        return found?.state === "Ready" && found.publicNetworkAccess;
      };
      await expect.poll(isOpen).toBe(true);
    },
  },
  {
    what: "tokens of another tenant",
    spoil: async ({ arm, server, project: { cloud }, group }) =>
      setTenant("99999999-9999-4999-8999-999999999999", { arm, server, cloud, group }),
    found: ["caller signs in to PostgreSQL", "server trusts the tenant of the caller"],
    byHand: ["caller signs in to PostgreSQL", "server trusts the tenant of the caller"],
    mend: async ({ arm, server, project: { cloud }, group }) => setTenant(cloud.caller.tenantId, { arm, server, cloud, group }),
  },
  {
    what: "providers not registered",
    spoil: async ({ emulator }) => {
      for (const namespace of ["Microsoft.DBforPostgreSQL", "Microsoft.Web", "Microsoft.ServiceLinker"])
        await emulator.arm("POST", `${emulator.subscription}/providers/${namespace}/unregister?api-version=2021-04-01`);
    },
    found: [
      "api: web app exists",
      "resource provider Microsoft.DBforPostgreSQL is registered",
      "resource provider Microsoft.ServiceLinker is registered",
      "resource provider Microsoft.Web is registered",
      "server exists",
    ],
  },
];

describe.sequential("doctor finds what is wrong, and --fix repairs what is safe", () => {
  test("before init: what is absent, a closed region, an unknown SKU, used up quota", async ({ emulator }) => {
    shared = openTestProject(emulator, file);
    const project = await shared;
    const absent = ["api: web app exists", "resource group exists", "server exists"];
    expect(wrong(await examine(project))).toEqual(absent);
    const answer = (path: string, body: object) =>
      emulator.faults.add({ method: "GET", path, action: { kind: "status", status: 200, body } });
    answer("*/locations/eastus/capabilities", { value: [{ restricted: "Enabled", reason: "OfferRestricted" }] });
    answer("*/flexibleServers/usages", { value: [{ name: { value: "cores" }, currentValue: 8, limit: 8 }] });
    const found = await examine(project);
    emulator.faults.clear();
    expect(wrong(found)).toEqual([...absent, "quota leaves room for the server", "region offers the server"].sort());
    // Nothing that costs is created by --fix.
    await fix(project);
    expect(wrong(await examine(project))).toEqual(absent);
    const unknown = await openTestProject(emulator, { ...file, server: { sku: "Standard_D1_v99" } });
    expect(wrong(await examine(unknown))).toContain("region offers the server");
  });

  test("names that others have taken", async ({ emulator }) => {
    const theirs = await openTestProject(emulator, {
      ...file,
      resourceGroup: "rg-theirs",
      server: { name: "taken-db" },
      apps: { api: { ...file.apps.api, name: "taken-api" } },
    });
    await theirs.init();
    const ours = { ...file, server: { name: "taken-db" }, apps: { api: { ...file.apps.api, name: "taken-api" } } };
    const checks = await examine(await openTestProject(emulator, ours));
    expect(wrong(checks)).toEqual(expect.arrayContaining(["api: web app name is free", "server name is free"]));
    expect(checks.find(({ name }) => name === "server name is free")).toMatchObject({
      detail: "flexible server taken-db is in the resource group rg-theirs of this subscription",
      hint: expect.stringContaining('"resourceGroup": "rg-theirs"'),
    });
  });

  test("after init all is well but for the code, which is not deployed", async () => {
    const project = await (shared as Promise<TestProject>);
    await project.init();
    const checks = await examine(project);
    expect(wrong(checks)).toEqual([]);
    expect(
      checks
        .filter(({ ok }) => !ok)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(always);
    expect(checks.length).toBeGreaterThanOrEqual(60);
    expect(new Set(checks.map(({ name }) => name)).size).toBe(checks.length);
  });

  test("an app that a repair restarted is asked until it answers", async ({ emulator }) => {
    const project = await (shared as Promise<TestProject>);
    const starting = { host: "site:*", path: "/", times: 1, action: { kind: "status", status: 503, body: {} } } as const;
    emulator.faults.add(starting);
    expect(wrong(await examine(project))).toContain("api: app answers");
    emulator.faults.add(starting);
    const checks = await examine(project, { areRestarting: true });
    expect(emulator.faults.list().map(({ caught }) => caught)).toEqual([1, 1]);
    emulator.faults.clear();
    expect(wrong(checks)).toEqual([]);
  });

  test.for(batches)("$what", async ({ spoil, found, byHand = [], mend }, { emulator }) => {
    const project = await (shared as Promise<TestProject>);
    const tools = toolsFor(project, emulator);
    await spoil(tools);
    const checks = await examine(project);
    expect(wrong(checks)).toEqual([...found].sort());
    for (const { name, ok, detail, meaning, hint } of checks) {
      expect(detail, name).not.toBe("");
      if (!ok)
        expect(
          [meaning, hint].every((words) => (words ?? "") !== ""),
          name,
        ).toBe(true);
    }
    if (byHand.length < found.length) await fix(project);
    expect(wrong(await examine(project))).toEqual([...byHand].sort());
    if (!mend) return;
    await mend(tools);
    await fix(project);
    expect(wrong(await examine(project))).toEqual([]);
  });

  test.for([
    [
      "audience",
      "audience https://management.azure.com",
      (one: TestEmulator) => one.tokenFor(one.clientId, "https://management.azure.com"),
    ],
    ["tenant", "tenant 1111", (one: TestEmulator) => one.tokenFor(one.clientId, postgresAudience, { flaw: "tenant" })],
    ["time", "expired", (one: TestEmulator) => one.tokenFor(one.clientId, postgresAudience, { flaw: "expired" })],
    ["person", "object ID", async (one: TestEmulator) => one.tokenFor(await aUser(one), postgresAudience)],
  ] as const)("a database token of another %s", async ([, words, token], { emulator }) => {
    const credential = {
      getToken: async (scopes: string | string[]) =>
        String(scopes).includes("ossrdbms")
          ? { token: await token(emulator), expiresOnTimestamp: Date.now() + 3_000_000 }
          : emulator.credential.getToken(scopes),
    };
    const checks = await examine(await openTestProject(emulator, file, { credential }));
    expect(wrong(checks)).toEqual(["caller signs in to PostgreSQL", "database token fits"]);
    expect(checks.find(({ name }) => name === "database token fits")?.detail).toContain(words);
  });

  test("a web app of that name on a Windows plan", async ({ emulator }) => {
    const project = await openTestProject(emulator, { ...file, apps: { api: { ...file.apps.api, name: "shop-on-windows" } } });
    const { arm } = toolsFor(project, emulator);
    const plan = `Microsoft.Web/serverfarms/shop-on-windows-plan?${web}`;
    await arm("PUT", plan, { location: "eastus", sku: { name: "B1", tier: "Basic", capacity: 1 }, properties: { reserved: false } });
    const serverFarmId = `${emulator.subscription}/resourceGroups/${project.setup.resourceGroup}/providers/${plan.split("?")[0]}`;
    await arm("PUT", `Microsoft.Web/sites/shop-on-windows?${web}`, { location: "eastus", properties: { serverFarmId } });
    expect(wrong(await examine(project))).toContain("api: plan is a Linux plan");
    await project.cloud.webApps.delete(project.setup.resourceGroup, "shop-on-windows");
    await project.cloud.webApps.deletePlan(project.setup.resourceGroup, "shop-on-windows-plan");
  });

  test("the way to the server, rung by rung, as doctor says it", async ({ emulator }) => {
    const project = await (shared as Promise<TestProject>);
    const { server, group } = toolsFor(project, emulator);
    const path = `${emulator.subscription}/resourceGroups/${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/${server}`;
    const { body } = await emulator.arm("GET", `${path}?api-version=2025-08-01`);
    /** The real server as ARM shows it, but for its address. */
    const examineAt = async (fullyQualifiedDomainName: string): Promise<{ names: string[]; detail: string | undefined }> => {
      const moved = { ...body, properties: { ...body.properties, fullyQualifiedDomainName } };
      const fault = emulator.faults.add({ method: "GET", path, action: { kind: "status", status: 200, body: moved } });
      try {
        const checks = await examine(project);
        const names = wrong(checks).filter((name) => name.startsWith("server "));
        return { names, detail: checks.find(({ name }) => name === names[0])?.detail };
      } finally {
        emulator.faults.remove(fault);
      }
    };
    expect(await examineAt("no-such-server.invalid")).toEqual({
      names: ["server name resolves"],
      detail: expect.stringContaining("no-such-server.invalid"),
    });
    // Another local Azure has another certificate authority; when it is gone, nobody listens there.
    const stranger = await startTestEmulator();
    let host: string | undefined;
    try {
      const theirs = await openTestProject(stranger.emulator, file);
      await apply(await plan(stepsNamed(theirs.steps(), "flexible server")), { clock: systemClock, signal: never });
      host = (await theirs.cloud.postgresServers.get(theirs.setup.resourceGroup, theirs.setup.server.name))?.host ?? "";
      expect(await examineAt(host)).toEqual({ names: ["server certificate is trusted"], detail: expect.stringMatching(/certificate/) });
    } finally {
      await stranger.release();
    }
    expect(await examineAt(host)).toEqual({ names: ["server port answers"], detail: expect.stringContaining("ECONNREFUSED") });
  });

  test("the adapter tells the rungs apart: name, port, certificate", async ({ emulator }) => {
    const caPem = emulator.caPem;
    const failing = ({ addresses, isPortOpen, tls }: Connectivity): string =>
      addresses.length === 0 ? "name" : !isPortOpen ? "port" : tls === undefined ? "tls" : "none";
    expect(failing(await probeConnectivity({ host: "no-such-server.invalid", port: 5432, caPem }, never))).toBe("name");
    const listener = createServer((socket) => socket.resume().end("N")).listen(0, "127.0.0.1");
    await new Promise((resolve) => listener.once("listening", resolve));
    const { port } = listener.address() as { port: number };
    expect(failing(await probeConnectivity({ host: "127.0.0.1", port, caPem }, never))).toBe("tls");
    await new Promise((resolve) => listener.close(resolve));
    expect(failing(await probeConnectivity({ host: "127.0.0.1", port, caPem }, never))).toBe("port");
    const project = await (shared as Promise<TestProject>);
    const server = await project.cloud.postgresServers.get(project.setup.resourceGroup, project.setup.server.name);
    if (!server) throw new Error("no server");
    expect(failing(await probeConnectivity({ host: server.host, port: server.port, caPem }, never))).toBe("none");
    expect(failing(await probeConnectivity({ host: server.host, port: server.port }, never))).toBe("tls");
    expect(resourceId(server.id, "x", "y")).toContain(server.name);
  });

  test("the code: broken, signed in as somebody else, its health path gone; then well", async ({ emulator }) => {
    const project = await openTestProject(emulator, { ...file, apps: { api: { ...file.apps.api, startup: "python main.py" } } });
    await project.init();
    const { cloud, setup } = project;
    const site = await cloud.webApps.get(setup.resourceGroup, role);
    const zip = await zipOf({
      "main.py": `
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        is_database = self.path == "/healthz/database"
        self.send_response(500 if os.environ.get("BROKEN") and not is_database else 200 if self.path == "/" or is_database else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"tls": True, "user": os.environ.get("PRETEND", os.environ["DB_USER"])}).encode())
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
`,
    });
    const token = await emulator.tokenFor(emulator.clientId, "https://appservice.azure.com");
    const answer = await emulator.fetch(`https://${site?.scmHost}/api/zipdeploy?isAsync=true`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: zip,
    });
    const status = `${site?.id}/deploymentStatus/${answer.headers.get("scm-deployment-id")}?${web}`;
    await emulator.until(status, (found) => found.status === 200);
    expect(wrong(await examine(project))).toEqual([]);
    const settings = (await cloud.webApps.getSettings(setup.resourceGroup, role)) ?? {};
    await cloud.webApps.putSettings(setup.resourceGroup, role, { ...settings, BROKEN: "yes", PRETEND: "somebody" });
    await expect.poll(async () => wrong(await examine(project))).toEqual(["api: app answers", "api: app signs in with its token"]);
    await cloud.webApps.putSettings(setup.resourceGroup, role, settings);
    const withHealth = await openTestProject(emulator, {
      ...file,
      apps: { api: { ...file.apps.api, startup: "python main.py", health: "/gone" } },
    });
    await expect.poll(async () => wrong(await examine(withHealth))).toEqual(["api: app answers", "api: health check path is set"]);
  });

  test("a clock that is wrong, a subscription that is disabled, a caller who is nobody's administrator", async ({ emulator }) => {
    const fast: Clock = { ...systemClock, now: () => Date.now() + 10 * 60_000 };
    expect(wrong(await examine(await openTestProject(emulator, file, { clock: fast })))).toContain("clock agrees with Azure");
    emulator.faults.add({
      method: "GET",
      path: emulator.subscription,
      action: { kind: "status", status: 200, body: { state: "Disabled" } },
    });
    expect(wrong(await examine(await (shared as Promise<TestProject>)))).toContain("subscription is enabled");
    emulator.faults.clear();
    const user = emulator.platform.directory.list().find(({ type }) => type === "User");
    const stranger = await openTestProject(emulator, file, { caller: user?.objectId });
    expect(wrong(await examine(stranger))).toEqual(
      expect.arrayContaining(["caller is an administrator of the server", "caller signs in to PostgreSQL"]),
    );
  });

  test("no condition is without a test above that makes it", async () => {
    const { cloud, setup, firewallAccess } = await (shared as Promise<TestProject>);
    const all = checksOf(gatherFacts({ cloud, setup, firewallAccess, clock: systemClock, signal: never }))
      .filter(({ writes }) => !writes)
      .map(({ name }) => name);
    expect(all.filter((name) => !made.has(name))).toEqual([]);
  });
});
