import { expect } from "vitest";
import { ownAdministrator } from "../../../src/cloud/database/own-administrator.ts";
import { failuresOf } from "../../support/outcomes.ts";
import { openTestProject } from "../../support/project.ts";
import { projectTest } from "../../support/project-fixture.ts";

const test = projectTest({});

// trap: passwordless-flow 2, passwordless-flow 2 emulator
test("a caller who is administrator through a group only is not added, and signs in as the group", async ({ emulator, project: owner }) => {
  const { directory } = emulator.platform;
  const user = directory.list().find(({ type }) => type === "User");
  const group = directory.list().find(({ type }) => type === "Group");
  if (!user || !group) throw new Error("the directory has no user or group");
  const { resourceGroup, server } = owner.setup;
  await owner.cloud.postgresServers.putAdministrator(resourceGroup, server.name, {
    objectId: group.objectId,
    name: group.displayName,
    type: "Group",
    tenantId: emulator.endpoints.tenantId,
  });
  const project = await openTestProject(emulator, {}, { caller: user.objectId });
  expect(project.cloud.caller.groups).toEqual([group.objectId]);
  expect(failuresOf(await project.init())).toEqual([]);
  const administrators = await project.cloud.postgresServers.listAdministrators(resourceGroup, server.name);
  expect(administrators.map(({ objectId }) => objectId)).not.toContain(user.objectId);
  // Tokens with too many groups, and those of managed identities, name none: then the login itself tells.
  const at = await project.cloud.postgresServers.get(resourceGroup, server.name);
  if (!at) throw new Error("no server");
  const tried = await ownAdministrator({ ...project.cloud.caller, groups: [] }, administrators, (login) =>
    project.databases.at(at, login).canSignIn(),
  );
  expect(tried?.name).toBe(group.displayName);
  await project.firewallAccess.revoke();
});

// trap: postgres 15
test("a guest is found by object ID and signs in under the name the administrator has, whatever signs it holds", async ({
  emulator,
  project: owner,
}) => {
  const user = emulator.platform.directory.list().find(({ type }) => type === "User");
  const { resourceGroup, server } = owner.setup;
  const name = `ana.o'brien"_example.com#EXT#@local.onmicrosoft.com`;
  await owner.cloud.postgresServers.putAdministrator(resourceGroup, server.name, {
    objectId: user?.objectId ?? "",
    name,
    type: "User",
    tenantId: emulator.endpoints.tenantId,
  });
  const project = await openTestProject(emulator, {}, { caller: user?.objectId });
  expect(failuresOf(await project.init())).toEqual([]);
  const at = await project.cloud.postgresServers.get(resourceGroup, server.name);
  expect(at && (await project.databases.asAdministrator(at)).login).toBe(name);
  await project.firewallAccess.revoke();
});
