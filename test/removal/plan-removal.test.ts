import { expect } from "vitest";
import { planRemoval } from "../../src/removal/plan-removal.ts";
import { resourceKinds } from "../../src/removal/resource-kinds.ts";
import { fileTest as test } from "../support/emulator.ts";
import { openTestProject } from "../support/project.ts";

const file = { apps: { api: { runtime: "python|3.12", identity: "shop-id" }, web: { runtime: "node|22-lts" } } };

test("every type of resource that the steps create has a row in the table of removal", async ({ emulator }) => {
  const { init, cloud, setup } = await openTestProject(emulator, file);
  await init();
  const types = (await cloud.resourceGroups.resources(setup.resourceGroup)).map(({ type }) => type.toLowerCase());
  expect([...new Set(types)].sort()).toEqual(Object.keys(resourceKinds).sort());
});

test("a resource with the project's tag that this version does not know stays, and that is told", async ({ emulator }) => {
  const { init, cloud, setup, firewallAccess } = await openTestProject(emulator, { ...file, name: "unknown" });
  await init();
  const group = `${emulator.subscription}/resourceGroups/rg-unknown`;
  const { body } = await emulator.arm("GET", `${group}/resources?api-version=2021-04-01`);
  const type = "Microsoft.Storage/storageAccounts";
  const unknown = { id: `${group}/providers/${type}/shopstore`, name: "shopstore", type, tags: { "passwordless-pg": setup.owner } };
  const stranger = { id: `${group}/providers/${type}/theirs`, name: "theirs", type, tags: {} };
  const answer = { value: [...body.value, unknown, stranger] };
  emulator.faults.add({ method: "GET", path: `${group}/resources`, action: { kind: "status", status: 200, body: answer } });
  const { removals, kept } = await planRemoval(setup, cloud, firewallAccess);
  emulator.faults.clear();
  expect(kept).toEqual([
    `${type} theirs`,
    "resource group rg-unknown (it holds things that stay)",
    `${type} shopstore (this version does not know how to remove it)`,
  ]);
  expect(removals.map(({ what }) => what.replace(/ \S+$/, ""))).toEqual([
    "web app",
    "web app",
    "App Service plan",
    "App Service plan",
    "managed identity",
    "flexible server",
  ]);
});
