import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { siteClient } from "../../src/cloud/app-service/site-client.ts";
import { openArm } from "../../src/cloud/arm.ts";
import type { CloudContext } from "../../src/cloud/connection.ts";
import { accessToken } from "../../src/cloud/credential.ts";
import { connectSql } from "../../src/cloud/database/sql.ts";
import { postgresServers } from "../../src/cloud/postgres-servers.ts";
import { scmSite } from "../../src/cloud/scm/scm-site.ts";
import { testCloudContext } from "../support/cloud.ts";
import { startTestEmulator, type TestEmulator } from "../support/emulator.ts";

/** A clock that stands still but for its sleeps, which take no time. */
function jumpingClock(): Clock & { pass(ms: number): void } {
  let now = Date.now();
  return {
    now: () => now,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      now += ms;
    },
    pass: (ms) => {
      now += ms;
    },
  };
}

const contextFor = (emulator: TestEmulator, clock: Clock): Promise<CloudContext> => testCloudContext(emulator, { clock });

const { setTimeout: realSetTimeout } = globalThis;
const moment = (ms = 5): Promise<void> => new Promise((done) => realSetTimeout(done, ms));

/** Listens on a free port of 127.0.0.1, and gives it back with all its connections. */
async function listening(server: Server): Promise<{ port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}

const serverOf = (emulator: TestEmulator): string =>
  `${emulator.subscription}/resourceGroups/rg-late/providers/Microsoft.DBforPostgreSQL/flexibleServers/late-db`;

async function makeServer(emulator: TestEmulator): Promise<{ host: string; port: number }> {
  await emulator.group("rg-late");
  const path = `${serverOf(emulator)}?api-version=2025-08-01`;
  await emulator.arm("PUT", path, {
    location: "eastus",
    sku: { name: "Standard_B1ms", tier: "Burstable" },
    properties: { version: "16", storage: { storageSizeGB: 32 }, authConfig: { activeDirectoryAuth: "Enabled", passwordAuth: "Disabled" } },
  });
  await emulator.until(path, ({ status, body }) => status === 200 && body.properties.state === "Ready");
  const rule = `${serverOf(emulator)}/firewallRules/all?api-version=2025-08-01`;
  await emulator.arm("PUT", rule, { properties: { startIpAddress: "0.0.0.0", endIpAddress: "0.0.0.0" } });
  await emulator.until(rule, ({ status }) => status === 200);
  const app = emulator.platform.directory.findByAppId(emulator.clientId);
  const administrator = `${serverOf(emulator)}/administrators/${app?.objectId}?api-version=2025-08-01`;
  await emulator.arm("PUT", administrator, {
    properties: { principalType: "ServicePrincipal", principalName: emulator.clientId, tenantId: emulator.endpoints.tenantId },
  });
  await emulator.until(administrator, ({ status }) => status === 200);
  const { body } = await emulator.arm("GET", path);
  const [host = "", port = "5432"] = String(body.properties.fullyQualifiedDomainName).split(":");
  return { host, port: Number(port) };
}

describe("a peer that takes what is said and never answers is given up", () => {
  let emulator: TestEmulator;
  let release: () => Promise<void>;
  let server: { host: string; port: number };

  beforeAll(async () => {
    ({ emulator, release } = await startTestEmulator());
    server = await makeServer(emulator);
  });
  afterAll(() => release?.());
  beforeEach(() => {
    emulator.faults.clear();
  });

  /** Lets the time pass that the work waits for, once the peer has got something to answer. */
  async function late(work: Promise<unknown>, clock: ReturnType<typeof jumpingClock>, hasArrived: () => boolean) {
    let result: { error: unknown } | { value: unknown } | undefined;
    work.then(
      (value) => {
        result = { value };
      },
      (error: unknown) => {
        result = { error };
      },
    );
    for (let waits = 0; !hasArrived() && waits < 60_000; waits += 1) await moment();
    expect(hasArrived(), "the peer was asked").toBe(true);
    let seconds = 0;
    while (result === undefined && seconds < 600) {
      await moment(2);
      if (vi.getTimerCount() === 0) continue; // a pause of the sign-in, which has the system's clock
      seconds += 1;
      clock.pass(1_000);
      await vi.advanceTimersByTimeAsync(1_000);
    }
    return { result, seconds };
  }

  async function withStoppedTime<T>(work: () => Promise<T>): Promise<T> {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      return await work();
    } finally {
      vi.useRealTimers();
    }
  }

  const forever = { kind: "stall", ms: 3_600_000 } as const;
  const isCaught = () => emulator.faults.list().some(({ caught }) => caught > 0);
  const known = (code: string) => ({ error: expect.objectContaining({ name: "KnownError", code, hint: expect.stringMatching(/\w{3}/) }) });

  it("ARM, within three minutes", async () => {
    const clock = jumpingClock();
    const servers = postgresServers(openArm(await contextFor(emulator, clock)));
    await servers.list("rg-late"); // signed in
    emulator.faults.add({ host: "azure", path: "/subscriptions/*", action: forever });
    const { result, seconds } = await withStoppedTime(() => late(servers.list("rg-late"), clock, isCaught));
    expect(result).toEqual(known("azure/timeout"));
    expect(seconds).toBeLessThanOrEqual(190);
  });

  it("Entra, within two minutes", async () => {
    const clock = jumpingClock();
    const { credential, environment } = await contextFor(emulator, clock);
    emulator.faults.add({ host: "azure", path: "*/oauth2/*", action: forever });
    const { result, seconds } = await withStoppedTime(() =>
      late(accessToken(credential, environment.scopes.resourceManager), clock, isCaught),
    );
    expect(result).toEqual(known("azure/unreachable"));
    expect(seconds).toBeLessThanOrEqual(120);
  });

  it.each([
    { name: "the SCM site, within four minutes", path: "scm", code: "azure/timeout", within: 240 },
    { name: "the app, within five minutes", path: "site", code: "azure/unreachable", within: 300 },
  ])("$name", async ({ path, code, within }) => {
    const clock = jumpingClock();
    const context = await contextFor(emulator, clock);
    await accessToken(context.credential, context.environment.scopes.appService);
    let asked = 0;
    const peer = await listening(
      createHttpsServer(emulator.platform.certificates.issue(["localhost"]), () => {
        asked += 1;
      }),
    );
    const host = `localhost:${peer.port}`;
    const work =
      path === "scm"
        ? () => scmSite(context, { name: "late", scmHost: host }).getDeployment("d")
        : () => siteClient(context, { name: "late", url: `https://${host}` }).get("/");
    const { result, seconds } = await withStoppedTime(() => late(work(), clock, () => asked > 0));
    await peer.close();
    expect(result).toEqual(known(code));
    expect(seconds).toBeLessThanOrEqual(within);
  });

  it("PostgreSQL at the greeting", async () => {
    const clock = jumpingClock();
    let asked = 0;
    const peer = await listening(createServer((socket) => socket.on("data", () => (asked += 1))));
    const target = { ...(await targetOf()), host: "127.0.0.1", port: peer.port };
    const { result, seconds } = await withStoppedTime(() => late(connectSql(target), clock, () => asked > 0));
    await peer.close();
    expect(result).toEqual(known("database/unreachable"));
    expect(seconds).toBeLessThanOrEqual(25);
  });

  it("PostgreSQL at the login", async () => {
    const clock = jumpingClock();
    emulator.faults.add({ host: "postgres:*", method: "LOGIN", action: forever });
    const target = await targetOf();
    const { result, seconds } = await withStoppedTime(() => late(connectSql(target), clock, isCaught));
    expect(result).toEqual(known("database/unreachable"));
    expect(seconds).toBeLessThanOrEqual(25);
  });

  it("PostgreSQL at a statement; its connection is gone at once", async () => {
    const clock = jumpingClock();
    emulator.faults.add({ host: "postgres:*", method: "SQL", action: forever });
    const session = await connectSql(await targetOf());
    const { result, seconds } = await withStoppedTime(() => late(session.query("SELECT 1"), clock, isCaught));
    expect(result).toEqual(known("database/unreachable"));
    expect(seconds).toBeLessThanOrEqual(140);
    await session.close();
  });

  it.each([
    { form: "seconds", header: () => "2" },
    { form: "a date", header: () => new Date(Date.now() + 6_000).toUTCString() },
  ])("while a Retry-After in $form is kept, by ARM's and by the SCM site's client", async ({ header }) => {
    const context = await contextFor(emulator, systemClock);
    const before = emulator.journal.entries().at(-1)?.n ?? 0;
    const asked: number[] = [];
    const [forArm, forScm] = [header(), header()];
    const peer = await listening(
      createHttpsServer(emulator.platform.certificates.issue(["localhost"]), (_request, response) => {
        asked.push(Date.now());
        if (asked.length === 1) response.writeHead(429, { "retry-after": forScm }).end();
        else response.writeHead(200, { "content-type": "application/json" }).end("{}");
      }),
    );
    const status = { kind: "status", status: 429, headers: { "retry-after": forArm } } as const;
    emulator.faults.add({ host: "azure", path: "/subscriptions/*", times: 1, action: status });
    await Promise.all([
      scmSite(context, { name: "late", scmHost: `localhost:${peer.port}` }).getDeployment("d"),
      postgresServers(openArm(context)).list("rg-late"),
    ]);
    await peer.close();
    const calls = emulator.journal.entries().filter(({ n, path }) => n > before && path.endsWith("/flexibleServers"));
    const notBefore = (value: string, refusedAt: number): number => (value === "2" ? refusedAt + 2_000 : Date.parse(value)) - 50;
    const [refused = 0, again = 0] = calls.map(({ time }) => Date.parse(time));
    expect(again).toBeGreaterThanOrEqual(notBefore(forArm, refused));
    expect(asked[1]).toBeGreaterThanOrEqual(notBefore(forScm, asked[0] ?? 0));
    expect([calls.length, asked.length]).toEqual([2, 2]);
  });

  async function targetOf() {
    const { credential, environment, signal } = await contextFor(emulator, jumpingClock());
    const { token } = await accessToken(credential, environment.scopes.postgres);
    return { ...server, database: "postgres", user: emulator.clientId, token: async () => token, environment, signal };
  }
});

describe("an ARM token that ends in the middle of a long wait", () => {
  it("is replaced, by one that Entra gives, and the wait goes on", async () => {
    // A recorded server takes some minutes: here some seconds, and a token five.
    const { emulator, release } = await startTestEmulator({ tokenLifetimeSeconds: 5, clockMode: { kind: "recorded", scale: 0.06 } });
    try {
      const context = await contextFor(emulator, systemClock);
      await emulator.group("rg-long");
      const startedAt = Date.now();
      const made = await postgresServers(openArm(context)).create("rg-long", "long-db", {
        location: "eastus",
        version: "16",
        sku: "Standard_B1ms",
        storageGb: 32,
        tenantId: emulator.endpoints.tenantId,
        tags: {},
      });
      expect(made.name).toBe("long-db");
      expect(Date.now() - startedAt, "the wait is longer than a token lives").toBeGreaterThan(6_000);
      const entries = emulator.journal.entries();
      const tokens = entries.filter(({ method, path }) => method === "POST" && path.includes("/oauth2/"));
      expect(tokens.length).toBeGreaterThanOrEqual(2);
      expect(entries.filter(({ status }) => status === 401)).toEqual([]);
    } finally {
      await release();
    }
  });
});
