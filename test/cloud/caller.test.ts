import { randomUUID } from "node:crypto";
import { afterEach, describe, expect, vi } from "vitest";
import { signIn, whoAmI } from "../../src/cloud/credential.ts";
import { environments } from "../../src/cloud/environment.ts";
import { verify } from "../../src/graph/project-checks.ts";
import { type TestEmulator, fileTest as test } from "../support/emulator.ts";
import { leapingClock } from "../support/leaping-clock.ts";
import { failuresOf } from "../support/outcomes.ts";
import { openTestProject, type TestProject } from "../support/project.ts";
import { makeSite, pythonApp } from "../support/sites.ts";

// The tool itself runs as a managed identity: on a machine of Azure, in a pipeline.

const file = { apps: { api: { runtime: "python|3.12", plan: "B1" } } };
const machine = "/subscriptions/s/resourceGroups/ops/providers/Microsoft.Compute/virtualMachines/build-agent";
/** Owner is more than the tool needs; without any role ARM refuses the identity. */
async function contributor(emulator: TestEmulator, principalId: string): Promise<void> {
  const roleDefinitionId = `${emulator.subscription}/providers/Microsoft.Authorization/roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c`;
  const id = `${emulator.subscription}/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}?api-version=2022-04-01`;
  const { status } = await emulator.arm("PUT", id, { properties: { roleDefinitionId, principalId, principalType: "ServicePrincipal" } });
  if (status !== 201 && status !== 409) throw new Error(`no role: ${status}`);
}

async function openAs(emulator: TestEmulator, caller: string, more: object = {}) {
  await contributor(emulator, caller);
  return openTestProject(emulator, { ...file, ...more }, { caller });
}

async function administratorsOf({ cloud, setup }: TestProject) {
  return cloud.postgresServers.listAdministrators(setup.resourceGroup, setup.server.name);
}

/** The role that PostgreSQL says the caller signed in as. */
async function loginOf({ cloud, databases, firewallAccess, setup }: TestProject): Promise<string> {
  const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
  if (!server) throw new Error("no server");
  const roles = await databases.asAdministrator(server);
  expect(await roles.canSignIn()).toBe(true);
  await firewallAccess.revoke();
  return roles.login;
}

afterEach(() => void vi.unstubAllEnvs());

describe.sequential("a managed identity as the caller", () => {
  test("without a role on anything it is refused at the first step, with the role to ask for", async ({ emulator }) => {
    const stranger = emulator.platform.directory.createManagedIdentity(machine.replace("build-agent", "stranger"), "stranger");
    const project = await openTestProject(emulator, file, { caller: stranger.objectId });
    await expect(project.init()).rejects.toMatchObject({ code: "azure/denied", hint: expect.stringContaining("Contributor") });
  });

  test("becomes administrator as the service principal it is, under the name of its resource, and signs in with it", async ({
    emulator,
  }) => {
    const identity = emulator.platform.directory.createManagedIdentity(machine, "build-agent");
    const project = await openAs(emulator, identity.objectId);
    expect(project.cloud.caller).toMatchObject({ objectId: identity.objectId, type: "ServicePrincipal", name: "build-agent" });
    expect(failuresOf(await project.init())).toEqual([]);
    expect(await administratorsOf(project)).toEqual([
      expect.objectContaining({ objectId: identity.objectId, type: "ServicePrincipal", name: "build-agent" }),
    ]);
    expect(await loginOf(project)).toBe("build-agent");
    const { cloud, firewallAccess, setup } = project;
    const checks = await verify({ setup, cloud, firewallAccess, clock: leapingClock(), signal: new AbortController().signal, marker: "m" });
    await firewallAccess.revoke();
    expect(checks.filter(({ name }) => name.startsWith("caller"))).toMatchObject([
      { ok: true, detail: "build-agent (ServicePrincipal)" },
      { ok: true, detail: "as build-agent with a token" },
    ]);
    project.writes();
    expect((await project.init()).steps.filter(({ outcome }) => outcome !== "kept")).toEqual([]);
    expect(project.writes()).toEqual([]);
  });

  test("is known by its object ID: an administrator under its client ID, as az makes it, is taken; another of its name is not", async ({
    emulator,
  }) => {
    const { directory } = emulator.platform;
    const own = directory.findByResource(machine);
    const twin = directory.createManagedIdentity(machine.replace("/ops/", "/other/"), "build-agent");
    if (!own) throw new Error("no identity");
    const first = await openAs(emulator, own.objectId);
    const { resourceGroup, server } = first.setup;
    await first.cloud.postgresServers.deleteAdministrator(resourceGroup, server.name, own.objectId);
    await first.cloud.postgresServers.putAdministrator(resourceGroup, server.name, {
      objectId: own.objectId,
      name: own.appId ?? "",
      type: "ServicePrincipal",
      tenantId: emulator.endpoints.tenantId,
    });
    expect(failuresOf(await first.init())).toEqual([]);
    expect(await loginOf(first)).toBe(own.appId);
    const other = await openAs(emulator, twin.objectId);
    expect(failuresOf(await other.init())).toEqual([]);
    expect((await administratorsOf(other)).map(({ objectId }) => objectId).sort()).toEqual([own.objectId, twin.objectId].sort());
    expect(await loginOf(other)).toBe("build-agent");
  });

  test("signs in through the unmodified chain, by the client ID of the user-assigned identity it is to be", async ({ emulator }) => {
    const id = `${await emulator.group("rg-ops")}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/deployer`;
    const made = await emulator.arm("PUT", `${id}?api-version=2023-01-31`, { location: "eastus" });
    const { clientId, principalId } = made.body.properties;
    const site = await makeSite(emulator, "runner", { startup: "python app.py", identity: true, group: "rg-ops" });
    const identity = { type: "SystemAssigned, UserAssigned", userAssignedIdentities: { [id]: {} } };
    await site.arm("PATCH", "", { identity });
    await site.deploy({ "app.py": pythonApp });
    const { env } = (await emulator.fetch(site.origin)).body;
    for (const name of ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"]) vi.stubEnv(name, env[name]);
    vi.stubEnv("PATH", "/nowhere"); // no Azure CLI that somebody is signed in to
    const { endpoints, caPem } = emulator;
    const environment = { ...environments.public, authorityHost: endpoints.authority, resourceManager: endpoints.resourceManager, caPem };
    expect(await whoAmI(await signIn(environment, { clientId }), environment)).toMatchObject({
      objectId: principalId,
      name: "deployer",
      type: "ServicePrincipal",
    });
    const system = (await site.arm("GET")).body.identity.principalId;
    expect(await whoAmI(await signIn(environment, {}), environment)).toMatchObject({ objectId: system, name: "runner" });
  });
});
