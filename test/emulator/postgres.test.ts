import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { PostgreSQLManagementFlexibleServerClient } from "@azure/arm-postgresql-flexible";
import { Client, type ClientConfig } from "pg";
import { describe, expect } from "vitest";
import { audiences } from "../../src/emulator/platform.ts";
import { type TestEmulator, fileTest as test } from "../support/emulator.ts";

const API = "api-version=2025-08-01";
const AUDIENCE = audiences.postgres[0];

interface Host {
  readonly id: string;
  readonly host: string;
  readonly port: number;
}

/** Sends a write and waits for the end of its operation; gives the last poll's body. */
async function write(emulator: TestEmulator, method: string, path: string, body?: unknown) {
  const accepted = await emulator.arm(method, `${path}?${API}`, body);
  expect(accepted.status, accepted.text).toBe(202);
  const poll = accepted.headers.get("azure-asyncoperation") ?? "";
  return (await emulator.until(poll, ({ body: { status } }) => status !== "InProgress")).body as {
    status: string;
    error?: { code: string };
  };
}

const ENTRA_ONLY = {
  location: "eastus",
  sku: { name: "Standard_B1ms", tier: "Burstable" },
  properties: { version: "16", authConfig: { activeDirectoryAuth: "Enabled", passwordAuth: "Disabled" } },
};

/** A server that local clients may reach, with the seeded service principal as administrator. */
async function newServer(emulator: TestEmulator, name = `pg-${randomUUID().slice(0, 8)}`, body: object = ENTRA_ONLY): Promise<Host> {
  const id = `${await emulator.group()}/providers/Microsoft.DBforPostgreSQL/flexibleServers/${name}`;
  expect(await write(emulator, "PUT", id, body)).toMatchObject({ status: "Succeeded" });
  const anyAzure = { properties: { startIpAddress: "0.0.0.0", endIpAddress: "0.0.0.0" } };
  expect(await write(emulator, "PUT", `${id}/firewallRules/azure`, anyAzure)).toMatchObject({ status: "Succeeded" });
  const app = emulator.platform.directory.findByAppId(emulator.clientId);
  const administrator = { properties: { principalType: "ServicePrincipal", principalName: app?.displayName, tenantId: "" } };
  expect(await write(emulator, "PUT", `${id}/administrators/${app?.objectId}`, administrator)).toMatchObject({ status: "Succeeded" });
  const { body: server } = await emulator.arm("GET", `${id}?${API}`);
  return { id, host: server.properties.fullyQualifiedDomainName, port: 5432 };
}

function administratorName(emulator: TestEmulator): string {
  return emulator.platform.directory.findByAppId(emulator.clientId)?.displayName ?? "";
}

async function signIn(emulator: TestEmulator, server: Host, more: ClientConfig = {}): Promise<Client> {
  const user = more.user ?? administratorName(emulator);
  const password = more.password ?? (await emulator.tokenFor(emulator.clientId, AUDIENCE));
  const ssl = more.ssl ?? { ca: emulator.caPem };
  const client = new Client({ host: server.host, port: server.port, database: "postgres", ...more, user, password, ssl });
  client.on("error", () => {}); // servers are stopped under open sessions here
  await client.connect();
  return client;
}

async function inSession<T>(client: Promise<Client>, work: (client: Client) => Promise<T>): Promise<T> {
  const open = await client;
  try {
    return await work(open);
  } finally {
    await open.end();
  }
}

/** Code and message of the refusal; fails when the login succeeds. */
async function refusal(attempt: Promise<Client>): Promise<{ code?: string; message: string }> {
  try {
    await (await attempt).end();
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return { message, ...(code ? { code } : {}) };
  }
  throw new Error("the login was not refused");
}

describe("a flexible server over the SDK", () => {
  test("is created, read, listed and deleted by Azure's own client", async ({ emulator }) => {
    await emulator.group("rg-sdk");
    const client = new PostgreSQLManagementFlexibleServerClient(emulator.credential, emulator.endpoints.subscriptionId, {
      endpoint: emulator.endpoints.resourceManager,
      tlsOptions: { ca: emulator.caPem },
    } as object);
    const options = { updateIntervalInMs: 20 };
    const created = await client.servers.beginCreateOrUpdateAndWait(
      "rg-sdk",
      "sdk-server",
      {
        location: "eastus",
        sku: { name: "Standard_B1ms", tier: "Burstable" },
        version: "16",
        authConfig: { activeDirectoryAuth: "Enabled", passwordAuth: "Disabled" },
      },
      options,
    );
    expect(created).toMatchObject({ name: "sdk-server", location: "East US", state: "Ready", version: "16" });
    await client.databases.beginCreateAndWait("rg-sdk", "sdk-server", "orders", { charset: "utf8", collation: "en_US.utf8" }, options);
    const names: unknown[] = [];
    for await (const { name } of client.databases.listByServer("rg-sdk", "sdk-server")) names.push(name);
    expect(names).toEqual(expect.arrayContaining(["postgres", "azure_maintenance", "azure_sys", "orders"]));
    const parameter = await client.configurations.get("rg-sdk", "sdk-server", "max_connections");
    expect(parameter).toMatchObject({ value: "50", isDynamicConfig: false, dataType: "Integer" });
    await client.servers.beginStopAndWait("rg-sdk", "sdk-server", options);
    expect(await client.servers.get("rg-sdk", "sdk-server")).toMatchObject({ state: "Stopped" });
    await client.servers.beginDeleteAndWait("rg-sdk", "sdk-server", options);
    await expect(client.servers.get("rg-sdk", "sdk-server")).rejects.toMatchObject({ code: "ResourceNotFound", statusCode: 404 });
  });

  // trap: postgres 3, postgres 4, passwordless-flow 9
  test("takes one write at a time", async ({ emulator }) => {
    const server = await newServer(emulator);
    const rule = { properties: { startIpAddress: "10.0.0.1", endIpAddress: "10.0.0.1" } };
    expect((await emulator.arm("PUT", `${server.id}/firewallRules/one?${API}`, rule)).status).toBe(202);
    const second = await emulator.arm("PUT", `${server.id}/firewallRules/two?${API}`, rule);
    expect(second).toMatchObject({ status: 409, body: { error: { code: "ServerIsBusy" } } });
  });

  // trap: postgres 28, postgres 29
  test("answers a bad parameter late and without a word", async ({ emulator }) => {
    const server = await newServer(emulator);
    const ended = await write(emulator, "PATCH", `${server.id}/configurations/work_mem`, { properties: { value: "lots" } });
    expect(ended).toMatchObject({ status: "Failed", error: { code: "OperationFailed", message: "{0}" } });
    await write(emulator, "PATCH", `${server.id}/configurations/max_connections`, { properties: { value: "60", source: "user-override" } });
    const waiting = await emulator.arm("GET", `${server.id}/configurations/max_connections?${API}`);
    expect(waiting.body.properties).toMatchObject({ value: "60", source: "user-override", isConfigPendingRestart: true });
    await write(emulator, "POST", `${server.id}/restart`);
    const restarted = await emulator.arm("GET", `${server.id}/configurations/max_connections?${API}`);
    expect(restarted.body.properties).toMatchObject({ value: "60", isConfigPendingRestart: false });
  });

  // trap: postgres 2
  test("does not answer polls whose signature was cut off", async ({ emulator }) => {
    const server = await newServer(emulator);
    const accepted = await emulator.arm("POST", `${server.id}/restart?${API}`);
    const signed = accepted.headers.get("azure-asyncoperation") ?? "";
    const bare = signed.replace(/&t=.*/, "");
    expect(bare).not.toBe(signed);
    expect((await emulator.arm("GET", bare)).status).toBe(403);
    expect((await emulator.arm("GET", signed)).status).toBe(200);
  });
});

describe("the token gateway", () => {
  // trap: postgres 15
  test("signs an Entra administrator in with a token, as itself and no superuser", async ({ emulator }) => {
    const server = await newServer(emulator);
    await inSession(signIn(emulator, server), async (client) => {
      const { rows } = await client.query(
        "SELECT current_user AS me, current_setting('is_superuser') AS super, current_setting('max_connections') AS most",
      );
      expect(rows).toEqual([{ me: administratorName(emulator), super: "off", most: "50" }]);
    });
  });

  // trap: postgres 13, postgres 14, postgres 25, passwordless-flow 7
  test("says why it refuses, in Azure's words", async ({ emulator }) => {
    const server = await newServer(emulator);
    const user = administratorName(emulator);
    const attempt = (more: ClientConfig) => refusal(signIn(emulator, server, more));
    const flawed = (flaw: string) => emulator.tokenFor(emulator.clientId, AUDIENCE, { flaw });
    expect(await attempt({ password: await flawed("expired") })).toMatchObject({
      code: "28000",
      message: expect.stringMatching(/^The access token has expired\. Acquire a new token and/),
    });
    expect(await attempt({ password: await emulator.tokenFor(emulator.clientId, audiences.resourceManager[0]) })).toMatchObject({
      code: "28000",
      message: expect.stringMatching(/does not have a valid audience claim/),
    });
    expect(await attempt({ password: "no-token" })).toMatchObject({
      code: "28000",
      message: expect.stringMatching(/^The access token has invalid format/),
    });
    expect(await attempt({ password: await flawed("signature") })).toMatchObject({
      code: "28000",
      message: expect.stringMatching(/signature/),
    });
    expect(await attempt({ user: "nobody-here" })).toEqual({
      code: "28P01",
      message: 'password authentication failed for user "nobody-here"',
    });
    expect(await attempt({ database: "nowhere" })).toEqual({ code: "3D000", message: 'database "nowhere" does not exist' });
    expect(await attempt({ ssl: false })).toEqual({
      code: "28000",
      message: `no pg_hba.conf entry for host "127.0.0.1", user "${user}", database "postgres", no encryption`,
    });
    await inSession(signIn(emulator, server), (client) =>
      client.query(
        "SELECT pgaadauth_create_principal_with_oid('someone', $1, 'user', false, false), pgaadauth_create_principal_with_oid('other', $2, 'service', false, false)",
        [randomUUID(), randomUUID()],
      ),
    );
    expect(await attempt({ user: "someone" })).toEqual({
      code: "28000",
      message:
        'Microsoft Entra user token for role "someone" is neither an AAD_AUTH_TOKENTYPE_APP_USER or an AAD_AUTH_TOKENTYPE_APP_OBO token.',
    });
    expect(await attempt({ user: "other" })).toMatchObject({ code: "28000", message: expect.stringMatching(/object ID/) });
  });

  // trap: postgres 21
  test("keeps out whom no firewall rule admits", async ({ emulator }) => {
    const server = await newServer(emulator);
    const user = administratorName(emulator);
    await write(emulator, "DELETE", `${server.id}/firewallRules/azure`);
    expect(await refusal(signIn(emulator, server))).toEqual({
      code: "28000",
      message: `no pg_hba.conf entry for host "127.0.0.1", user "${user}", database "postgres", SSL encryption`,
    });
    await write(emulator, "PUT", `${server.id}/firewallRules/me`, {
      properties: { startIpAddress: "127.0.0.1", endIpAddress: "127.0.0.1" },
    });
    await inSession(signIn(emulator, server), async () => {});
  });

  test("passes on cancel, notifications, COPY and big results", async ({ emulator }) => {
    const server = await newServer(emulator);
    await inSession(signIn(emulator, server), async (client) => {
      const { rows } = await client.query("SELECT repeat('x', 1000) AS line FROM generate_series(1, 50000)");
      expect(rows).toHaveLength(50_000);
      const copied = await client.query("COPY (SELECT repeat('y', 1000) FROM generate_series(1, 20000)) TO STDOUT");
      expect(copied.rowCount).toBe(20_000);
      const heard = new Promise((resolve) => client.once("notification", ({ payload }) => resolve(payload)));
      await client.query("LISTEN news");
      await inSession(signIn(emulator, server), (other) => other.query("NOTIFY news, 'hello'"));
      expect(await heard).toBe("hello");

      const sleeping = client.query("SELECT pg_sleep(60)").catch((error: { code: string }) => error.code);
      const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
      const packet = Buffer.alloc(16);
      for (const [index, word] of [16, 80877102, processID, secretKey].entries()) packet.writeInt32BE(word, index * 4);
      const foreign = Buffer.from(packet);
      foreign.writeInt32BE(secretKey ^ 1, 12);
      for (const bytes of [foreign, packet]) {
        const canceller = connect(server.port, server.host, () => canceller.end(bytes));
        await new Promise((resolve) => canceller.resume().once("close", resolve));
      }
      expect(await sleeping).toBe("57014");
    });
  });

  test("leaves users of a B1ms exactly 35 connections", async ({ emulator }) => {
    const server = await newServer(emulator);
    const clients: Client[] = [];
    try {
      for (let index = 0; index < 35; index++) clients.push(await signIn(emulator, server));
      expect(await refusal(signIn(emulator, server))).toMatchObject({ code: "53300" });
    } finally {
      await Promise.all(clients.map((client) => client.end()));
    }
  });

  test("waits for a packet that comes byte by byte", async ({ emulator }) => {
    const server = await newServer(emulator);
    const socket = connect(server.port, server.host).setNoDelay();
    const answered = new Promise<string>((resolve) => socket.once("data", (chunk) => resolve(chunk.toString("latin1"))));
    const request = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
    for (const byte of request) {
      await new Promise((resolve) => socket.write(Buffer.from([byte]), resolve));
      await inSession(signIn(emulator, server), async () => {}); // others are served in the meantime
    }
    expect(await answered).toBe("S");
    socket.destroy();
  });

  test("closes on packets that are none", async ({ emulator }) => {
    const server = await newServer(emulator);
    for (const bytes of [Buffer.from("GET / HTTP/1.1\r\n\r\n"), Buffer.alloc(64, 0xff), Buffer.from([0, 0, 0, 4])]) {
      const socket = connect(server.port, server.host, () => socket.end(bytes));
      const said = await new Promise<number>((resolve) => {
        let count = 0;
        socket.on("data", (chunk) => {
          count += chunk.length;
        });
        socket.on("error", () => {});
        socket.once("close", () => resolve(count));
      });
      expect(said).toBe(0);
    }
    await inSession(signIn(emulator, server), async () => {});
  });

  test("admits a password where passwords are on, and no token there as one", async ({ emulator }) => {
    const server = await newServer(emulator, undefined, {
      ...ENTRA_ONLY,
      properties: {
        authConfig: { activeDirectoryAuth: "Enabled", passwordAuth: "Enabled" },
        administratorLogin: "dba",
        administratorLoginPassword: "correct horse",
      },
    });
    await inSession(signIn(emulator, server, { user: "dba", password: "correct horse" }), async (client) => {
      await expect(client.query("SELECT pgaadauth_list_principals(false)")).rejects.toMatchObject({ code: "42501" });
    });
    expect(await refusal(signIn(emulator, server, { user: "dba", password: "wrong" }))).toMatchObject({ code: "28P01" });
    await write(emulator, "PATCH", server.id, { properties: { authConfig: { passwordAuth: "Disabled" } } });
    expect(await refusal(signIn(emulator, server, { user: "dba", password: "correct horse" }))).toMatchObject({ code: "28P01" });
  });
});

describe("pgaadauth", () => {
  // trap: postgres 20
  test("creates, lists and drops principals under any name", async ({ emulator }) => {
    const server = await newServer(emulator);
    const identity = emulator.platform.directory.createManagedIdentity("/subscriptions/x/sites/shop", "shop");
    await inSession(signIn(emulator, server), async (client) => {
      for (const role of ['a "quoted" role', "o'neil; DROP ROLE x --", "Åse %I $1"]) {
        const { rows } = await client.query("SELECT * FROM pgaadauth_create_principal_with_oid($1, $2, 'service', false, false)", [
          role,
          identity.objectId,
        ]);
        expect(rows).toEqual([{ pgaadauth_create_principal_with_oid: `Created role for "${role}"` }]);
        const again = client.query("SELECT pgaadauth_create_principal_with_oid($1, $2, 'service', false, false)", [
          role,
          identity.objectId,
        ]);
        await expect(again).rejects.toMatchObject({ code: "42710", message: `role "${role}" already exists` });
        const { rows: listed } = await client.query("SELECT * FROM pgaadauth_list_principals(false) WHERE rolname = $1", [role]);
        const { tenantId } = emulator.endpoints;
        expect(listed).toEqual([
          { rolname: role, principaltype: "service", objectid: identity.objectId, tenantid: tenantId, ismfa: 0, isadmin: 0 },
        ]);
        await client.query(`DROP ROLE ${client.escapeIdentifier(role)}`);
      }
      const { rows: labels } = await client.query("SELECT count(*)::int AS left FROM pg_shseclabel WHERE provider = 'pgaadauth'");
      expect(labels).toEqual([{ left: 1 }]);
    });
  });

  // trap: postgres 16, postgres 17
  test("resolves names in the tenant, and only in database postgres", async ({ emulator }) => {
    const server = await newServer(emulator);
    const { directory } = emulator.platform;
    directory.createManagedIdentity("/subscriptions/x/sites/one", "twin");
    directory.createManagedIdentity("/subscriptions/x/sites/two", "twin");
    directory.createManagedIdentity("/subscriptions/x/sites/api", "api");
    await inSession(signIn(emulator, server), async (client) => {
      const create = (name: string) => client.query("SELECT pgaadauth_create_principal($1, false, false) AS said", [name]);
      expect((await create("api")).rows).toEqual([{ said: 'Created role for "api"' }]);
      await expect(create("twin")).rejects.toThrow(`Microsoft Entra ID user "twin" because its name isn't unique in the tenant`);
      await expect(create("stranger")).rejects.toThrow("is not found in the tenant");
      expect((await client.query("SELECT FROM pg_roles WHERE rolname IN ('twin', 'stranger')")).rows).toHaveLength(0);
    });
    const token = await emulator.tokenFor("api", AUDIENCE);
    await inSession(signIn(emulator, server, { user: "api", password: token }), async (client) => {
      await expect(client.query("SELECT * FROM pgaadauth_list_principals(false)")).rejects.toMatchObject({ code: "42501" });
    });
    await write(emulator, "PUT", `${server.id}/databases/orders`, { properties: {} });
    await inSession(signIn(emulator, server, { database: "orders" }), async (client) => {
      const call = client.query("SELECT pgaadauth_create_principal_with_oid('x', 'y', 'service', false, false)");
      await expect(call).rejects.toMatchObject({ code: "42883" });
    });
  });

  // trap: passwordless-flow 5
  test("the recipe's GRANT on the database does not let the app create a table; one on the schema does", async ({ emulator }) => {
    const server = await newServer(emulator);
    emulator.platform.directory.createManagedIdentity("/subscriptions/x/sites/worker", "worker");
    await write(emulator, "PUT", `${server.id}/databases/orders`, { properties: {} });
    const token = await emulator.tokenFor("worker", AUDIENCE);
    const asApp = () => signIn(emulator, server, { user: "worker", password: token, database: "orders" });
    await inSession(signIn(emulator, server), (client) => client.query("SELECT pgaadauth_create_principal('worker', false, false)"));
    await inSession(signIn(emulator, server, { database: "orders" }), async (admin) => {
      await admin.query('GRANT ALL PRIVILEGES ON DATABASE orders TO "worker"');
      await inSession(asApp(), (app) =>
        expect(app.query("CREATE TABLE t (id int)")).rejects.toMatchObject({
          code: "42501",
          message: "permission denied for schema public",
        }),
      );
      await admin.query('GRANT USAGE, CREATE ON SCHEMA public TO "worker"');
      await inSession(asApp(), (app) => app.query("CREATE TABLE t (id int)"));
    });
  });
});

describe("persistence", () => {
  test("servers, rules, administrators and rows are there after a restart, at the same address", async ({ emulator }) => {
    const server = await newServer(emulator);
    await inSession(signIn(emulator, server), (client) => client.query("CREATE SCHEMA s; CREATE TABLE s.kept AS SELECT 7 AS n"));
    const again = await emulator.restart();
    try {
      const { body } = await again.arm("GET", `${server.id}?${API}`);
      expect(body.properties).toMatchObject({ state: "Ready", fullyQualifiedDomainName: server.host });
      await inSession(signIn(again, server), async (client) => {
        expect((await client.query("SELECT n FROM s.kept")).rows).toEqual([{ n: 7 }]);
      });
    } finally {
      await again.close();
    }
  });
});
