import { expect, test } from "vitest";
import { changedPlan, newPlan } from "../../../../src/emulator/services/web/plan-changes.ts";
import { changedSite, newSite, recycles } from "../../../../src/emulator/services/web/site-changes.ts";

const group = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web";
const plan = newPlan({ location: "eastus", sku: { name: "S1" }, properties: { reserved: true } }, `${group}/serverfarms/p`, "g", 0);
const site = newSite({ properties: { serverFarmId: plan.id, httpsOnly: true } }, plan, {
  id: `${group}/sites/shop`,
  name: "shop",
  resourceGroup: "g",
  folder: "shop-1",
  publishingSeed: "seed",
  lastModified: "2026-01-01T00:00:00.000Z",
});

test("a new Linux site on its plan, with what no body says", () => {
  expect(site).toMatchObject({
    kind: "app,linux",
    location: "eastus",
    state: "Running",
    isHttpsOnly: true,
    basicPublishing: { scm: true },
  });
});

test("members left out, and those that are null as SDKs write them, stay as they were", () => {
  const nulls = JSON.parse('{"location":null,"tags":null,"sku":null,"properties":null}') as object;
  expect(changedPlan(plan, nulls)).toEqual(plan);
  expect(changedPlan(plan, {})).toEqual(plan);
  expect({ ...site, ...changedSite(site, nulls, undefined) }).toEqual(site);
  expect({ ...site, ...changedSite(site, { properties: { siteConfig: { alwaysOn: null } } }, plan) }).toEqual(site);
});

test("configuration and another plan restart the containers, tags do not", () => {
  expect(recycles(site, { properties: { siteConfig: {} } }, plan)).toBe(true);
  expect(recycles(site, {}, { ...plan, id: `${plan.id}2` })).toBe(true);
  expect(recycles(site, { tags: { a: "b" } }, plan)).toBe(false);
});

test("a plan keeps its place and is sold in the sizes that there are", () => {
  expect(() => changedPlan(plan, { location: "westus" })).toThrow(expect.objectContaining({ status: 400 }));
  expect(() => changedPlan(plan, { sku: { name: "S1", capacity: 11 } })).toThrow(expect.objectContaining({ status: 400 }));
  expect(changedPlan(plan, { sku: { capacity: 3 } }).sku).toMatchObject({ name: "S1", capacity: 3 });
});
