import { randomUUID } from "node:crypto";
import { describe, expect } from "vitest";
import { audiences } from "../../src/emulator/platform.ts";
import { type Answer, type TestEmulator, fileTest as test } from "../support/emulator.ts";
import { makeSite } from "../support/sites.ts";

const roles = {
  Owner: "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
  Contributor: "b24988ac-6180-42a0-ab88-20f7382dd24c",
  Reader: "acdd72a7-3385-48ef-bd42-f606fba81ae7",
};

interface Caller {
  readonly objectId: string;
  readonly appId: string;
  arm(method: string, path: string, body?: unknown): Promise<Answer>;
}

function newIdentity(emulator: TestEmulator, name: string): Caller {
  const id = `${emulator.subscription}/resourceGroups/ids/providers/Microsoft.Web/sites/${name}`;
  const principal = emulator.platform.directory.createManagedIdentity(id, name);
  const { token } = emulator.platform.tokens.mint(principal, audiences.resourceManager[0]);
  const headers = { authorization: `Bearer ${token}` };
  const arm: Caller["arm"] = (method, path, body) => emulator.arm(method, path, body, { headers });
  return { objectId: principal.objectId, appId: principal.appId ?? "", arm };
}

const assignmentAt = (scope: string, name: string = randomUUID()): string =>
  `${scope}/providers/Microsoft.Authorization/roleAssignments/${name}?api-version=2022-04-01`;
const bodyOf = (emulator: TestEmulator, principalId: string, role: string) => ({
  properties: {
    roleDefinitionId: `${emulator.subscription}/providers/Microsoft.Authorization/roleDefinitions/${role}`,
    principalId,
    principalType: "ServicePrincipal",
  },
});
const assign = (emulator: TestEmulator, { objectId }: Caller, role: keyof typeof roles, scope: string): Promise<Answer> =>
  emulator.arm("PUT", assignmentAt(scope), bodyOf(emulator, objectId, roles[role]));

describe("a managed identity without a role", () => {
  test("gets 403 AuthorizationFailed in ARM's words for every route but the two lists, which are empty or its own tenant", async ({
    emulator,
  }) => {
    const group = await emulator.group("rg-closed");
    const app = newIdentity(emulator, "no-role");
    const put = await app.arm("PUT", `${group}?api-version=2021-04-01`, { location: "eastus" });
    expect(put.status).toBe(403);
    expect(put.headers.get("x-ms-failure-cause")).toBe("gateway");
    expect(put.body).toEqual({
      error: {
        code: "AuthorizationFailed",
        message: `The client '${app.appId}' with object id '${app.objectId}' does not have authorization to perform action 'Microsoft.Resources/subscriptions/resourceGroups/write' over scope '${group}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
      },
    });
    const listed = await app.arm("GET", "/subscriptions?api-version=2022-12-01");
    expect([listed.status, listed.body.value]).toEqual([200, []]);
    expect((await app.arm("GET", "/tenants?api-version=2022-12-01")).body.value).toHaveLength(1);

    const { body } = await emulator.fetch(`${emulator.control.url}/_local/coverage`, {
      headers: { authorization: `Bearer ${emulator.control.key}` },
    });
    const routes = (body.value as { method: string; path: string; apiVersions: readonly string[] }[]).filter(({ path }) =>
      /^\/(subscriptions\/|\{scope)/.test(path),
    );
    expect(routes.length).toBeGreaterThan(120);
    for (const { method, path, apiVersions } of routes) {
      const concrete = path
        .replace("{subscription}", emulator.endpoints.subscriptionId)
        .replace("{group}", "rg-closed")
        .replace("/{scope...}", group)
        .replaceAll(/\{\w+(\.\.\.)?\}/g, "x");
      const answer = await app.arm(
        method,
        `${concrete}?api-version=${apiVersions.at(-1)}`,
        ["PUT", "PATCH"].includes(method) ? {} : undefined,
      );
      expect([method, path, answer.status]).toEqual([method, path, 403]);
      if (method !== "HEAD") expect(answer.body.error.code).toBe("AuthorizationFailed");
    }
  });

  test("cannot make itself anything: no role, no administrator, no other identity", async ({ emulator }) => {
    const group = await emulator.group("rg-climb");
    const app = newIdentity(emulator, "climber");
    for (const scope of [emulator.subscription, group]) {
      expect((await app.arm("PUT", assignmentAt(scope), bodyOf(emulator, app.objectId, roles.Owner))).status).toBe(403);
    }
    expect((await assign(emulator, app, "Contributor", group)).status).toBe(201);
    expect((await app.arm("PUT", assignmentAt(group), bodyOf(emulator, app.objectId, roles.Owner))).body.error.code).toBe(
      "AuthorizationFailed",
    );
    const [held] = (await app.arm("GET", `${group}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01`)).body.value;
    expect((await app.arm("DELETE", `${held.id}?api-version=2022-04-01`)).status).toBe(403);

    const mighty = `${await emulator.group("rg-mighty")}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/mighty`;
    await emulator.arm("PUT", `${mighty}?api-version=2023-01-31`, { location: "eastus" });
    const plan = `${group}/providers/Microsoft.Web/serverfarms/p?api-version=2024-11-01`;
    expect(
      (await app.arm("PUT", plan, { location: "eastus", kind: "linux", sku: { name: "B1" }, properties: { reserved: true } })).status,
    ).toBeLessThan(300);
    const site = (identity: object) => ({ location: "eastus", identity, properties: { serverFarmId: plan.split("?")[0] } });
    const taken = site({ type: "UserAssigned", userAssignedIdentities: { [mighty]: {} } });
    const refused = await app.arm("PUT", `${group}/providers/Microsoft.Web/sites/climb-1?api-version=2024-11-01`, taken);
    expect([refused.status, refused.body.error.code]).toEqual([403, "LinkedAuthorizationFailed"]);
    expect(refused.body.error.message).toContain(`the linked scope(s) '${mighty}'`);
  });
});

describe("a role", () => {
  test("Reader reads and writes nothing; Contributor writes, at its scope only; lists hold what may be seen", async ({ emulator }) => {
    const [own, other] = [await emulator.group("rg-own"), await emulator.group("rg-other")];
    const [reader, writer] = [newIdentity(emulator, "reader"), newIdentity(emulator, "writer")];
    expect((await assign(emulator, reader, "Reader", emulator.subscription)).status).toBe(201);
    expect((await assign(emulator, writer, "Contributor", own)).status).toBe(201);
    const version = "?api-version=2021-04-01";
    expect((await reader.arm("GET", own + version)).status).toBe(200);
    expect((await reader.arm("PATCH", own + version, { tags: { a: "b" } })).status).toBe(403);
    expect((await reader.arm("POST", `${emulator.subscription}/providers/Microsoft.Web/register${version}`)).status).toBe(403);
    expect((await writer.arm("PATCH", own + version, { tags: { a: "b" } })).status).toBe(200);
    expect((await writer.arm("GET", other + version)).status).toBe(403);
    const names = async (caller: Caller): Promise<string[]> =>
      (await caller.arm("GET", `${emulator.subscription}/resourceGroups${version}`)).body.value.map(({ name }: { name: string }) => name);
    expect(await names(writer)).toEqual(["rg-own"]);
    expect(await names(reader)).toEqual(expect.arrayContaining(["rg-own", "rg-other"]));
    expect((await writer.arm("GET", "/subscriptions?api-version=2022-12-01")).body.value).toHaveLength(1);
  });

  test("on a site opens its SCM, on another none; a deleted site takes its roles with it", async ({ emulator }) => {
    const [one, two] = [await makeSite(emulator, "scm-one", { group: "rg-scm" }), await makeSite(emulator, "scm-two", { group: "rg-scm" })];
    const app = newIdentity(emulator, "deployer");
    const id = `${emulator.subscription}/resourceGroups/rg-scm/providers/Microsoft.Web/sites/scm-one`;
    const scm = async (site: typeof one): Promise<number> => {
      const host = (await site.arm("GET")).body.properties.hostNameSslStates.find(
        (row: { hostType: string }) => row.hostType === "Repository",
      ).name;
      const token = await emulator.tokenFor(app.objectId, audiences.resourceManager[0]);
      return (await emulator.fetch(`https://${host}/api/deployments`, { headers: { authorization: `Bearer ${token}` } })).status;
    };
    expect(await scm(one)).toBe(403);
    expect((await assign(emulator, app, "Reader", id)).status).toBe(201);
    expect(await scm(one)).toBe(403);
    expect((await assign(emulator, app, "Contributor", id)).status).toBe(201);
    expect([await scm(one), await scm(two)]).toEqual([200, 403]);
    await emulator.arm("DELETE", `${id}?api-version=2024-11-01`);
    const left = await emulator.arm(
      "GET",
      `${emulator.subscription}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01`,
    );
    expect(left.body.value.filter(({ properties }: { properties: { scope: string } }) => properties.scope === id)).toEqual([]);
  });

  test("is made, read, listed and deleted as the specification says, and refused as Azure does", async ({ emulator }) => {
    const group = await emulator.group("rg-assign");
    const app = newIdentity(emulator, "holder");
    const path = assignmentAt(group, "11111111-2222-4333-8444-555555555555");
    const body = bodyOf(emulator, app.objectId, roles.Reader);
    const made = await emulator.arm("PUT", path, body);
    expect([made.status, made.body]).toMatchObject([
      201,
      {
        id: path.split("?")[0],
        name: "11111111-2222-4333-8444-555555555555",
        type: "Microsoft.Authorization/roleAssignments",
        properties: {
          scope: group,
          principalId: app.objectId,
          principalType: "ServicePrincipal",
          roleDefinitionId: body.properties.roleDefinitionId,
        },
      },
    ]);
    expect((await emulator.arm("PUT", path, body)).status).toBe(200);
    expect((await emulator.arm("GET", path)).body).toEqual(made.body);
    const refusals: readonly (readonly [number, string, string, unknown])[] = [
      [400, "RoleAssignmentUpdateNotPermitted", path, bodyOf(emulator, app.objectId, roles.Owner)],
      [409, "RoleAssignmentExists", assignmentAt(group), body],
      [400, "PrincipalNotFound", assignmentAt(group), bodyOf(emulator, randomUUID(), roles.Reader)],
      [400, "RoleDefinitionDoesNotExist", assignmentAt(group), bodyOf(emulator, app.objectId, randomUUID())],
      [400, "InvalidRoleAssignmentId", assignmentAt(group, "mine"), body],
      [404, "ResourceGroupNotFound", assignmentAt(`${emulator.subscription}/resourceGroups/none`), body],
      [404, "ResourceNotFound", assignmentAt(`${group}/providers/Microsoft.Web/sites/none`), body],
      [501, "NotImplementedByLocalAzure", assignmentAt(group), { properties: { ...body.properties, condition: "x" } }],
    ];
    for (const [status, code, at, sent] of refusals) {
      const answer = await emulator.arm("PUT", at, sent);
      expect([answer.status, answer.body.error.code]).toEqual([status, code]);
    }
    const list = `${group}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter=`;
    const found = async (filter: string): Promise<number> =>
      (await emulator.arm("GET", list + encodeURIComponent(filter))).body.value.length;
    expect(await found(`principalId eq '${app.objectId}'`)).toBe(1);
    expect(await found(`principalId eq '${randomUUID()}'`)).toBe(0);
    // Those above count; those below do not.
    expect(await found("atScope()")).toBe(2);
    const above = `${emulator.subscription}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter=atScope()`;
    expect(JSON.stringify((await emulator.arm("GET", above)).body)).not.toContain("rg-assign");
    const definitions = `${emulator.subscription}/providers/Microsoft.Authorization/roleDefinitions?api-version=2022-04-01&$filter=`;
    const named = (await emulator.arm("GET", definitions + encodeURIComponent("roleName eq 'Contributor'"))).body.value;
    expect(named).toMatchObject([{ name: roles.Contributor, properties: { roleName: "Contributor", type: "BuiltInRole" } }]);
    expect((await emulator.arm("DELETE", path)).status).toBe(200);
    expect((await emulator.arm("DELETE", path)).status).toBe(204);
    expect((await emulator.arm("GET", path)).status).toBe(404);
  });
});
