import { ServiceLinkerManagementClient } from "@azure/arm-servicelinker";
import { describe, expect, test as pure } from "vitest";
import { type Connection, settingsFor } from "../../src/emulator/services/servicelinker/settings.ts";
import { fileTest as test } from "../support/emulator.ts";
import { identityLinker, makeLinkerScene } from "../support/linkers.ts";
import { makeSite } from "../support/sites.ts";

const NEW = "2024-04-01";
const OLD = "2022-05-01";
const FIREWALL = "firewallRules?api-version=2025-08-01";

const connection: Connection = {
  name: undefined,
  clientType: "python",
  host: "127.1.2.3",
  port: 5432,
  database: "orders",
  user: "aad_db",
  password: undefined,
  configuration: null,
};

describe("the settings of each client type", () => {
  const one = (value: string) => ({ AZURE_POSTGRESQL_CONNECTIONSTRING: value });
  pure.each([
    ["python", one("dbname=orders host=127.1.2.3 port=5432 sslmode=require user=aad_db")],
    ["go", one("host=127.1.2.3 dbname=orders sslmode=require user=aad_db")],
    ["php", one("host=127.1.2.3 port=5432 dbname=orders sslmode=require user=aad_db")],
    ["ruby", one("host=127.1.2.3 port=5432 dbname=orders sslmode=require user=aad_db")],
    ["dotnet", one("Server=127.1.2.3;Database=orders;Port=5432;Ssl Mode=Require;User Id=aad_db;")],
    ["java", one("jdbc:postgresql://127.1.2.3:5432/orders?sslmode=require&user=aad_db")],
    ["django", { AZURE_POSTGRESQL_NAME: "orders", AZURE_POSTGRESQL_HOST: "127.1.2.3", AZURE_POSTGRESQL_USER: "aad_db" }],
    // trap: servicelinker 10, servicelinker 15
    [
      "nodejs",
      {
        AZURE_POSTGRESQL_HOST: "127.1.2.3",
        AZURE_POSTGRESQL_USER: "aad_db",
        AZURE_POSTGRESQL_DATABASE: "orders",
        AZURE_POSTGRESQL_PORT: "5432",
        AZURE_POSTGRESQL_SSL: "true",
      },
    ],
    [
      "none",
      {
        AZURE_POSTGRESQL_HOST: "127.1.2.3",
        AZURE_POSTGRESQL_USERNAME: "aad_db",
        AZURE_POSTGRESQL_DATABASE: "orders",
        AZURE_POSTGRESQL_PORT: "5432",
        AZURE_POSTGRESQL_SSL: "true",
      },
    ],
    [
      "springBoot",
      {
        "spring.datasource.azure.passwordless-enabled": "true",
        "spring.datasource.url": "jdbc:postgresql://127.1.2.3:5432/orders?sslmode=require",
        "spring.datasource.username": "aad_db",
      },
    ],
  ] as const)("%s", (clientType, wanted) => {
    const settings = settingsFor({ ...connection, clientType });
    expect(Object.fromEntries(settings.map(({ name, value }) => [name, value]))).toEqual(wanted);
  });

  pure("a second connection, renamed keys, additional settings", () => {
    const configuration = {
      action: null,
      customizedKeys: { AZURE_POSTGRESQL_REPORTS_CONNECTIONSTRING: "REPORTS_DSN" },
      additionalConfigurations: { PGAPPNAME: "shop" },
      additionalConnectionStringProperties: { connect_timeout: "5" },
      configurationStore: null,
      daprProperties: null,
      deleteOrUpdateBehavior: null,
    };
    expect(settingsFor({ ...connection, name: "reports" })[0]?.name).toBe("AZURE_POSTGRESQL_REPORTS_CONNECTIONSTRING");
    expect(settingsFor({ ...connection, name: "reports", configuration })).toEqual([
      { name: "REPORTS_DSN", value: "dbname=orders host=127.1.2.3 port=5432 sslmode=require user=aad_db connect_timeout=5" },
      { name: "PGAPPNAME", value: "shop" },
    ]);
  });
});

// trap: servicelinker 5
test("a linker switches the identity on, opens the firewall, writes settings; its deletion takes the settings back", async ({
  emulator,
}) => {
  const scene = await makeLinkerScene(emulator, "link-life");
  await scene.site.arm("PUT", "/config/appsettings", { properties: { MINE: "1" } });
  const accepted = await scene.linker("PUT", "db", NEW, identityLinker(scene.databaseId, { authInfo: { userName: "aad_db" } }));
  expect([accepted.status, accepted.body.properties.provisioningState, accepted.headers.get("location")]).toEqual([201, "Accepted", null]);
  expect((await scene.end(accepted)).body).toMatchObject({ status: "Succeeded" });
  expect((await scene.linker("GET", "db", NEW)).body.properties.provisioningState).toBe("Succeeded");
  expect((await scene.site.arm("GET")).body.identity).toMatchObject({ type: "SystemAssigned" });
  const rules = await emulator.arm("GET", `${scene.serverId}/${FIREWALL}`);
  expect(rules.body.value.map(({ properties }: { properties: object }) => properties)).toContainEqual(
    expect.objectContaining({ startIpAddress: "0.0.0.0", endIpAddress: "0.0.0.0" }),
  );
  const value = `dbname=orders host=${scene.host} port=5432 sslmode=require user=aad_db`;
  expect(await scene.settings()).toEqual({ MINE: "1", AZURE_POSTGRESQL_CONNECTIONSTRING: value });
  const listed = await scene.linker("POST", "db/listConfigurations", NEW);
  expect(listed.body.configurations).toEqual([
    { name: "AZURE_POSTGRESQL_CONNECTIONSTRING", value, configType: "Default", keyVaultReferenceIdentity: null, description: null },
  ]);

  // Another client type: the old keys go, the new ones come.
  const changed = identityLinker(scene.databaseId, { authInfo: { userName: "aad_db" }, clientType: "django" });
  const replaced = await scene.linker("PUT", "db", NEW, changed);
  expect(replaced.status).toBe(201);
  await scene.end(replaced);
  expect(await scene.settings()).toEqual({
    MINE: "1",
    AZURE_POSTGRESQL_NAME: "orders",
    AZURE_POSTGRESQL_HOST: scene.host,
    AZURE_POSTGRESQL_USER: "aad_db",
  });

  const gone = await scene.linker("DELETE", "db", NEW);
  expect([gone.status, gone.text]).toEqual([202, "null"]);
  expect((await scene.end(gone)).body).toMatchObject({ status: "Succeeded", properties: null });
  expect(await scene.settings()).toEqual({ MINE: "1" });
  expect((await scene.linker("GET", "db", NEW)).status).toBe(404);
  expect((await scene.linker("DELETE", "db", NEW)).status).toBe(204);
});

test("a linker goes with its site: one made anew under the same name has none", async ({ emulator }) => {
  const scene = await makeLinkerScene(emulator, "link-anew");
  await scene.end(await scene.linker("PUT", "db", NEW, identityLinker(scene.databaseId)));
  expect((await scene.site.arm("DELETE")).status).toBe(200);
  await makeSite(emulator, "link-anew");
  expect((await scene.linker("GET", "", NEW)).body.value).toEqual([]);
  expect((await scene.linker("GET", "db", NEW)).status).toBe(404);
});

// trap: servicelinker 2
test("what is opted out of is left alone", async ({ emulator }) => {
  const scene = await makeLinkerScene(emulator, "link-optout");
  const body = identityLinker(scene.databaseId, {
    authInfo: { userName: "aad_db", authMode: "optOutAllAuth" },
    configurationInfo: { action: "optOut" },
    publicNetworkSolution: { action: "optOut" },
  });
  await scene.end(await scene.linker("PUT", "db", NEW, body));
  expect((await scene.site.arm("GET")).body.identity?.type ?? "None").toBe("None");
  expect((await emulator.arm("GET", `${scene.serverId}/${FIREWALL}`)).body.value).toEqual([]);
  expect(await scene.settings()).toEqual({});
});

// trap: servicelinker 11
test("a second connection to PostgreSQL carries its name in its keys", async ({ emulator }) => {
  const scene = await makeLinkerScene(emulator, "link-second");
  for (const name of ["first", "second"]) await scene.end(await scene.linker("PUT", name, NEW, identityLinker(scene.databaseId)));
  expect(Object.keys(await scene.settings()).sort()).toEqual([
    "AZURE_POSTGRESQL_CONNECTIONSTRING",
    "AZURE_POSTGRESQL_SECOND_CONNECTIONSTRING",
  ]);
  const list = await scene.linker("GET", "", NEW);
  expect(list.body.value.map(({ name }: { name: string }) => name)).toEqual(["first", "second"]);
});

// trap: servicelinker 4, servicelinker 8
test("the SDK links on 2022-05-01, without a user, and validates", async ({ emulator }) => {
  const scene = await makeLinkerScene(emulator, "link-sdk");
  const client = new ServiceLinkerManagementClient(emulator.credential, {
    endpoint: emulator.endpoints.resourceManager,
    tlsOptions: { ca: emulator.caPem },
  } as object);
  const options = { updateIntervalInMs: 20 };
  const scope = scene.site.id.slice(1);
  const linker = await client.linker.beginCreateOrUpdateAndWait(
    scope,
    "db",
    {
      targetService: { type: "AzureResource", id: scene.databaseId },
      authInfo: { authType: "systemAssignedIdentity" },
      clientType: "nodejs",
    },
    options,
  );
  expect(linker).toMatchObject({ name: "db", provisioningState: "Succeeded" });
  const { configurations } = await client.linker.listConfigurations(scope, "db");
  expect(configurations?.map(({ name }) => name)).toEqual([
    "AZURE_POSTGRESQL_HOST",
    "AZURE_POSTGRESQL_DATABASE",
    "AZURE_POSTGRESQL_PORT",
    "AZURE_POSTGRESQL_SSL",
  ]);
  const verdict = await client.linker.beginValidateAndWait(scope, "db", options);
  expect(verdict).toMatchObject({ status: "Succeeded" });
  // A slash in front, as people write IDs: the wire path begins with two.
  expect((await client.linker.get(scene.site.id, "db")).name).toBe("db");
  await client.linker.beginDeleteAndWait(scope, "db", options);
  expect(await scene.settings()).toEqual({});
});

describe("refusals", () => {
  // trap: servicelinker 1, servicelinker 9, servicelinker 12, passwordless-flow 11
  test("userName on 2022-05-01, a server as target, a hyphen in the name, an absent source, an unknown client type", async ({
    emulator,
  }) => {
    const scene = await makeLinkerScene(emulator, "link-refused");
    const good = identityLinker(scene.databaseId);
    const early = await scene.linker("PUT", "db", OLD, identityLinker(scene.databaseId, { authInfo: { userName: "aad_db" } }));
    expect([early.status, early.body.error.message]).toEqual([400, expect.stringContaining("not allowed for systemAssignedIdentity")]);
    const server = await scene.linker("PUT", "db", NEW, identityLinker(scene.serverId));
    expect([server.status, server.body.error.code]).toEqual([400, "TargetTypeNotSupported"]);
    expect(server.body.error.message).toContain("MICROSOFT.DBFORPOSTGRESQL/FLEXIBLESERVERS");
    expect((await scene.linker("PUT", "my-db", NEW, good)).status).toBe(400);
    expect((await scene.linker("PUT", "db", NEW, identityLinker(scene.databaseId, { clientType: "cobol" }))).status).toBe(400);
    const lost = await emulator.arm("PUT", `${scene.site.id}x/providers/Microsoft.ServiceLinker/linkers/db?api-version=${NEW}`, good);
    expect([lost.status, lost.body.error.code]).toEqual([404, "ResourceNotFound"]);
    expect((await scene.linker("GET", "db", NEW)).status).toBe(404);
  });

  // trap: servicelinker 14
  test("an absent database fails the operation, not the request", async ({ emulator }) => {
    const scene = await makeLinkerScene(emulator, "link-absent");
    const accepted = await scene.linker("PUT", "db", NEW, identityLinker(`${scene.serverId}/databases/nowhere`));
    expect(accepted.status).toBe(201);
    expect((await scene.end(accepted)).body).toMatchObject({ status: "Failed", error: { code: "ResourceNotFound" } });
    expect((await scene.linker("GET", "db", NEW)).body.properties.provisioningState).toBe("Failed");
    expect(await scene.settings()).toEqual({});
  });

  // trap: servicelinker 3
  test("a status URL whose signature was touched", async ({ emulator }) => {
    const scene = await makeLinkerScene(emulator, "link-signed");
    const accepted = await scene.linker("PUT", "db", NEW, identityLinker(scene.databaseId));
    const url = new URL(accepted.headers.get("azure-asyncoperation") ?? "");
    expect(url.searchParams.get("api-version")).toBe("2021-01-01-privatepreview");
    expect(url.search.length).toBeGreaterThan(2_000);
    expect((await emulator.arm("GET", url.href)).status).toBe(200);
    url.searchParams.set("api-version", NEW);
    expect((await emulator.arm("GET", url.href)).status).toBe(403);
    expect((await emulator.arm("GET", `${url.origin}${url.pathname}?api-version=2021-01-01-privatepreview`)).status).toBe(403);
  });
});

test("validation says so when the settings are gone", async ({ emulator }) => {
  const scene = await makeLinkerScene(emulator, "link-validate");
  await scene.end(await scene.linker("PUT", "db", NEW, identityLinker(scene.databaseId)));
  const judge = async () => (await scene.end(await scene.linker("POST", "db/validateLinker", NEW))).body.properties;
  expect(await judge()).toMatchObject({ isConnectionAvailable: true });
  await scene.site.arm("PUT", "/config/appsettings", { properties: {} });
  const broken = await judge();
  expect(broken.isConnectionAvailable).toBe(false);
  expect(broken.validationDetail.map(({ result }: { result: string }) => result)).toEqual(["success", "success", "failure"]);
});
