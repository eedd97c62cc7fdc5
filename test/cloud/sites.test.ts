import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { siteAddressId } from "../../src/base/site-address.ts";
import type { SiteAdapter } from "../../src/cloud/app-service/sites.ts";
import { openCloud } from "../../src/cloud/cloud.ts";
import { contextOf, type ReplayServer, startReplay } from "./replay-server.ts";

// Every operation on a site has a twin for its slots. A new operation does not compile before it stands here.

const subscriptionId = "00000000-0000-0000-0000-000000000000";
const addresses = [
  { group: "rg", app: "shop" },
  { group: "rg", app: "shop", slot: "staging" },
  { group: "r/g", app: "shop/config", slot: "../..?x=%2F#" },
];

const operations: Readonly<Record<keyof SiteAdapter, (site: SiteAdapter) => Promise<unknown>>> = {
  get: (site) => site.get(),
  create: (site) => site.create({ location: "eastus", planId: "/plan", config: {}, settings: {}, tags: {} }),
  update: (site) => site.update({ httpsOnly: true, systemIdentity: true }),
  delete: (site) => site.delete(),
  start: (site) => site.start(),
  stop: (site) => site.stop(),
  restart: (site) => site.restart(),
  getConfig: (site) => site.getConfig(),
  updateConfig: (site) => site.updateConfig({ startup: "x" }),
  getSettings: (site) => site.getSettings(),
  putSettings: (site) => site.putSettings({ ONE: "1" }),
  getPublishingPolicies: (site) => site.getPublishingPolicies(),
  setPublishingPolicy: (site) => site.setPublishingPolicy("ftp", false),
  getLogs: (site) => site.getLogs(),
  enableFileSystemLogging: (site) => site.enableFileSystemLogging(),
  deploymentStatus: (site) => site.deploymentStatus("d"),
};

describe.each(addresses)("the site at %j", (address) => {
  let azure: ReplayServer;
  beforeAll(async () => {
    azure = await startReplay();
    azure.otherwise(() => ({ status: 200, headers: {}, body: { location: "eastus", value: [], properties: {} } }));
  });
  afterAll(() => azure.close());

  test.each(Object.keys(operations) as (keyof SiteAdapter)[])("%s asks nobody else", async (name) => {
    const cloud = await openCloud(contextOf(azure, subscriptionId));
    const before = azure.requests.length;
    await operations[name](cloud.sites.at(address));
    const id = siteAddressId(subscriptionId, address);
    const asked = azure.requests.slice(before).map(({ path }) => path);
    expect(asked).not.toEqual([]);
    for (const path of asked) {
      expect(path.startsWith(id), path).toBe(true);
      // What follows is the operation: neither another site nor another slot.
      expect(path.slice(id.length)).toMatch(/^(?:\/(?!slots|sites)[A-Za-z]+)*$/);
    }
  });
});
