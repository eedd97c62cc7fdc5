import { expect } from "vitest";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { openTestProject } from "../support/project.ts";
import { projectTest } from "../support/project-fixture.ts";
import { examine, expectAmongWrong, expectWrong, fix, shopFile, testBatches } from "../support/spoilt.ts";

const test = projectTest(shopFile);

testBatches(test, [
  {
    what: "an app that the file no longer names",
    spoil: async ({ emulator }) => {
      const before = await openTestProject(emulator, { ...shopFile, apps: { api: { ...shopFile.apps.api, name: "shop-old" } } });
      await before.init();
    },
    found: ["no web app is left over"],
    byHand: ["no web app is left over"],
    mend: async ({ project, arm, sql }) => {
      const { detail, hint = "" } = (await examine(project)).find(({ name }) => name === "no web app is left over") ?? { detail: "" };
      expect(detail).toMatch(/web app shop-old \(App Service plan shop-old-plan\) .* role shop-old may still sign in/);
      expect(hint).toContain("`az webapp delete -g rg-shop -n shop-old`");
      await arm("DELETE", `Microsoft.Web/sites/shop-old?api-version=2024-04-01`);
      await sql(...(hint.split("connect`: ")[1] ?? "").split(/(?<=;) ?/).filter((statement) => statement !== ""));
    },
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
]);

test("before init: what is absent, a closed region, an unknown SKU, used up quota", async ({ emulator }) => {
  const project = await openTestProject(emulator, { ...shopFile, name: "fresh" });
  const absent = ["api: web app exists", "resource group exists", "server exists"];
  expectWrong(await examine(project), ["resource group exists", "api: web app exists", "server exists"]);
  const answer = (path: string, body: object) =>
    emulator.faults.add({ method: "GET", path, action: { kind: "status", status: 200, body } });
  answer("*/locations/eastus/capabilities", { value: [{ restricted: "Enabled", reason: "OfferRestricted" }] });
  answer("*/flexibleServers/usages", { value: [{ name: { value: "cores" }, currentValue: 8, limit: 8 }] });
  const found = await examine(project);
  emulator.faults.clear();
  expectWrong(found, [...absent, "quota leaves room for the server", "region offers the server"]);
  // Nothing that costs is created by --fix.
  await fix(project);
  expectWrong(await examine(project), absent);
  const unknown = await openTestProject(emulator, { ...shopFile, name: "unknown", server: { sku: "Standard_D1_v99" } });
  expectAmongWrong(await examine(unknown), ["region offers the server"]);
});

test("names that others have taken", async ({ emulator }) => {
  const theirs = await openTestProject(emulator, {
    ...shopFile,
    resourceGroup: "rg-theirs",
    server: { name: "taken-db" },
    apps: { api: { ...shopFile.apps.api, name: "taken-api" } },
  });
  await theirs.init();
  const ours = { ...shopFile, server: { name: "taken-db" }, apps: { api: { ...shopFile.apps.api, name: "taken-api" } } };
  const checks = await examine(await openTestProject(emulator, ours));
  expectAmongWrong(checks, ["api: web app name is free", "server name is free"]);
  expect(checks.find(({ name }) => name === "server name is free")).toMatchObject({
    detail: "flexible server taken-db is in the resource group rg-theirs of this subscription",
    hint: expect.stringContaining('"resourceGroup": "rg-theirs"'),
  });
});

test("a clock that is wrong, a subscription that is disabled", async ({ emulator, project }) => {
  const fast: Clock = { ...systemClock, now: () => Date.now() + 10 * 60_000 };
  expectAmongWrong(await examine(await openTestProject(emulator, shopFile, { clock: fast })), ["clock agrees with Azure"]);
  emulator.faults.add({
    method: "GET",
    path: emulator.subscription,
    action: { kind: "status", status: 200, body: { state: "Disabled" } },
  });
  expectAmongWrong(await examine(project), ["subscription is enabled"]);
  emulator.faults.clear();
});
