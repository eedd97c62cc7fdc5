import { readFileSync } from "node:fs";
import { ResourceManagementClient } from "@azure/arm-resources";
import { describe, expect } from "vitest";
import type { FaultAction } from "../../src/emulator/http/faults.ts";
import { test as freshTest, type TestEmulator, fileTest as test } from "../support/emulator.ts";

const API = "api-version=2021-04-01";
const ARM = "https://management.azure.com/";

const authorized = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const control = (emulator: TestEmulator, method: string, path: string, body?: unknown) =>
  emulator.fetch(`${emulator.control.url}/_local/${path}`, {
    method,
    headers: { authorization: `Bearer ${emulator.control.key}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

describe("who may call", () => {
  test.for([
    // trap: postgres 39
    ["an expired token", ARM, { flaw: "expired" }, "ExpiredAuthenticationToken"],
    ["a token not valid yet", ARM, { flaw: "not-yet-valid" }, "InvalidAuthenticationToken"],
    ["a token signed by another key", ARM, { flaw: "signature" }, "InvalidAuthenticationToken"],
    ["a token of another tenant", ARM, { flaw: "tenant" }, "InvalidAuthenticationTokenTenant"],
    ["a token for PostgreSQL", "https://ossrdbms-aad.database.windows.net", {}, "InvalidAuthenticationTokenAudience"],
  ] as const)("%s is refused with 401 and a challenge", async ([, audience, options, code], { emulator }) => {
    const token = await emulator.tokenFor(emulator.clientId, audience, options);
    const answer = await emulator.arm("GET", `${emulator.subscription}/resourceGroups?${API}`, undefined, authorized(token));
    expect(answer.status).toBe(401);
    expect(answer.body.error.code).toBe(code);
    expect(answer.headers.get("www-authenticate")).toMatch(
      /^Bearer authorization_uri="https:\/\/localhost:\d+\/[0-9a-f-]+", error="invalid_token"/,
    );
    expect(answer.text).not.toContain(token);
  });

  test("no token and a malformed one", async ({ emulator }) => {
    const url = `${emulator.endpoints.resourceManager}${emulator.subscription}/resourceGroups?${API}`;
    expect((await emulator.fetch(url)).body.error.code).toBe("AuthenticationFailed");
    const malformed = await emulator.fetch(url, authorized("x.y.z"));
    expect(malformed.body.error.code).toBe("InvalidAuthenticationToken");
  });

  test("the control API wants its own key", async ({ emulator }) => {
    expect((await emulator.fetch(`${emulator.control.url}/_local/status`)).status).toBe(401);
    expect((await control(emulator, "GET", "status")).body).toMatchObject({ running: true, arm: emulator.endpoints.resourceManager });
  });
});

describe("what ARM says before any provider is asked", () => {
  test("a missing api-version, an unknown one, an unknown subscription, an unknown route, broken JSON", async ({ emulator }) => {
    const { subscription } = emulator;
    const group = await emulator.group();
    const site = `${group}/providers/Microsoft.Web/sites/x`;
    expect((await emulator.arm("GET", `${subscription}/resourceGroups`)).body.error.code).toBe("MissingApiVersionParameter");
    const old = (await emulator.arm("GET", `${site}?api-version=1999-01-01`)).body.error;
    expect(old.code).toBe("NoRegisteredProviderFound");
    expect(old.message).toContain("for type 'sites'. The supported api-versions are '");
    const lost = await emulator.arm("GET", `/subscriptions/33333333-3333-4333-8333-333333333333/resourceGroups?${API}`);
    expect([lost.status, lost.body.error.code]).toEqual([404, "SubscriptionNotFound"]);
    const unknown = await emulator.arm("GET", `${group}/providers/Microsoft.Nowhere/things/x?${API}`);
    expect([unknown.status, unknown.body.error.code]).toEqual([501, "NotImplementedByLocalAzure"]);
    expect(unknown.body.error.message).toContain("/providers/Microsoft.Nowhere/things/x");
    const token = await emulator.tokenFor(emulator.clientId, ARM);
    const broken = await emulator.fetch(`${emulator.endpoints.resourceManager}${subscription}/resourceGroups/x?${API}`, {
      method: "PUT",
      ...authorized(token),
      body: "{",
    });
    expect([broken.status, broken.body.error.code]).toEqual([400, "InvalidRequestContent"]);
    const huge = await emulator.arm("PUT", `${subscription}/resourceGroups/x?${API}`, { location: "x".repeat(5 << 20) });
    expect(huge.status).toBe(413);
  });

  test("every answer has request IDs and a rate budget", async ({ emulator }) => {
    const { headers } = await emulator.arm("GET", `${emulator.subscription}?api-version=2022-12-01`);
    for (const name of ["x-ms-request-id", "x-ms-correlation-request-id", "x-ms-routing-request-id"])
      expect(headers.get(name)).toBeTruthy();
    expect(headers.get("x-ms-ratelimit-remaining-subscription-reads")).toMatch(/^\d+$/);
  });
});

describe("resource groups", () => {
  test("the SDK creates, lists, tags and deletes one", async ({ emulator }) => {
    const client = new ResourceManagementClient(emulator.credential, emulator.endpoints.subscriptionId, {
      endpoint: emulator.endpoints.resourceManager,
      tlsOptions: { ca: emulator.caPem },
    });
    const made = await client.resourceGroups.createOrUpdate("rg-life", { location: "East US", tags: { owner: "me" } });
    expect(made).toMatchObject({
      name: "rg-life",
      location: "eastus",
      tags: { owner: "me" },
      properties: { provisioningState: "Succeeded" },
    });
    expect((await client.resourceGroups.checkExistence("RG-LIFE")).body).toBe(true);
    const tagged: string[] = [];
    for await (const group of client.resourceGroups.list({ filter: "tagName eq 'owner' and tagValue eq 'me'" }))
      tagged.push(group.name ?? "");
    expect(tagged).toEqual(["rg-life"]);
    await client.resourceGroups.beginDeleteAndWait("rg-life");
    expect((await client.resourceGroups.checkExistence("rg-life")).body).toBe(false);
    await expect(client.resourceGroups.get("rg-life")).rejects.toMatchObject({ code: "ResourceGroupNotFound", statusCode: 404 });
  });

  test("deletion takes polls, and the group refuses changes meanwhile", async ({ emulator }) => {
    const group = await emulator.group("rg-going");
    const accepted = await emulator.arm("DELETE", `${group}?${API}`);
    expect([accepted.status, accepted.text, accepted.headers.get("retry-after")]).toEqual([202, "", "1"]);
    const location = accepted.headers.get("location") ?? "";
    expect(location).toContain("/operationresults/");
    expect((await emulator.arm("GET", `${group}?${API}`)).body.properties.provisioningState).toBe("Deleting");
    expect((await emulator.arm("PUT", `${group}?${API}`, { location: "eastus" })).body.error.code).toBe("ResourceGroupBeingDeleted");
    expect((await emulator.until(location, ({ status }) => status !== 202)).status).toBe(200);
    expect((await emulator.arm("GET", `${group}?${API}`)).status).toBe(404);
  });

  test("a group stays where it is", async ({ emulator }) => {
    const group = await emulator.group("rg-fixed");
    const moved = await emulator.arm("PUT", `${group}?${API}`, { location: "westeurope" });
    expect([moved.status, moved.body.error.code]).toEqual([409, "InvalidResourceGroupLocation"]);
  });

  test("resources are listed by type and go with their group", async ({ emulator }) => {
    const group = await emulator.group("rg-full");
    const plan = `${group}/providers/Microsoft.Web/serverfarms/plan-full`;
    const body = { location: "eastus", sku: { name: "B1" }, properties: { reserved: true } };
    expect((await emulator.arm("PUT", `${plan}?api-version=2024-04-01`, body)).status).toBeLessThan(300);
    const filter = encodeURIComponent("resourceType eq 'Microsoft.Web/serverfarms'");
    const found = await emulator.arm("GET", `${emulator.subscription}/resources?${API}&$filter=${filter}`);
    expect(found.body.value.map(({ name }: { name: string }) => name)).toContain("plan-full");
    const none = await emulator.arm(
      "GET",
      `${group}/resources?${API}&$filter=${encodeURIComponent("resourceType eq 'Microsoft.Web/sites'")}`,
    );
    expect(none.body.value).toEqual([]);
    const accepted = await emulator.arm("DELETE", `${group}?${API}`);
    await emulator.until(accepted.headers.get("location") ?? "", ({ status }) => status === 200);
    await emulator.group("rg-full");
    expect((await emulator.arm("GET", `${plan}?api-version=2024-04-01`)).status).toBe(404);
  });
});

// trap: postgres 37
test("an unregistered provider refuses, registering takes a poll", async ({ emulator }) => {
  const provider = `${emulator.subscription}/providers/Microsoft.Web`;
  const group = await emulator.group();
  const site = `${group}/providers/Microsoft.Web/sites/x?api-version=2024-04-01`;
  expect((await emulator.arm("GET", `${provider}?${API}`)).body.registrationState).toBe("Registered");
  await emulator.arm("POST", `${provider}/unregister?${API}`);
  const refused = await emulator.arm("GET", site);
  expect([refused.status, refused.body.error.code]).toEqual([409, "MissingSubscriptionRegistration"]);
  expect((await emulator.arm("POST", `${provider}/register?${API}`)).body.registrationState).toBe("Registering");
  expect((await emulator.arm("GET", `${provider}?${API}`)).body.registrationState).toBe("Registering");
  expect((await emulator.arm("GET", `${provider}?${API}`)).body.registrationState).toBe("Registered");
  expect((await emulator.arm("GET", site)).status).toBe(404);
});

describe("faults", () => {
  const read = (emulator: TestEmulator) => emulator.arm("GET", `${emulator.subscription}/resourceGroups?${API}`);
  const fault = (action: FaultAction) => ({ method: "GET", path: "/subscriptions/*/resourceGroups", times: 1, action });

  test("429 with Retry-After, once, after one request was let through", async ({ emulator }) => {
    emulator.journal.clear();
    const given = { ...fault({ kind: "status", status: 429, headers: { "retry-after": "7" } }), skip: 1 };
    expect((await control(emulator, "POST", "faults", given)).status).toBe(201);
    expect((await read(emulator)).status).toBe(200);
    const caught = await read(emulator);
    expect([caught.status, caught.body.error.code, caught.headers.get("retry-after")]).toEqual([429, "TooManyRequests", "7"]);
    expect((await read(emulator)).status).toBe(200);
    expect(emulator.journal.entries().map(({ status, fault }) => [status, fault])).toEqual([
      [200, undefined],
      [429, "status"],
      [200, undefined],
    ]);
  });

  // trap: kudu 15
  test("reset, cut and drop-after end the connection; drop-after has done the work", async ({ emulator }) => {
    for (const kind of ["reset", "cut"] as const) {
      emulator.faults.add(fault({ kind }));
      await expect(read(emulator)).rejects.toMatchObject({ code: "ECONNRESET" });
    }
    emulator.faults.add({ method: "PUT", times: 1, action: { kind: "drop-after" } });
    await expect(emulator.group("rg-dropped")).rejects.toMatchObject({ code: "ECONNRESET" });
    expect((await read(emulator)).body.value.map(({ name }: { name: string }) => name)).toContain("rg-dropped");
  });

  test("a stall, a proxy's page", async ({ emulator }) => {
    emulator.faults.add(fault({ kind: "stall", ms: 300 }));
    const startedAt = performance.now();
    expect((await read(emulator)).status).toBe(200);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(295);
    emulator.faults.add(fault({ kind: "html" }));
    expect(await read(emulator)).toMatchObject({ status: 502, text: expect.stringContaining("Bad Gateway") });
  });

  // trap: postgres 11
  test("operation-fails lets the request pass and fails the poll", async ({ emulator }) => {
    const group = await emulator.group("rg-locked");
    emulator.faults.add({ method: "DELETE", times: 1, action: { kind: "operation-fails", code: "ScopeLocked" } });
    const accepted = await emulator.arm("DELETE", `${group}?${API}`);
    expect(accepted.status).toBe(202);
    const ended = await emulator.until(accepted.headers.get("location") ?? "", ({ status }) => status !== 202);
    expect([ended.status, ended.body.error.code]).toEqual([409, "ScopeLocked"]);
    expect((await emulator.arm("GET", `${group}?${API}`)).body.properties.provisioningState).toBe("Succeeded");
  });

  test("a fault that is none is refused", async ({ emulator }) => {
    expect((await control(emulator, "POST", "faults", { action: { kind: "explode" } })).status).toBe(400);
  });
});

test("the journal tells who asked what, and holds no secret", async ({ emulator }) => {
  const secret = readFileSync(emulator.clientSecretFile, "utf8");
  const { token } = await emulator.credential.getToken("https://management.azure.com/.default");
  await emulator.arm("GET", `${emulator.subscription}/resourceGroups?${API}&s=signature-value`, undefined, {
    headers: { "x-ms-client-request-id": "my-id", authorization: `Bearer ${token}` },
  });
  const { value } = (await control(emulator, "GET", "journal")).body;
  expect(value.at(-1)).toMatchObject({
    host: "azure",
    method: "GET",
    path: `${emulator.subscription}/resourceGroups`,
    query: "api-version=2021-04-01&s=…",
    status: 200,
    clientRequestId: "my-id",
    caller: emulator.platform.directory.findByAppId(emulator.clientId)?.objectId,
  });
  const text = JSON.stringify(value);
  for (const hidden of [secret, token, "signature-value"]) expect(text).not.toContain(hidden);
  expect((await control(emulator, "DELETE", "journal")).status).toBe(204);
  expect((await control(emulator, "GET", "journal")).body.value).toEqual([]);
});

freshTest("what was acknowledged survives a restart; tokens and the CA stay good", async ({ emulator }) => {
  await emulator.group("rg-kept");
  const again = await emulator.restart();
  expect(again.caPem).toBe(emulator.caPem);
  expect(again.endpoints).toEqual(emulator.endpoints);
  expect((await again.arm("GET", `${again.subscription}/resourceGroups/rg-kept?${API}`)).status).toBe(200);
});

test("coverage lists operations with versions and source", async ({ emulator }) => {
  const { value } = (await control(emulator, "GET", "coverage")).body;
  const services = new Set(value.map(({ service }: { service: string }) => service));
  for (const name of ["Entra", "Microsoft.Resources", "Microsoft.ServiceLinker", "Microsoft.Web", "Microsoft.DBforPostgreSQL"]) {
    expect(services).toContain(name);
  }
  expect(value[0]).toEqual({
    service: expect.any(String),
    method: expect.any(String),
    path: expect.any(String),
    apiVersions: expect.any(Array),
    source: expect.any(String),
  });
});

test("other tools learn the cloud's endpoints without a token", async ({ emulator }) => {
  const answer = await emulator.fetch(`${emulator.endpoints.resourceManager}/metadata/endpoints?api-version=2022-09-01`);
  expect(answer.body).toMatchObject({ resourceManager: `${emulator.endpoints.resourceManager}/` });
  const { resourceManager } = emulator.endpoints;
  expect((await emulator.fetch(`${resourceManager}/metadata/endpoints?api-version=2019-05-01`)).body).toHaveLength(1);
  expect((await emulator.fetch(`${resourceManager}/metadata/endpoints?api-version=2015-01-01`)).body).toHaveProperty("graphEndpoint");
});
