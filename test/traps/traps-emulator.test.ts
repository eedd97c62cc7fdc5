import { readFileSync } from "node:fs";
import { Client } from "pg";
import { expect } from "vitest";
import { type Answer, type TestEmulator, fileTest as test } from "../support/emulator.ts";
import { identityLinker, makeLinkerScene } from "../support/linkers.ts";
import { eventually } from "../support/sites.ts";

// Traps of real Azure (`traps.md`) that local Azure must set for its clients too.

const API = "api-version=2025-08-01";

async function ended(emulator: TestEmulator, accepted: Answer): Promise<Answer> {
  expect(accepted.status, accepted.text).toBe(202);
  return emulator.until(accepted.headers.get("azure-asyncoperation") ?? "", ({ body }) => body.status !== "InProgress");
}

async function write(emulator: TestEmulator, method: string, path: string, body?: unknown): Promise<void> {
  const { text, body: last } = await ended(emulator, await emulator.arm(method, `${path}?${API}`, body));
  expect(last.status, text).toBe("Succeeded");
}

const burstable = {
  location: "eastus",
  sku: { name: "Standard_B1ms", tier: "Burstable" },
  properties: {
    version: "16",
    authConfig: { activeDirectoryAuth: "Enabled", passwordAuth: "Enabled" },
    administratorLogin: "dba",
    administratorLoginPassword: "correct horse",
  },
};

// trap: postgres 26, postgres 27
test("switching Entra on looks as recorded, restarts the server, and stays on without an administrator", async ({ emulator }) => {
  const file = new URL("../fixtures/recorded/postgres/server_patch_enable_entra.json", import.meta.url);
  const { request, response } = JSON.parse(readFileSync(file, "utf8"));
  const id = `${await emulator.group()}/providers/Microsoft.DBforPostgreSQL/flexibleServers/entra-later`;
  const passwords = { ...burstable.properties, authConfig: { activeDirectoryAuth: "Disabled", passwordAuth: "Enabled" } };
  await write(emulator, "PUT", id, { ...burstable, sku: request.body.sku, properties: { ...passwords, storage: { storageSizeGB: 128 } } });
  await write(emulator, "PUT", `${id}/firewallRules/me`, { properties: { startIpAddress: "127.0.0.1", endIpAddress: "127.0.0.1" } });
  const { fullyQualifiedDomainName: host } = (await emulator.arm("GET", `${id}?${API}`)).body.properties;
  const startedAt = async (): Promise<number> => {
    const client = new Client({ host, user: "dba", password: "correct horse", database: "postgres", ssl: { ca: emulator.caPem } });
    await client.connect();
    const { rows } = await client.query("SELECT pg_postmaster_start_time() AS at");
    await client.end();
    return Number(rows[0].at);
  };
  const before = await startedAt();

  // Open to the test, where the recorded server was closed to everybody.
  const body = { ...request.body, properties: { ...request.body.properties, network: { publicNetworkAccess: "Enabled" } } };
  const accepted = await emulator.arm("PATCH", `${id}?${new URL(request.url).searchParams}`, body);
  expect(accepted.status).toBe(response.status);
  expect(Object.keys(accepted.body)).toEqual(Object.keys(response.body));
  expect(accepted.body.operation).toBe(response.body.operation);
  for (const name of ["azure-asyncoperation", "location"]) {
    const keys = (url: string) => [...new URL(url).searchParams.keys()];
    expect(keys(accepted.headers.get(name) ?? ""), name).toEqual(keys(response.headers[name]));
  }
  await ended(emulator, accepted);
  const { properties } = (await emulator.arm("GET", `${id}?${API}`)).body;
  expect(properties.authConfig).toMatchObject({ activeDirectoryAuth: "Enabled", passwordAuth: "Enabled" });
  expect((await emulator.arm("GET", `${id}/administrators?${API}`)).body.value).toEqual([]);
  expect(await startedAt()).toBeGreaterThan(before);
});

// trap: postgres 9, postgres 12, postgres 34, postgres 35
test("a server's name, location and administrator are not what a PUT can change", async ({ emulator }) => {
  const group = await emulator.group();
  const servers = `${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers`;
  const refusal = async (path: string, body: object) => {
    const answer = await emulator.arm("PUT", `${path}?${API}`, body);
    return [answer.status, answer.body.error?.code];
  };
  expect(await refusal(`${servers}/Upper`, burstable)).toEqual([400, "InvalidParameterValue"]);
  const check = `${emulator.subscription}/providers/Microsoft.DBforPostgreSQL/locations/eastus/checkNameAvailability?${API}`;
  expect((await emulator.arm("POST", check, { name: "Upper" })).body).toMatchObject({ nameAvailable: false, reason: "Invalid" });

  await write(emulator, "PUT", `${servers}/put-twice`, burstable);
  const other = await emulator.group("rg-elsewhere");
  expect(await refusal(`${other}/providers/Microsoft.DBforPostgreSQL/flexibleServers/put-twice`, burstable)).toEqual([
    409,
    "ServerNameAlreadyExists",
  ]);
  expect(await refusal(`${servers}/put-twice`, { ...burstable, location: "westus" })).toEqual([409, "InvalidResourceLocation"]);
  const renamed = { ...burstable, properties: { ...burstable.properties, administratorLogin: "other" } };
  expect(await refusal(`${servers}/put-twice`, renamed)).toEqual([400, "InvalidParameterValue"]);
  // What is allowed is an update of the server that is there.
  await write(emulator, "PUT", `${servers}/put-twice`, { ...burstable, tags: { by: "put" } });
  expect((await emulator.arm("GET", `${servers}/put-twice?${API}`)).body).toMatchObject({ location: "East US", tags: { by: "put" } });
});

// trap: postgres 31, postgres 32, postgres 33, postgres 36
test("parameters: size changes keep max_connections, PgBouncer hides on Burstable, a reset says so, a default set by hand does not", async ({
  emulator,
}) => {
  const id = `${await emulator.group()}/providers/Microsoft.DBforPostgreSQL/flexibleServers/parameters`;
  await write(emulator, "PUT", id, burstable);
  const read = async (name: string) => (await emulator.arm("GET", `${id}/configurations/${name}?${API}`)).body;
  const set = (name: string, properties: object) => write(emulator, "PATCH", `${id}/configurations/${name}`, { properties });

  expect((await read("pgbouncer.enabled")).error.code).toBe("ResourceNotFound");
  const { value: connections } = (await read("max_connections")).properties;
  await write(emulator, "PATCH", id, { sku: { name: "Standard_D2s_v3", tier: "GeneralPurpose" } });
  expect((await read("max_connections")).properties.value).toBe(connections);
  expect((await read("pgbouncer.enabled")).properties).toMatchObject({ value: "false", allowedValues: "true, false" });

  const { defaultValue } = (await read("lock_timeout")).properties;
  await set("lock_timeout", { value: "2000", source: "user-override" });
  await set("lock_timeout", { value: defaultValue, source: "user-override" });
  expect((await read("lock_timeout")).properties).toMatchObject({ value: defaultValue, source: "user-override" });
  await set("lock_timeout", { value: "", source: "system-default" });
  expect((await read("lock_timeout")).properties).toMatchObject({ value: defaultValue, source: "system-default" });

  const databases = (await emulator.arm("GET", `${id}/databases?${API}`)).body.value.map(({ name }: { name: string }) => name);
  expect(databases).toEqual(expect.arrayContaining(["azure_maintenance", "azure_sys", "postgres"]));
  expect((await emulator.arm("DELETE", `${id}/databases/azure_sys?${API}`)).status).toBe(400);
});

const pidApp = `
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
`;

// trap: servicelinker 13, servicelinker 16, servicelinker 19
test("a linker's PUT replaces it whole and restarts the app; its deletion leaves the firewall rule", async ({ emulator }) => {
  const scene = await makeLinkerScene(emulator, "trap-linker");
  await scene.site.arm("PATCH", "/config/web", { properties: { appCommandLine: "python app.py" } });
  expect((await scene.site.deploy({ "app.py": pidApp })).status).toBe("RuntimeSuccessful");
  const pid = async () => (await emulator.fetch(scene.site.origin)).text;
  const first = await pid();
  expect(first).toMatch(/^\d+$/);

  const put = async (body: object) => scene.end(await scene.linker("PUT", "db", "2024-04-01", body));
  await put(identityLinker(scene.databaseId, { authInfo: { userName: "aad_db" } }));
  expect((await scene.settings()).AZURE_POSTGRESQL_CONNECTIONSTRING).toContain("user=aad_db");
  await eventually(pid, (now) => /^\d+$/.test(now) && now !== first);
  await put(identityLinker(scene.databaseId));
  expect((await scene.settings()).AZURE_POSTGRESQL_CONNECTIONSTRING).not.toContain("user=");

  await scene.end(await scene.linker("DELETE", "db", "2024-04-01"));
  const rules = (await emulator.arm("GET", `${scene.serverId}/firewallRules?${API}`)).body.value;
  expect(rules.map(({ properties }: { properties: { startIpAddress: string } }) => properties.startIpAddress)).toContain("0.0.0.0");
  expect((await scene.site.arm("GET")).body.identity.type).toBe("SystemAssigned");
});

// trap: servicelinker 18
test("no user token of Service Connector stands in the journal", async ({ emulator }) => {
  const { token } = await emulator.credential.getToken("https://management.azure.com/.default");
  await emulator.arm("GET", `${await emulator.group()}/providers/Microsoft.Web/sites?api-version=2024-04-01`, undefined, {
    headers: { "x-ms-serviceconnector-user-token": token },
  });
  expect(emulator.journal.entries().at(-1)?.path).toMatch(/sites$/);
  expect(JSON.stringify(emulator.journal.entries())).not.toContain(token);
});
