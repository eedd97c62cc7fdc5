import { describe, expect } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { warningsOf } from "../../src/checks/warnings.ts";
import { apply } from "../../src/engine/apply.ts";
import { blockedOf, changesOf } from "../../src/engine/plan.ts";
import { planRemoval } from "../../src/removal/plan-removal.ts";
import { databasesOf } from "../support/databases.ts";
import { fileTest as test } from "../support/emulator.ts";
import { openTestProject } from "../support/project.ts";

const named = (name: string, more: object = {}) => ({ apps: { api: { name, runtime: "python|3.12" } }, ...more });
const orphansName = "no web app is left over";
const signal = new AbortController().signal;

describe.sequential("a project file that was changed after init", () => {
  test("an app of another name: the old one is told, with its plan and role, and nothing of it when all is as it was", async ({
    emulator,
  }) => {
    const before = await openTestProject(emulator, named("old-api"));
    await before.init();
    expect(await warningsOf(before, await before.plan())).toEqual([]);
    const after = await openTestProject(emulator, named("new-api"));
    const warnings = await warningsOf(after, await after.plan());
    await after.firewallAccess.revoke();
    expect(warnings).toEqual([
      {
        name: orphansName,
        detail: expect.stringMatching(
          /^web app old-api \(App Service plan old-api-plan\) carries this project's tag but .* role old-api may/,
        ),
        hint: expect.stringContaining("`az webapp delete -g rg-shop -n old-api`"),
      },
    ]);
    await after.init();
    const settled = await after.plan();
    const last = emulator.journal.entries().at(-1)?.n ?? 0;
    expect(await warningsOf(after, settled, { isQuick: true })).toEqual([]);
    expect(emulator.journal.entries().filter(({ n }) => n > last)).toEqual([]);
    expect((await warningsOf(after, await after.plan())).map(({ name }) => name)).toEqual([orphansName]);
    await after.firewallAccess.revoke();
  });

  test("down takes the old app, its plan and its role too, when the group is not the project's", async ({ emulator }) => {
    const project = await openTestProject(emulator, named("new-api"));
    const { cloud, setup, firewallAccess } = project;
    const { resourceGroup: group } = setup;
    await cloud.resourceGroups.put(group, { location: "eastus", tags: {} });
    const { removals, kept } = await planRemoval(setup, cloud, firewallAccess);
    expect(kept).toEqual([]);
    expect(removals.map(({ what }) => what)).toEqual([
      "web app new-api",
      "web app old-api",
      expect.stringMatching(/^App Service plan (new|old)-api-plan$/),
      expect.stringMatching(/^App Service plan (new|old)-api-plan$/),
      "flexible server shop-db-t3st",
    ]);
  });

  test("on somebody else's server the old app's role goes, and its tables keep no database", async ({ emulator }) => {
    const project = await openTestProject(emulator, named("new-api"));
    const { cloud, databases, setup, firewallAccess } = project;
    const { resourceGroup: group } = setup;
    const server = await cloud.postgresServers.get(group, setup.server.name);
    const note = { "passwordless-pg-shop": "made database=shop" };
    await cloud.postgresServers.update(group, setup.server.name, { tags: note });
    await databasesOf(emulator, project).run(
      "shop",
      "CREATE TABLE old_items (id int)",
      'GRANT "old-api" TO CURRENT_USER',
      'ALTER TABLE old_items OWNER TO "old-api"',
    );
    const { removals, kept } = await planRemoval(setup, cloud, firewallAccess);
    expect(kept.filter((what) => !what.startsWith("Microsoft."))).toEqual([]);
    expect(removals.map(({ what }) => what)).toEqual(
      expect.arrayContaining(["database role new-api", "database role old-api", "database shop"]),
    );
    for (const { what, remove } of removals) if (/old-api$/.test(what)) await remove();
    const roles = server ? await databases.at(server, cloud.caller.name).list() : [];
    await firewallAccess.revoke();
    expect(roles.map(({ role }) => role)).toContain("new-api");
    expect(roles.map(({ role }) => role)).not.toContain("old-api");
    expect(await cloud.sites.at({ group, app: "old-api" }).get()).toBeUndefined();
    expect((await warningsOf(project, await project.plan())).map(({ name }) => name)).not.toContain(orphansName);
    await firewallAccess.revoke();
  });

  test("another resource group: plan says in which one the server and the app are, and nothing is made there", async ({ emulator }) => {
    const project = await openTestProject(emulator, named("new-api", { resourceGroup: "rg-moved" }));
    const planned = await project.plan();
    expect(planned.steps.find(({ step }) => step.name === "resource group")?.change).toEqual({
      kind: "blocked",
      code: "azure/name-taken",
      reason:
        "flexible server shop-db-t3st is in the resource group rg-shop of this subscription; web app new-api is in the resource group rg-shop of this subscription",
      hint: 'set "resourceGroup": "rg-shop" in the project file, or choose another "server.name"',
    });
    expect([changesOf(planned), blockedOf(planned)]).toEqual([0, planned.steps.length]);
    project.writes();
    const report = await apply(planned, { clock: systemClock, signal });
    expect(report.steps.find(({ name }) => name === "resource group")?.error).toMatchObject({ code: "azure/name-taken" });
    expect(project.writes()).toEqual([]);
    expect(await project.cloud.resourceGroups.get("rg-moved")).toBeUndefined();
  });

  test("a name that another group of the subscription has, in a group that is there: no plan is made for the app", async ({ emulator }) => {
    await emulator.group("rg-second");
    const file = named("new-api", { resourceGroup: "rg-second", server: { name: "second-db" } });
    const project = await openTestProject(emulator, file);
    const planned = await project.plan();
    const blocked = planned.steps.filter(({ change }) => change.kind === "blocked").map(({ step }) => step.name);
    expect(blocked).toEqual(expect.arrayContaining(["web app api", "App Service plan api", "service connection api"]));
    expect(blocked).not.toContain("flexible server");
    const steps = planned.steps.filter(({ step }) => ["resource group", "App Service plan api", "web app api"].includes(step.name));
    const report = await apply({ steps }, { clock: systemClock, signal });
    expect(report.steps.map(({ name, outcome }) => `${name} ${outcome}`)).toEqual([
      "resource group kept",
      "App Service plan api failed",
      "web app api skipped",
    ]);
  });

  test("names that are free cost one call each, and what may not be asked is left to the create", async ({ emulator }) => {
    const file = named("free-api", { resourceGroup: "rg-free", server: { name: "free-db" } });
    const project = await openTestProject(emulator, file);
    const last = emulator.journal.entries().at(-1)?.n ?? 0;
    const planned = await project.plan();
    expect(blockedOf(planned)).toBe(0);
    const paths = emulator.journal.entries().filter(({ n, method }) => n > last && method === "POST");
    expect(paths.map(({ path }) => path.split("/").at(-1)?.toLowerCase()).sort()).toEqual([
      "checknameavailability",
      "checknameavailability",
    ]);
    emulator.faults.add({
      method: "POST",
      path: "*checkNameAvailability",
      action: { kind: "status", status: 403, body: { error: { code: "AuthorizationFailed", message: "no" } } },
    });
    const moved = await openTestProject(emulator, named("free-api", { resourceGroup: "rg-free" }));
    const refused = await moved.plan();
    const same = await project.plan();
    emulator.faults.clear();
    expect(same.steps.map(({ change }) => change)).toEqual(planned.steps.map(({ change }) => change));
    expect(refused.steps[0]?.change).toMatchObject({ kind: "blocked", hint: expect.stringContaining('"rg-shop"') });
  });
});
