import { expect } from "vitest";
import { openTestProject } from "../support/project.ts";
import { projectTest } from "../support/project-fixture.ts";
import { examine, expectAmongWrong, expectWrong, shopApi, shopFile, testBatches, toolsFor } from "../support/spoilt.ts";

const test = projectTest(shopFile);

const site = `Microsoft.Web/sites/${shopApi}`;
const web = "api-version=2024-04-01";

testBatches(test, [
  {
    what: "web app and its configuration",
    spoil: async ({ project: { cloud }, group, arm }) => {
      await cloud.sites.at({ group, app: shopApi }).updateConfig({
        startup: "",
        ftpsState: "AllAllowed",
        minTlsVersion: "1.0",
        healthCheckPath: "/gone",
        runtime: "PYTHON|3.11",
      });
      await cloud.sites.at({ group, app: shopApi }).setPublishingPolicy("scm", true);
      await cloud.sites.at({ group, app: shopApi }).setPublishingPolicy("ftp", true);
      await cloud.sites.at({ group, app: shopApi }).update({ httpsOnly: false });
      await arm("PUT", `${site}/config/logs?${web}`, { properties: { httpLogs: { fileSystem: { enabled: false } } } });
      await cloud.sites.at({ group, app: shopApi }).stop();
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
      cloud.sites.at({ group, app: shopApi }).putSettings({
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
      const {
        AZURE_CLIENT_ID: _a,
        SHOP_PASSWORD: _b,
        WEB_CONCURRENCY: _c,
        ...rest
      } = (await cloud.sites.at({ group, app: shopApi }).getSettings()) ?? {};
      await cloud.sites.at({ group, app: shopApi }).putSettings(rest);
    },
  },
  {
    what: "service connection",
    spoil: async ({ project: { cloud, setup }, group, server }) => {
      const web = await cloud.sites.at({ group, app: shopApi }).get();
      const database = await cloud.postgresServers.createDatabase(group, server, "second");
      for (const name of [setup.sites[0]?.linker ?? "", "made_by_az"]) {
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
    mend: async ({ project: { cloud }, group }) =>
      cloud.linkers.delete((await cloud.sites.at({ group, app: shopApi }).get())?.id ?? "", "made_by_az"),
  },
  {
    what: "service connection with a password",
    spoil: async ({ project: { cloud, setup }, emulator, group, server }) => {
      const id = `${(await cloud.sites.at({ group, app: shopApi }).get())?.id}/providers/Microsoft.ServiceLinker/linkers/${setup.sites[0]?.linker}`;
      const database = await cloud.postgresServers.getDatabase(group, server, "shop");
      const answer = await emulator.arm("PUT", `${id}?api-version=2024-04-01`, {
        properties: {
          targetService: { type: "AzureResource", id: database?.id },
          authInfo: { authType: "secret", name: shopApi, secretInfo: { secretType: "rawValue", value: "Tr0ub4dor&3" } },
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
    what: "the web app made anew, without its identity at first",
    spoil: async ({ project: { cloud, setup }, group, arm }) => {
      const old = await cloud.sites.at({ group, app: shopApi }).get();
      await cloud.sites.at({ group, app: shopApi }).delete();
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
]);

test("after init all is well but for the code, which is not deployed", async ({ project }) => {
  const checks = await examine(project);
  expectWrong(checks, ["api: code is there", "api: deployed package is that of the folder"], []);
  expect(checks.length).toBeGreaterThanOrEqual(60);
});

test("an app that a repair restarted is asked until it answers", async ({ emulator, project }) => {
  const starting = { host: "site:*", path: "/", times: 1, action: { kind: "status", status: 503, body: {} } } as const;
  emulator.faults.add(starting);
  expectAmongWrong(await examine(project), ["api: app answers"]);
  emulator.faults.add(starting);
  const checks = await examine(project, { areRestarting: true });
  expect(emulator.faults.list().map(({ caught }) => caught)).toEqual([1, 1]);
  emulator.faults.clear();
  expectWrong(checks, []);
});

test("a web app of that name on a Windows plan", async ({ emulator }) => {
  const project = await openTestProject(emulator, { ...shopFile, apps: { api: { ...shopFile.apps.api, name: "shop-on-windows" } } });
  const { arm } = toolsFor(project, emulator);
  const plan = `Microsoft.Web/serverfarms/shop-on-windows-plan?${web}`;
  await arm("PUT", plan, { location: "eastus", sku: { name: "B1", tier: "Basic", capacity: 1 }, properties: { reserved: false } });
  const serverFarmId = `${emulator.subscription}/resourceGroups/${project.setup.resourceGroup}/providers/${plan.split("?")[0]}`;
  await arm("PUT", `Microsoft.Web/sites/shop-on-windows?${web}`, { location: "eastus", properties: { serverFarmId } });
  expectAmongWrong(await examine(project), ["api: plan is a Linux plan"]);
  await project.cloud.sites.at({ group: project.setup.resourceGroup, app: "shop-on-windows" }).delete();
  await project.cloud.plans.delete(project.setup.resourceGroup, "shop-on-windows-plan");
});
