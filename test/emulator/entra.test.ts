import { readFileSync } from "node:fs";
import { ResourceManagementClient } from "@azure/arm-resources";
import { ClientSecretCredential } from "@azure/identity";
import { createLocalJWKSet, jwtVerify } from "jose";
import { describe, expect } from "vitest";
import { readClaims } from "../../src/base/jwt.ts";
import { type TestEmulator, fileTest as test } from "../support/emulator.ts";

const PG = "https://ossrdbms-aad.database.windows.net";

async function ask(emulator: TestEmulator, form: Record<string, string>, path?: string) {
  const { authority, tenantId } = emulator.endpoints;
  return await emulator.fetch(`${authority}${path ?? `/${tenantId}/oauth2/v2.0/token`}`, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams(form).toString(),
  });
}

const app = (emulator: TestEmulator) => ({
  grant_type: "client_credentials",
  client_id: emulator.clientId,
  client_secret: readFileSync(emulator.clientSecretFile, "utf8"),
});

const user = (emulator: TestEmulator) => ({
  grant_type: "password",
  client_id: "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
  username: emulator.status.userPrincipalName,
  password: readFileSync(emulator.status.userPasswordFile, "utf8"),
});

// trap: postgres 40
test("the unmodified ClientSecretCredential signs in and the SDK lists resource groups", async ({ emulator }) => {
  const { endpoints, caPem, credential } = emulator;
  await emulator.group("rg-sdk");
  const client = new ResourceManagementClient(credential, endpoints.subscriptionId, {
    endpoint: endpoints.resourceManager,
    tlsOptions: { ca: caPem },
  });
  const names: string[] = [];
  for await (const group of client.resourceGroups.list()) names.push(group.name ?? "");
  expect(names).toEqual(["rg-sdk"]);
  const token = await credential.getToken(`${PG}/.default`);
  expect(readClaims(token.token)).toMatchObject({ aud: PG, idtyp: "app", appid: emulator.clientId });
});

test("a wrong secret reaches the SDK as AADSTS7000215 and is not repeated in the error", async ({ emulator }) => {
  const { endpoints, caPem, clientId } = emulator;
  const wrong = new ClientSecretCredential(endpoints.tenantId, clientId, "not-the-secret", {
    authorityHost: endpoints.authority,
    disableInstanceDiscovery: true,
    tlsOptions: { ca: caPem },
  });
  const error: Error = await wrong.getToken(`${PG}/.default`).then(
    () => expect.fail("it signed in"),
    (reason: Error) => reason,
  );
  expect(error.message).toContain("AADSTS7000215");
  expect(error.message).not.toContain("not-the-secret");
});

test("tokens verify against the published keys and discovery points to them", async ({ emulator }) => {
  const { authority, tenantId } = emulator.endpoints;
  const discovery = await emulator.fetch(`${authority}/${tenantId}/v2.0/.well-known/openid-configuration`);
  expect(discovery.body.token_endpoint).toBe(`${authority}/${tenantId}/oauth2/v2.0/token`);
  const keys = await emulator.fetch(discovery.body.jwks_uri);
  const answer = await ask(emulator, { ...app(emulator), scope: `${PG}/.default` });
  const { payload, protectedHeader } = await jwtVerify(answer.body.access_token, createLocalJWKSet(keys.body), {
    audience: PG,
    issuer: `https://sts.windows.net/${tenantId}/`,
  });
  expect(protectedHeader.alg).toBe("RS256");
  expect(payload).toMatchObject({ tid: tenantId, ver: "1.0", idtyp: "app" });
  expect(payload.oid).toBe(payload.sub);
});

test("a user signs in by password, is in a group, and can refresh; an app gets nothing to refresh with", async ({ emulator }) => {
  const first = await ask(emulator, { ...user(emulator), scope: `${PG}/.default offline_access` });
  expect(first.status).toBe(200);
  const claims = readClaims(first.body.access_token);
  expect(claims).toMatchObject({ upn: emulator.status.userPrincipalName, idtyp: "user" });
  expect(claims?.groups).toEqual(emulator.platform.directory.groupsOf(claims?.oid ?? ""));
  expect(claims?.groups).toHaveLength(1);
  const again = await ask(emulator, {
    grant_type: "refresh_token",
    client_id: user(emulator).client_id,
    refresh_token: first.body.refresh_token,
    scope: "https://management.azure.com/.default offline_access",
  });
  expect(readClaims(again.body.access_token)).toMatchObject({ aud: "https://management.azure.com", oid: claims?.oid });
  const machine = await ask(emulator, { ...app(emulator), scope: `${PG}/.default` });
  expect(machine.body.refresh_token).toBeUndefined();
});

test("the v1 endpoint takes `resource` and answers numbers as text", async ({ emulator }) => {
  const { tenantId } = emulator.endpoints;
  const answer = await ask(emulator, { ...app(emulator), resource: "https://management.azure.com/" }, `/${tenantId}/oauth2/token`);
  expect(answer.body).toMatchObject({ token_type: "Bearer", expires_in: "3600", resource: "https://management.azure.com/" });
  expect(readClaims(answer.body.access_token)?.exp).toBe(Number(answer.body.expires_on));
});

describe("refusals are worded and numbered as Entra's", () => {
  test.for([
    ["another tenant", 90002, {}, "/11111111-1111-4111-8111-111111111111/oauth2/v2.0/token"],
    ["an unknown app", 700016, { client_id: "22222222-2222-4222-8222-222222222222" }, undefined],
    ["a wrong secret", 7000215, { client_secret: "wrong" }, undefined],
    ["an unknown resource", 500011, { scope: "https://nowhere.example/.default" }, undefined],
    ["a scope without /.default", 1002012, { scope: `${PG}/user_impersonation` }, undefined],
    ["a scope that is no address", 70011, { scope: "/.default" }, undefined],
    ["no scope", 900144, { scope: "" }, undefined],
    ["an unknown grant", 70003, { grant_type: "device_code" }, undefined],
  ] as const)("%s: AADSTS%i", async ([, number, change, path], { emulator }) => {
    const answer = await ask(emulator, { ...app(emulator), scope: `${PG}/.default`, ...change }, path);
    expect([400, 401]).toContain(answer.status);
    expect(answer.body.error_codes).toEqual([number]);
    expect(answer.body.error_description).toMatch(new RegExp(`^AADSTS${number}: .* Trace ID: .* Correlation ID: .* Timestamp: `));
    expect(Object.keys(answer.body).sort()).toEqual(
      ["error", "error_codes", "error_description", "error_uri", "correlation_id", "timestamp", "trace_id"].sort(),
    );
  });

  test("a wrong password, an unknown user, an unknown refresh token", async ({ emulator }) => {
    const scope = `${PG}/.default`;
    expect((await ask(emulator, { ...user(emulator), scope, password: "wrong" })).body.error_codes).toEqual([50126]);
    expect((await ask(emulator, { ...user(emulator), scope, username: "no@local.example" })).body.error_codes).toEqual([50034]);
    const refresh = { grant_type: "refresh_token", client_id: "x", refresh_token: "1.none", scope };
    expect((await ask(emulator, refresh)).body).toMatchObject({ error: "invalid_grant", error_codes: [70000] });
  });
});
