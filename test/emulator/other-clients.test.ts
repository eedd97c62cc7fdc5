import { describe, expect } from "vitest";
import { fileTest as test } from "../support/emulator.ts";
import { makeSite } from "../support/sites.ts";

const API = "api-version=2021-04-01";
const WEB = "api-version=2024-04-01";
const POSTGRES = "api-version=2025-08-01";
const PROVIDER = "providers/Microsoft.DBforPostgreSQL";

// What commands of az and older SDKs met that no client of ours sends.

describe("tags as a resource of their own", () => {
  const tagsAt = (scope: string): string => `${scope}/providers/Microsoft.Resources/tags/default?${API}`;
  const patch = (operation: string, tags: Record<string, string>): object => ({ operation, properties: { tags } });

  test("of a group: merged, deleted by value, replaced, removed", async ({ emulator }) => {
    const group = await emulator.group("rg-tags");
    const tags = async (): Promise<unknown> => (await emulator.arm("GET", tagsAt(group))).body.properties.tags;
    await emulator.arm("PUT", tagsAt(group), { properties: { tags: { a: "1" } } });
    await emulator.arm("PATCH", tagsAt(group), patch("Merge", { b: "2", c: "3" }));
    await emulator.arm("PATCH", tagsAt(group), patch("Delete", { b: "2", c: "another value" }));
    expect(await tags()).toEqual({ a: "1", c: "3" });
    expect((await emulator.arm("GET", `${group}?${API}`)).body.tags).toEqual({ a: "1", c: "3" });
    await emulator.arm("PATCH", tagsAt(group), patch("Replace", { d: "4" }));
    expect(await tags()).toEqual({ d: "4" });
    expect((await emulator.arm("GET", `${emulator.subscription}/tagNames?${API}`)).body.value).toMatchObject([
      { tagName: "d", count: { value: 1 }, values: [{ tagValue: "4" }] },
    ]);
    expect((await emulator.arm("DELETE", tagsAt(group))).status).toBe(200);
    expect(await tags()).toEqual({});
  });

  test("of a site: what its own GET shows", async ({ emulator }) => {
    const site = await makeSite(emulator, "tagged-site");
    expect((await emulator.arm("PUT", tagsAt(site.id), { properties: { tags: { team: "shop" } } })).status).toBe(200);
    expect((await site.arm("GET")).body.tags).toEqual({ team: "shop" });
    const nowhere = await emulator.arm("GET", tagsAt(`${await emulator.group()}/providers/Microsoft.Web/sites/nobody`));
    expect([nowhere.status, nowhere.body.error.code]).toEqual([404, "ResourceNotFound"]);
  });
});

describe("regions that do not exist", () => {
  test("neither plans nor servers are made there, and it has no capabilities", async ({ emulator }) => {
    const group = await emulator.group();
    const plan = { location: "nowhere", sku: { name: "B1" }, properties: { reserved: true } };
    const refusals = [
      await emulator.arm("PUT", `${group}/providers/Microsoft.Web/serverfarms/far-plan?${WEB}`, plan),
      await emulator.arm("PUT", `${group}/${PROVIDER}/flexibleServers/far-server?${POSTGRES}`, { location: "nowhere" }),
      await emulator.arm("GET", `${emulator.subscription}/${PROVIDER}/locations/nowhere/capabilities?${POSTGRES}`),
    ];
    expect(refusals.map(({ status, body }) => [status, body.error.code])).toEqual([
      [400, "LocationNotAvailableForResourceType"],
      [400, "LocationNotAvailableForResourceType"],
      [400, "NoRegisteredProviderFound"],
    ]);
  });
});

describe("flexible servers", () => {
  test("one made from another, and an identity of a server, are refused and not left out in silence", async ({ emulator }) => {
    const id = `${await emulator.group()}/${PROVIDER}/flexibleServers/from-another?${POSTGRES}`;
    for (const body of [
      { location: "eastus", properties: { createMode: "PointInTimeRestore" } },
      { location: "eastus", identity: { type: "SystemAssigned" } },
    ]) {
      const answer = await emulator.arm("PUT", id, body);
      expect([answer.status, answer.body.error.code]).toEqual([501, "NotImplementedByLocalAzure"]);
    }
  });

  test("capabilities of the api-versions before 2023 have editions with versions below them", async ({ emulator }) => {
    const path = `${emulator.subscription}/${PROVIDER}/locations/eastus/capabilities`;
    const [old] = (await emulator.arm("GET", `${path}?api-version=2021-06-01`)).body.value;
    expect(old).toMatchObject({ geoBackupSupported: true, supportedFlexibleServerEditions: [{ name: "Burstable" }, {}, {}] });
    const [now] = (await emulator.arm("GET", `${path}?${POSTGRES}`)).body.value;
    expect(now.supportedServerEditions[0].name).toBe("Burstable");
  });
});

describe("sites", () => {
  test("null members of a configuration leave what is there", async ({ emulator }) => {
    const site = await makeSite(emulator, "null-config", { startup: "python app.py" });
    const { experiments } = (await site.arm("GET", "/config/web")).body.properties;
    await site.arm("PATCH", "/config/web", {
      properties: { alwaysOn: true, appCommandLine: null, experiments: null, autoHealEnabled: null },
    });
    expect((await site.arm("GET", "/config/web")).body.properties).toMatchObject({
      alwaysOn: true,
      appCommandLine: "python app.py",
      experiments,
      autoHealEnabled: false,
    });
  });

  test("networks are a bare list; sign-in in front of an app is off", async ({ emulator }) => {
    const site = await makeSite(emulator, "bare-lists");
    expect((await site.arm("GET", "/virtualNetworkConnections")).body).toEqual([]);
    expect((await site.arm("POST", "/config/authsettings/list")).body.properties).toEqual({ enabled: false });
    expect((await site.arm("PUT", "/config/authsettings", { properties: { enabled: true } })).status).toBe(501);
  });
});
