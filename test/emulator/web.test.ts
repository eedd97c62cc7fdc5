import { rename, rm, writeFile } from "node:fs/promises";
import { WebSiteManagementClient } from "@azure/arm-appservice";
import { describe, expect, test as plainTest } from "vitest";
import { startTestEmulator, fileTest as test } from "../support/emulator.ts";
import { eventually, makeSite } from "../support/sites.ts";

const API = "api-version=2024-04-01";

describe("plans", () => {
  // trap: appservice 11, appservice 18
  test("PUT echoes, GET shows the display form and the true maximum", async ({ emulator }) => {
    const id = `${await emulator.group()}/providers/Microsoft.Web/serverfarms/plan-forms`;
    const sku = { name: "P1V2", tier: "PREMIUMV2", capacity: 2 };
    const put = await emulator.arm("PUT", `${id}?${API}`, { location: "eastus2", sku, properties: { reserved: true } });
    expect(put.body).toMatchObject({
      location: "eastus2",
      kind: "linux",
      sku: { name: "P1v2", tier: "PremiumV2", size: "P1v2", family: "Pv2", capacity: 2 },
    });
    expect(put.body.properties).toMatchObject({ maximumNumberOfWorkers: 0, sku: put.body.sku });
    const get = await emulator.arm("GET", `${id.toUpperCase()}?${API}`);
    expect(get.body.location).toBe("East US 2");
    expect(get.body.properties.maximumNumberOfWorkers).toBe(30);
    expect(get.body.properties.sku).toBeUndefined();
  });

  // trap: appservice 17
  test("a plan with sites is not deleted; the last site takes an empty plan along unless told not to", async ({ emulator }) => {
    const site = await makeSite(emulator, "plan-user");
    const refused = await emulator.arm("DELETE", `${site.planId}?${API}`);
    expect(refused.status).toBe(409);
    expect(refused.body).toMatchObject({ Code: "Conflict", Target: null, Innererror: null });
    expect((await emulator.arm("DELETE", `${site.id}?${API}&deleteEmptyServerFarm=false`)).status).toBe(200);
    expect((await emulator.arm("GET", `${site.planId}?${API}`)).status).toBe(200);
    const again = await makeSite(emulator, "plan-user");
    expect((await again.arm("DELETE")).status).toBe(200);
    expect((await emulator.arm("GET", `${site.planId}?${API}`)).body.error.code).toBe("ResourceNotFound");
    expect((await again.arm("DELETE")).status).toBe(204);
  });
});

describe("sites", () => {
  // trap: appservice 2
  test("the SDK creates, reads and changes one", async ({ emulator }) => {
    const { id, planId } = await makeSite(emulator, "sdk-site");
    const [group = "", name = ""] = [id.split("/")[4], "sdk-site"];
    const client = new WebSiteManagementClient(emulator.credential, emulator.endpoints.subscriptionId, {
      endpoint: emulator.endpoints.resourceManager,
      tlsOptions: { ca: emulator.caPem },
    });
    const patched = await client.webApps.update(group, name, { identity: { type: "SystemAssigned" }, httpsOnly: true });
    expect(patched.identity?.principalId).toMatch(/^[0-9a-f-]{36}$/);
    await client.webApps.updateConfiguration(group, name, { appCommandLine: "python x.py", ftpsState: "Disabled", healthCheckPath: "/h" });
    expect(await client.webApps.getConfiguration(group, name)).toMatchObject({
      linuxFxVersion: "PYTHON|3.12",
      appCommandLine: "python x.py",
      ftpsState: "Disabled",
      healthCheckPath: "/h",
    });
    await client.webApps.updateApplicationSettings(group, name, { properties: { A: "1", B: "2" } });
    await client.webApps.updateApplicationSettings(group, name, { properties: { B: "3" } });
    expect((await client.webApps.listApplicationSettings(group, name)).properties).toEqual({ B: "3" });
    expect((await client.webApps.updateScmAllowed(group, name, { allow: false })).allow).toBe(false);
    expect((await client.webApps.getScmAllowed(group, name)).allow).toBe(false);
    await client.webApps.updateDiagnosticLogsConfig(group, name, { httpLogs: { fileSystem: { enabled: true, retentionInMb: 50 } } });
    expect((await client.webApps.getDiagnosticLogsConfiguration(group, name)).httpLogs?.fileSystem?.enabled).toBe(true);
    const names: (string | undefined)[] = [];
    for await (const found of client.webApps.listByResourceGroup(group)) names.push(found.name);
    expect(names).toContain(name);
    expect((await client.appServicePlans.get(group, planId.split("/").at(-1) ?? ""))?.numberOfSites).toBe(1);
    expect(await client.checkNameAvailability(name, "Site")).toMatchObject({ nameAvailable: false, reason: "AlreadyExists" });
    await client.webApps.delete(group, name);
    expect(await client.checkNameAvailability(name, "Microsoft.Web/sites")).toMatchObject({ nameAvailable: true });
  });

  // trap: appservice 4
  test("the PUT answer is stale, GET is true", async ({ emulator }) => {
    const site = await makeSite(emulator, "stale-site");
    const put = await site.arm("PUT", "", {
      location: "eastus",
      properties: { serverFarmId: site.planId, siteConfig: { alwaysOn: true } },
    });
    expect(put.body.properties.siteConfig).toMatchObject({ linuxFxVersion: "", alwaysOn: false });
    expect(put.body.properties.siteProperties.properties[0]).toEqual({ name: "LinuxFxVersion", value: "PYTHON|3.12" });
    expect((await site.arm("GET")).body.properties.siteConfig).toMatchObject({ linuxFxVersion: "PYTHON|3.12", alwaysOn: true });
  });

  // trap: postgres 19, appservice 7
  test("an identity that is removed and given again is another one", async ({ emulator }) => {
    const site = await makeSite(emulator, "identity-site", { identity: true });
    const first = (await site.arm("GET")).body.identity.principalId as string;
    expect(emulator.platform.directory.find(first)?.displayName).toBe("identity-site");
    expect((await site.arm("PATCH", "", { identity: { type: "None" } })).body.identity).toBeUndefined();
    expect(emulator.platform.directory.find(first)).toBeUndefined();
    const second = (await site.arm("PATCH", "", { identity: { type: "SystemAssigned" } })).body.identity.principalId;
    expect(second).not.toBe(first);
  });

  // trap: appservice 5
  test("refusals have Microsoft.Web's odd shape, a missing site ARM's", async ({ emulator }) => {
    const site = await makeSite(emulator, "taken-site");
    const other = await emulator.group("rg-other");
    const body = { location: "eastus", properties: { serverFarmId: site.planId } };
    const taken = await emulator.arm("PUT", `${other}/providers/Microsoft.Web/sites/taken-site?${API}`, body);
    expect(taken.status).toBe(409);
    expect(taken.body.Details[2].ErrorEntity).toMatchObject({ ExtendedCode: "54001", Parameters: ["taken-site"] });
    const runtime = await site.arm("PATCH", "/config/web", { properties: { linuxFxVersion: "PYTHON|2.7" } });
    expect([runtime.status, runtime.body.Message]).toEqual([400, "The parameter LinuxFxVersion has an invalid value."]);
    const missing = await site.arm("GET", "x");
    expect([missing.status, missing.body.error.code]).toEqual([404, "ResourceNotFound"]);
  });

  // trap: appservice 13
  test("alwaysOn is refused on a Free plan, a Linux runtime on a Windows plan", async ({ emulator }) => {
    const group = await emulator.group();
    for (const [name, sku, reserved, config, status] of [
      ["free", "F1", true, { alwaysOn: true }, 409],
      ["windows", "B1", false, { linuxFxVersion: "PYTHON|3.12" }, 400],
    ] as const) {
      const plan = `${group}/providers/Microsoft.Web/serverfarms/${name}`;
      await emulator.arm("PUT", `${plan}?${API}`, { location: "eastus", sku: { name: sku }, properties: { reserved } });
      const body = { location: "eastus", properties: { serverFarmId: plan, siteConfig: config } };
      const refused = await emulator.arm("PUT", `${group}/providers/Microsoft.Web/sites/on-${name}?${API}`, body);
      expect(refused.status, refused.text).toBe(status);
      expect((await emulator.arm("GET", `${group}/providers/Microsoft.Web/sites/on-${name}?${API}`)).status).toBe(404);
    }
  });

  test("a stopped site says so, and starts again", async ({ emulator }) => {
    const site = await makeSite(emulator, "stop-site");
    expect((await site.arm("POST", "/stop")).status).toBe(200);
    const stopped = await emulator.fetch(site.origin);
    expect([stopped.status, stopped.text.includes("This web app is stopped.")]).toEqual([403, true]);
    expect((await site.arm("GET")).body.properties.state).toBe("Stopped");
    expect((await site.arm("POST", "/start")).status).toBe(200);
    await eventually(
      () => emulator.fetch(site.origin),
      ({ status }) => status === 200,
    );
  });

  test("deleting the group closes the site's ports and removes its identity", async ({ emulator }) => {
    const group = await emulator.group("rg-doomed");
    const site = await makeSite(emulator, "doomed-site", { identity: true, group: "rg-doomed" });
    const { principalId } = (await site.arm("GET")).body.identity;
    await emulator.arm("DELETE", `${group}?api-version=2021-04-01`);
    await emulator.until(`${group}?api-version=2021-04-01`, ({ status }) => status === 404);
    await expect(emulator.fetch(site.origin)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    expect(emulator.platform.directory.find(principalId)).toBeUndefined();
  });
});

plainTest("a site that could not be opened is not kept, and can be made again", async () => {
  const { emulator, release } = await startTestEmulator();
  const { sites } = emulator.platform.home;
  await emulator.group();
  await rename(sites, `${sites}.aside`);
  await writeFile(sites, "in the way");
  await expect(makeSite(emulator, "second-try")).rejects.toThrow();
  await rm(sites);
  await rename(`${sites}.aside`, sites);
  const site = await makeSite(emulator, "second-try");
  expect((await site.arm("GET")).status).toBe(200);
  await expect(release()).rejects.toThrow("ENOTDIR"); // the fault put in its way, and no other bug
});
