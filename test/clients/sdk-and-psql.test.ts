import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, describe, expect } from "vitest";
import { cliTest as test } from "../support/cli.ts";
import { hasPostgresClients } from "./support/az.ts";
import { type Finished, finish, type LocalAzure, startLocalAzure } from "./support/local-azure.ts";
import { writeObserved } from "./support/observed.ts";
import { virtualEnvironment } from "./support/virtual-environment.ts";

const PACKAGES = ["azure-identity", "azure-mgmt-postgresqlflexibleservers", "azure-mgmt-web", "azure-mgmt-resource"];
const DRIVERS = ["psycopg[binary]", "asyncpg", "pg8000"];
const script = resolve(import.meta.dirname, "support/sdk.py");

let local: LocalAzure;
let python = "";
const up: { folder: string; group: string; server: string; host: string; database: string; site: string; administrator: string } = {
  folder: "",
  group: "",
  server: "",
  host: "",
  database: "",
  site: "",
  administrator: "",
};

/** What the SDKs for Python print, read as JSON. */
// biome-ignore lint/suspicious/noExplicitAny: what the SDKs print has every shape
async function sdk(...args: string[]): Promise<any> {
  const { code, stdout, stderr } = await finish(join(python, "python"), [script, ...args], { env: local.variables });
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

describe.sequential("the Python management SDKs and our command line, each over what the other made", () => {
  test("they install, and local Azure starts", async ({ cli }) => {
    local = await startLocalAzure(cli);
    python = await virtualEnvironment("sdk", PACKAGES);
  }, 600_000);

  test("what `up` made, they read; the app signs in with azure-identity", async ({ cli }) => {
    up.folder = cli.folder();
    const { code, stdout, stderr } = await cli.run([
      "up",
      "--local",
      "--template",
      "fastapi",
      "--yes",
      "--json",
      "--name",
      "shop",
      up.folder,
    ]);
    expect(code, stderr).toBe(0);
    const body = JSON.parse(stdout);
    const [app] = Object.values(body.apps) as { name: string; principalId: string }[];
    Object.assign(up, {
      group: body.resourceGroup,
      server: body.server.name,
      host: body.server.host,
      database: body.database,
      site: app?.name,
    });
    // The template's own route: a row written and read by the app with a token from azure-identity.
    expect(body.checks.filter(({ ok }: { ok: boolean }) => !ok)).toEqual([]);
    const read = await sdk("read", up.group, up.server, up.site);
    expect(read.server).toMatchObject({
      state: "Ready",
      version: "16",
      authConfig: { activeDirectoryAuth: "Enabled", passwordAuth: "Disabled" },
    });
    expect(read.administrators).toHaveLength(1);
    up.administrator = read.administrators[0];
    expect(read.databases).toContain(up.database);
    expect(read.identity).toMatchObject({ type: "SystemAssigned", principalId: app?.principalId });
    expect(read.settings).toEqual(expect.arrayContaining(["DB_HOST", "DB_NAME", "DB_USER"]));
    expect(read.resources).toEqual(
      expect.arrayContaining(["microsoft.dbforpostgresql/flexibleservers", "microsoft.web/serverfarms", "microsoft.web/sites"]),
    );
  });

  test("what they made, `init` adopts: the plan keeps group, server and plan, and makes only the rest", async ({ cli }) => {
    await sdk("make", "rg-made", "made-db-sdk1", "made-plan");
    const folder = cli.folder();
    const project = {
      name: "made",
      resourceGroup: "rg-made",
      server: { name: "made-db-sdk1" },
      apps: { api: { name: "made-api-sdk1", plan: "B1" } },
    };
    writeFileSync(join(folder, "passwordless-pg.json"), JSON.stringify(project));
    writeFileSync(join(folder, "requirements.txt"), "");
    const planned = JSON.parse((await cli.run(["plan", "--local", "--json", folder])).stdout);
    const change = (name: string): string => planned.steps.find((step: { name: string }) => step.name.startsWith(name))?.change;
    expect([change("resource group"), change("postgres server")], JSON.stringify(planned.steps)).not.toContain("create");
    const made = await cli.run(["init", "--local", "--yes", "--json", folder]);
    expect(made.code, made.stdout + made.stderr).toBe(0);
    const again = await cli.run(["plan", "--local", "--json", folder]);
    expect(again.code, again.stdout).toBe(0);
  });
});

describe.runIf(hasPostgresClients()).sequential("PostgreSQL's own programs through the gateway", () => {
  const environment = async (cli: { run(args: readonly string[]): Promise<Finished> }): Promise<Record<string, string>> => {
    const token = await cli.run(["token", "--local", up.folder]);
    expect(token.code, token.stderr).toBe(0);
    const target = { PGHOST: up.host, PGUSER: up.administrator, PGDATABASE: up.database, PGPASSWORD: token.stdout.trim() };
    return { ...local.variables, ...target };
  };
  const psql = async (cli: Parameters<typeof environment>[0], input: string, ...more: string[]): Promise<Finished> =>
    finish("psql", ["-X", "-v", "ON_ERROR_STOP=1", ...more], { env: await environment(cli), input });

  test.for([
    ["sslmode=disable", /FATAL: {2}no pg_hba\.conf entry for host "127\.0\.0\.1", user ".+", database ".+", no encryption/],
    ["sslmode=prefer", /^1$/],
    ["sslmode=require", /^1$/],
    ["sslmode=verify-full", /^1$/],
    ["sslmode=verify-full sslrootcert=/etc/hosts", /root certificate|SSL error|certificate/],
    ["sslmode=require ssl_max_protocol_version=TLSv1.2", /^1$/],
    ["sslmode=require channel_binding=require", /channel binding required but not supported by server's authentication request/],
    ["gssencmode=prefer", /^1$/],
    ["gssencmode=require", /GSSAPI encryption required|GSSAPI/],
    ["options='-c statement_timeout=5s'", /^1$/],
    ["dbname=nothing", /FATAL: {2}database "nothing" does not exist/],
  ] as const)("psql with %s", async ([words, wanted], { cli }) => {
    const { stdout, stderr } = await finish("psql", ["-X", "-A", "-t", words], { env: await environment(cli), input: "SELECT 1;\n" });
    expect((stdout + stderr).trim()).toMatch(wanted);
  });

  test("psql: a service file; an empty and a wrong password", async ({ cli }) => {
    const env = await environment(cli);
    const file = join(cli.home, "services.conf");
    writeFileSync(file, `[shop]\nhost=${up.host}\nuser=${up.administrator}\ndbname=${up.database}\nsslmode=verify-full\n`);
    const named = await finish("psql", ["-X", "-A", "-t", "service=shop"], { env: { ...env, PGSERVICEFILE: file }, input: "SELECT 1;\n" });
    expect([named.code, named.stdout.trim()], named.stderr).toEqual([0, "1"]);
    const wrong = await finish("psql", ["-X"], { env: { ...env, PGPASSWORD: "a-password" }, input: "" });
    expect(wrong.stderr).toContain("FATAL:  The access token has invalid format. Acquire a new token and retry.");
    expect((await finish("psql", ["-X", "-w"], { env: { ...env, PGPASSWORD: "" }, input: "" })).stderr).toContain("no password supplied");
  });

  test("psycopg, asyncpg with a pool, pg8000", async ({ cli }) => {
    const drivers = await virtualEnvironment("drivers", DRIVERS);
    const program = resolve(import.meta.dirname, "support/drivers.py");
    const { code, stdout, stderr } = await finish(join(drivers, "python"), [program], { env: await environment(cli) });
    expect(code, stderr).toBe(0);
    const { "without TLS": refusal, ...answers } = JSON.parse(stdout);
    expect(answers).toEqual({ psycopg: up.administrator, pg8000: up.administrator, asyncpg: up.administrator });
    expect(refusal).toMatch(/no pg_hba\.conf entry for host .*, no encryption/);
  }, 300_000);

  test(String.raw`psql \d and \dt`, async ({ cli }) => {
    const { code, stdout, stderr } = await psql(cli, "CREATE TABLE chairs (id int PRIMARY KEY, name text);\n\\d chairs\n\\dt\n");
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/"chairs_pkey" PRIMARY KEY, btree \(id\)/);
  });

  test("COPY in and out", async ({ cli }) => {
    const rows = Array.from({ length: 50_000 }, (_, id) => `${id}\tchair ${id}`);
    const { code, stdout, stderr } = await psql(cli, `COPY chairs FROM STDIN;\n${rows.join("\n")}\n\\.\nCOPY chairs TO STDOUT;\n`, "-q");
    expect(code, stderr).toBe(0);
    expect(stdout.trimEnd().split("\n")).toEqual(rows);
  });

  test("LISTEN and NOTIFY", async ({ cli }) => {
    const { stdout } = await psql(cli, "LISTEN door;\nNOTIFY door, 'knock';\nSELECT 1;\n");
    expect(stdout).toMatch(/Asynchronous notification "door" with payload "knock" received/);
  });

  test("a result of 100 MB", async ({ cli }) => {
    const { code, stdout, stderr } = await psql(cli, "SELECT repeat('x', 1000000) FROM generate_series(1, 100);\n", "-A", "-t");
    expect(code, stderr).toBe(0);
    expect(stdout.length).toBe(100 * 1_000_001);
  });

  test("cancellation: Ctrl-C ends the statement on the server", async ({ cli }) => {
    const child = spawn("psql", ["-X"], { env: await environment(cli), stdio: ["pipe", "pipe", "pipe"] });
    let text = "";
    const closed = new Promise((done) => child.once("close", done));
    const seen = async (words: string): Promise<void> => {
      const deadline = Date.now() + 30_000;
      while (!text.includes(words)) {
        if (Date.now() > deadline) throw new Error(`no '${words}' in: ${text}`);
        await new Promise((again) => setTimeout(again, 20));
      }
    };
    child.stdout.setEncoding("utf8").on("data", (part: string) => (text += part));
    child.stderr.setEncoding("utf8").on("data", (part: string) => (text += part));
    child.stdin.write("SELECT 'before';\nSELECT pg_sleep(60);\n");
    await seen("before");
    // The answer to the first statement came: psql goes on to the second, which may not have arrived yet. An early signal cancels nothing.
    const again = setInterval(() => child.kill("SIGINT"), 300);
    await seen("canceling statement due to user request").finally(() => clearInterval(again));
    child.stdin.end();
    await closed;
    const running = await psql(cli, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%';\n", "-A", "-t");
    expect(running.stdout.trim()).toBe("0");
  });

  test("pgbench", async ({ cli }) => {
    const env = await environment(cli);
    const filled = await finish("pgbench", ["-i", "-q", "-s", "1"], { env });
    expect(filled.code, filled.stderr).toBe(0);
    const run = await finish("pgbench", ["-c", "4", "-j", "2", "-t", "250"], { env });
    expect(run.code, run.stderr).toBe(0);
    expect(run.stdout).toContain("number of transactions actually processed: 1000/1000");
  });
});

afterAll(async () => {
  if (local) await writeObserved("Python SDKs and passwordless-pg", local);
});
