import { describe, expect } from "vitest";
import type { TestEmulator } from "../support/emulator.ts";
import { fileTest as test } from "../support/emulator.ts";
import { identityLinker, makeLinkerScene } from "../support/linkers.ts";
import { eventually, makeSite, pythonApp, type TestSite } from "../support/sites.ts";

const API = "api-version=2023-01-31";
const resource = "https://ossrdbms-aad.database.windows.net";

interface MadeIdentity {
  readonly id: string;
  readonly principalId: string;
  readonly clientId: string;
}

async function makeIdentity(emulator: TestEmulator, name: string, group = "rg-test"): Promise<MadeIdentity> {
  const id = `${await emulator.group(group)}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`;
  const { status, body, text } = await emulator.arm("PUT", `${id}?${API}`, { location: "eastus" });
  if (status > 201) throw new Error(text);
  return { id, principalId: body.properties.principalId, clientId: body.properties.clientId };
}

/** The identity endpoint as an instance of the app sees it. */
async function askerOf(emulator: TestEmulator, site: TestSite) {
  const environment = async (): Promise<Record<string, string>> =>
    (
      await eventually(
        () => emulator.fetch(site.origin),
        ({ status, body }) => status === 200 && typeof body?.env?.IDENTITY_ENDPOINT === "string",
      )
    ).body.env;
  return async (query = ""): Promise<{ status: number; body: Record<string, string> }> => {
    const { IDENTITY_ENDPOINT, IDENTITY_HEADER = "" } = await environment();
    const url = `${IDENTITY_ENDPOINT}?resource=${encodeURIComponent(resource)}&api-version=2019-08-01${query}`;
    const answer = await fetch(url, { headers: { "X-IDENTITY-HEADER": IDENTITY_HEADER } });
    return { status: answer.status, body: (await answer.json()) as Record<string, string> };
  };
}

describe("user-assigned identities", () => {
  test("PUT makes one with a principal of its own, keeps it, and PATCH changes its tags", async ({ emulator }) => {
    const group = await emulator.group("rg-identities");
    const id = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shop-id`;
    const made = await emulator.arm("PUT", `${id}?${API}`, { location: "East US", tags: { a: "1" } });
    expect([made.status, made.body]).toEqual([
      201,
      {
        id: id.replace("resourceGroups", "resourcegroups"),
        name: "shop-id",
        type: "Microsoft.ManagedIdentity/userAssignedIdentities",
        location: "eastus",
        tags: { a: "1" },
        properties: { tenantId: emulator.endpoints.tenantId, principalId: expect.any(String), clientId: expect.any(String) },
      },
    ]);
    const { principalId, clientId } = made.body.properties;
    expect(emulator.platform.directory.find(principalId)).toMatchObject({ displayName: "shop-id", appId: clientId, managedIdentityOf: id });
    const again = await emulator.arm("PUT", `${id.toUpperCase()}?${API}`, { location: "eastus", tags: { a: "2" } });
    expect([again.status, again.body.properties, again.body.tags]).toEqual([200, made.body.properties, { a: "2" }]);
    const patched = await emulator.arm("PATCH", `${id}?${API}`, { tags: { b: "3" } });
    expect([patched.status, patched.body.tags, patched.body.properties]).toEqual([200, { b: "3" }, made.body.properties]);
    const elsewhere = await emulator.arm("PUT", `${id}?${API}`, { location: "westus" });
    expect([elsewhere.status, elsewhere.body.error.code]).toEqual([409, "InvalidResourceLocation"]);
    const names = async (path: string): Promise<string[]> =>
      (await emulator.arm("GET", path)).body.value.map(({ name }: { name: string }) => name);
    expect(await names(`${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities?${API}`)).toEqual(["shop-id"]);
    expect(await names(`${emulator.subscription}/providers/Microsoft.ManagedIdentity/userAssignedIdentities?${API}`)).toContain("shop-id");
    expect(await names(`${group}/resources?api-version=2021-04-01`)).toEqual(["shop-id"]);
    expect((await emulator.arm("DELETE", `${id}?${API}`)).status).toBe(200);
    expect((await emulator.arm("DELETE", `${id}?${API}`)).status).toBe(204);
    expect((await emulator.arm("GET", `${id}?${API}`)).body.error.code).toBe("ResourceNotFound");
    expect(emulator.platform.directory.find(principalId)).toBeUndefined();
  });

  test("goes with its resource group", async ({ emulator }) => {
    const { principalId } = await makeIdentity(emulator, "doomed-id", "rg-doomed-id");
    const group = `${emulator.subscription}/resourceGroups/rg-doomed-id?api-version=2021-04-01`;
    await emulator.arm("DELETE", group);
    await emulator.until(group, ({ status }) => status === 404);
    expect(emulator.platform.directory.find(principalId)).toBeUndefined();
    expect((await makeIdentity(emulator, "doomed-id", "rg-doomed-id")).principalId).not.toBe(principalId);
  });

  test("a site takes and gives them up by the rules of PUT and PATCH", async ({ emulator }) => {
    const [one, two] = [await makeIdentity(emulator, "one-id"), await makeIdentity(emulator, "two-id")];
    const site = await makeSite(emulator, "assigned-site", { identity: true });
    const patch = (identity: object) => site.arm("PATCH", "", { identity });
    const entry = ({ principalId, clientId }: MadeIdentity) => ({ principalId, clientId });
    const both = await patch({ type: "SystemAssigned, UserAssigned", userAssignedIdentities: { [one.id]: {} } });
    expect(both.body.identity).toMatchObject({
      type: "SystemAssigned, UserAssigned",
      principalId: expect.any(String),
      userAssignedIdentities: { [one.id]: entry(one) },
    });
    const merged = await patch({ type: "UserAssigned", userAssignedIdentities: { [two.id]: {} } });
    expect(merged.body.identity).toEqual({
      type: "UserAssigned",
      userAssignedIdentities: { [one.id]: entry(one), [two.id]: entry(two) },
    });
    const without = await patch({ type: "UserAssigned", userAssignedIdentities: { [one.id.toUpperCase()]: null } });
    expect(without.body.identity.userAssignedIdentities).toEqual({ [two.id]: entry(two) });
    const put = { location: "eastus", properties: { serverFarmId: site.planId } };
    expect((await site.arm("PUT", "", put)).body.identity.userAssignedIdentities).toEqual({ [two.id]: entry(two) });
    const replaced = await site.arm("PUT", "", { ...put, identity: { type: "UserAssigned", userAssignedIdentities: { [one.id]: {} } } });
    expect(replaced.body.identity.userAssignedIdentities).toEqual({ [one.id]: entry(one) });
    const unknown = await patch({ type: "UserAssigned", userAssignedIdentities: { [`${one.id}x`]: {} } });
    expect([unknown.status, unknown.body.error.code]).toEqual([400, "FailedIdentityOperation"]);
    expect((await site.arm("GET")).body.identity.userAssignedIdentities).toEqual({ [one.id]: entry(one) });
    expect((await patch({ type: "None" })).body.identity).toBeUndefined();
    expect((await patch({ type: "UserAssigned" })).status).toBe(400);
  });

  test("its tokens come by client ID, object ID or resource ID; a deleted one gives none, a new one of its name neither", async ({
    emulator,
  }) => {
    const made = await makeIdentity(emulator, "token-id");
    const site = await makeSite(emulator, "token-site", { startup: "python app.py" });
    const patched = await site.arm("PATCH", "", { identity: { type: "UserAssigned", userAssignedIdentities: { [made.id]: {} } } });
    expect(patched.status).toBe(200);
    await site.deploy({ "app.py": pythonApp });
    const ask = await askerOf(emulator, site);
    for (const query of [
      `&client_id=${made.clientId}`,
      `&principal_id=${made.principalId}`,
      `&object_id=${made.principalId.toUpperCase()}`,
      `&mi_res_id=${encodeURIComponent(made.id)}`,
    ]) {
      const given = await ask(query);
      expect(given, query).toMatchObject({ status: 200, body: { client_id: made.clientId, resource } });
      expect(emulator.platform.tokens.verify(given.body.access_token ?? "", [resource])).toMatchObject({
        claims: { oid: made.principalId, appid: made.clientId, idtyp: "app", xms_mirid: made.id },
      });
    }
    expect(await ask()).toMatchObject({ status: 400, body: { message: "Unable to load the proper Managed Identity." } });
    const notFound = {
      status: 400,
      body: {
        statusCode: 400,
        message: "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
      },
    };
    expect(await ask("&client_id=00000000-0000-0000-0000-000000000000")).toMatchObject(notFound);
    await emulator.arm("DELETE", `${made.id}?${API}`);
    expect(await ask(`&client_id=${made.clientId}`)).toMatchObject(notFound);
    const next = await makeIdentity(emulator, "token-id");
    expect(await ask(`&client_id=${next.clientId}`)).toMatchObject(notFound);
    expect((await site.arm("GET")).body.identity.userAssignedIdentities[made.id].principalId).toBe(made.principalId);
    await site.arm("PATCH", "", { identity: { type: "None" } });
    await site.arm("PATCH", "", { identity: { type: "SystemAssigned, UserAssigned", userAssignedIdentities: { [made.id]: {} } } });
    // The instance that answers may still be the one before the change, whose header is closed.
    await eventually(
      () => ask(`&client_id=${next.clientId}`),
      ({ status }) => status === 200,
    );
    expect((await ask()).body.client_id).not.toBe(next.clientId);
  });

  test("a linker with one assigns it and names its client ID; one that is not there fails it", async ({ emulator }) => {
    const made = await makeIdentity(emulator, "linked-id");
    const scene = await makeLinkerScene(emulator, "uami-linker");
    const body = (clientId: string) =>
      identityLinker(scene.databaseId, {
        clientType: "nodejs",
        authInfo: { authType: "userAssignedIdentity", clientId, subscriptionId: emulator.endpoints.subscriptionId, userName: "shop" },
      });
    const put = await scene.linker("PUT", "conn", "2024-04-01", body(made.clientId));
    expect(put.body.properties.authInfo).toMatchObject({ authType: "userAssignedIdentity", clientId: made.clientId, userName: "shop" });
    expect((await scene.end(put)).body.status).toBe("Succeeded");
    expect(await scene.settings()).toMatchObject({ AZURE_POSTGRESQL_CLIENTID: made.clientId, AZURE_POSTGRESQL_USER: "shop" });
    expect((await scene.site.arm("GET")).body.identity).toMatchObject({
      type: "UserAssigned",
      userAssignedIdentities: { [made.id]: { clientId: made.clientId } },
    });
    const missing = await scene.linker("PUT", "conn", "2024-04-01", body("00000000-0000-0000-0000-000000000000"));
    expect((await scene.end(missing)).body).toMatchObject({ status: "Failed", error: { code: "ResourceNotFound" } });
    const without = await scene.linker("PUT", "other", "2024-04-01", body(""));
    expect(without.status).toBe(400);
  });
});
