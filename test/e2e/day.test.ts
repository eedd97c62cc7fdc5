import { readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { describe, expect } from "vitest";
import { exitOf, type TestCli, cliTest as test } from "../support/cli.ts";

interface UpBody {
  readonly ok: boolean;
  readonly server: { readonly name: string; readonly host: string; readonly port: number };
  readonly database: string;
  readonly apps: Record<string, { readonly name: string; readonly url: string; readonly role: string; readonly principalId: string }>;
  readonly steps: readonly { readonly name: string; readonly outcome: string }[];
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
}

interface Status {
  readonly arm: string;
  readonly caFile: string;
  readonly controlKeyFile: string;
}

const project: { folder: string; body?: UpBody } = { folder: "" };

describe.sequential("a person's day with the FastAPI template", () => {
  // trap: postgres 23, passwordless-flow 6
  test("up: an empty folder becomes a proved app", async ({ cli }) => {
    project.folder = cli.folder();
    const { code, stdout, stderr } = await cli.run([
      "up",
      "--local",
      "--template",
      "fastapi",
      "--yes",
      "--json",
      "--name",
      "orders",
      project.folder,
    ]);
    expect(code, stderr).toBe(0);
    project.body = JSON.parse(stdout) as UpBody;
    expect(project.body).toMatchObject({
      ok: true,
      cloud: "local",
      resourceGroup: "rg-orders",
      database: "orders",
      server: { port: 5432 },
    });
    expect(project.body.checks.length).toBeGreaterThanOrEqual(12);
    expect(project.body.checks.filter(({ ok }) => !ok)).toEqual([]);
    expect(project.body.steps.every(({ outcome }) => ["kept", "created", "updated"].includes(outcome))).toBe(true);
  });

  test("a row posted is a row read, from a client that knows nothing of us", async () => {
    const { url } = api();
    const posted = await fetch(`${url}/items`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"name":"a chair"}',
    });
    expect(posted.status).toBe(201);
    const { items } = (await (await fetch(`${url}/items`)).json()) as { items: { name: string }[] };
    expect(items.map(({ name }) => name)).toContain("a chair");
  });

  test("PostgreSQL lets the app's identity in, and refuses everything else with a text of its own", async ({ cli }) => {
    const { role } = api();
    const good = await mint(cli, { principal: api().principalId, audience: "https://ossrdbms-aad.database.windows.net" });
    expect(await login(cli, role, good)).toBe(role);
    const refusals = {
      "an ARM token": await login(cli, role, await mint(cli, { principal: api().principalId, audience: "https://management.azure.com" })),
      "an expired token": await login(
        cli,
        role,
        await mint(cli, { principal: api().principalId, audience: "https://ossrdbms-aad.database.windows.net", flaw: "expired" }),
      ),
      "another key": await login(
        cli,
        role,
        await mint(cli, { principal: api().principalId, audience: "https://ossrdbms-aad.database.windows.net", flaw: "signature" }),
      ),
      "another identity": await login(
        cli,
        role,
        await mint(cli, { principal: "passwordless-pg-local", audience: "https://ossrdbms-aad.database.windows.net" }),
      ),
      "no token": await login(cli, role, "hunter2"),
    };
    expect(refusals["an ARM token"]).toMatch(/does not have a valid audience claim/);
    expect(refusals["an expired token"]).toMatch(/access token has expired/);
    for (const text of Object.values(refusals)) expect(text).toMatch(/token|password/);
    expect(new Set(Object.values(refusals)).size).toBe(5);
  });

  test("no password anywhere: settings, project file, the app's own files and environment", async ({ cli }) => {
    const environments = cli
      .processes()
      .filter((line) => line.includes("uvicorn"))
      .map((line) => readFileSync(`/proc/${line.split(" ")[0]}/environ`, "utf8"));
    expect(environments.length).toBeGreaterThan(0);
    for (const environment of environments) expect(environment).not.toMatch(/passw(or)?d=|PGPASSWORD|eyJ[\w-]{10,}\./i);
    expect(readFileSync(join(project.folder, "passwordless-pg.json"), "utf8")).not.toMatch(/"password|secret|eyJ/i);
  });

  test("a role broken after the app had started: verify says so at once, init repairs it", async ({ cli }) => {
    const administrator = project.body?.checks.find(({ name }) => name === "caller is Entra administrator")?.detail.split(" ")[0] ?? "";
    const token = await cli.run(["token", "--local", project.folder]);
    await execute(cli, administrator, token.stdout.trim(), `ALTER ROLE "${api().role}" NOLOGIN`);
    const startedAt = Date.now();
    const broken = await cli.run(["verify", "--local", "--json", project.folder]);
    expect(broken.code, broken.stderr).toBe(8);
    // Not the minute that an app which was just changed gets to come up: the database itself says why it cannot.
    expect(Date.now() - startedAt).toBeLessThan(55_000);
    const { checks } = JSON.parse(broken.stdout) as Pick<UpBody, "checks">;
    expect(checks.find(({ name }) => name === "api: app signs in with its token")).toMatchObject({
      ok: false,
      detail: expect.stringContaining("503"),
    });
    const repaired = await cli.run(["init", "--local", "--yes", "--json", project.folder]);
    expect(repaired.code, repaired.stderr).toBe(0);
    const proved = await cli.run(["verify", "--local", "--json", project.folder]);
    expect(proved.code, proved.stdout).toBe(0);
  });

  test("a second init changes nothing and a second deploy uploads nothing", async ({ cli }) => {
    const before = (await journal(cli)).at(-1)?.n ?? 0;
    const init = await cli.run(["init", "--local", "--yes", "--json", project.folder]);
    expect(init.code, init.stderr).toBe(0);
    const writes = (await journal(cli)).filter(
      ({ n, method, path }) => n > before && method !== "GET" && !/\/oauth2\/|\/list$|^\/_local/.test(path),
    );
    expect(writes).toEqual([]);
    const deploy = await cli.run(["deploy", "--local", "--json", project.folder]);
    expect(JSON.parse(deploy.stdout)).toMatchObject({ ok: true, outcome: "unchanged", uploadedBytes: 0 });
    const plan = await cli.run(["plan", "--local", "--json", project.folder]);
    expect(plan.code).toBe(0);
    expect(JSON.parse(plan.stdout)).toMatchObject({ ok: true, changes: 0 });
  });

  test("logs tail shows a request, and ends cleanly with Ctrl-C", async ({ cli }) => {
    const tail = cli.spawn(["logs", "tail", "--local", "--json", project.folder]);
    const ended = exitOf(tail);
    const marker = `/items?limit=1&marker=${Date.now()}`;
    let output = "";
    const seen = new Promise<void>((done) => {
      tail.stdout.setEncoding("utf8").on("data", (chunk: string) => {
        output += chunk;
        if (output.includes("/items")) done();
      });
    });
    const asking = setInterval(() => void fetch(`${api().url}${marker}`).catch(() => undefined), 250);
    await seen;
    clearInterval(asking);
    tail.kill("SIGINT");
    expect(await ended).toBe(130);
    for (const line of output.split("\n").filter(Boolean)) {
      expect(JSON.parse(line)).toMatchObject({ app: expect.any(String), source: expect.any(String), message: expect.any(String) });
    }
  });

  test("kill -9 of local Azure loses nothing: the row is there after the next start", async ({ cli }) => {
    const { pid } = JSON.parse((await cli.run(["local", "status", "--json"])).stdout) as { pid: number };
    process.kill(pid, "SIGKILL");
    const started = await cli.run(["local", "start", "--json"]);
    expect(started.code, started.stderr).toBe(0);
    const verify = await cli.run(["verify", "--local", "--json", project.folder]);
    expect(
      (JSON.parse(verify.stdout) as { checks: { ok: boolean }[] }).checks.filter(({ ok }) => !ok),
      verify.stderr,
    ).toEqual([]);
    const { items } = (await (await fetch(`${api().url}/items?limit=100`)).json()) as { items: { name: string }[] };
    expect(items.map(({ name }) => name)).toContain("a chair");
  });

  // trap: servicelinker 16
  test("down removes what the project made; stop leaves no process behind", async ({ cli }) => {
    const down = await cli.run(["down", "--local", "--yes", "--json", project.folder]);
    expect(down.code, down.stderr).toBe(0);
    expect(JSON.parse(down.stdout)).toMatchObject({ ok: true, removed: ["resource group rg-orders"] });
    const again = await cli.run(["down", "--local", "--yes", "--json", project.folder]);
    expect(JSON.parse(again.stdout)).toMatchObject({ ok: true, removed: [] });
    expect((await cli.run(["local", "stop"])).code).toBe(0);
    expect(cli.processes()).toEqual([]);
  });
});

function api() {
  const app = project.body?.apps.api;
  if (!app) throw new Error("up has not run");
  return app;
}

async function status(cli: TestCli): Promise<Status> {
  return JSON.parse((await cli.run(["local", "status", "--json"])).stdout) as Status;
}

async function control(cli: TestCli, path: string, body?: object): Promise<unknown> {
  const { arm, caFile, controlKeyFile } = await status(cli);
  const { request } = await import("node:https");
  return new Promise((done, fail) => {
    const headers = { authorization: `Bearer ${readFileSync(controlKeyFile, "utf8")}`, "content-type": "application/json" };
    const outgoing = request(
      `${arm}/_local/${path}`,
      { method: body ? "POST" : "GET", headers, ca: readFileSync(caFile), agent: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => done(JSON.parse(text)));
      },
    );
    outgoing.on("error", fail);
    outgoing.end(body ? JSON.stringify(body) : undefined);
  });
}

async function mint(cli: TestCli, wanted: object): Promise<string> {
  return ((await control(cli, "tokens", wanted)) as { token: string }).token;
}

async function journal(cli: TestCli): Promise<{ n: number; method: string; path: string }[]> {
  return ((await control(cli, "journal")) as { value: { n: number; method: string; path: string }[] }).value;
}

/** The role that PostgreSQL says we are, or its refusal. */
async function login(cli: TestCli, user: string, password: string): Promise<string> {
  try {
    return await execute(cli, user, password, "SELECT current_user");
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Runs one statement in the project's database; answers with `current_user` when it names it. */
async function execute(cli: TestCli, user: string, password: string, statement: string): Promise<string> {
  const { host, port } = project.body?.server ?? { host: "", port: 0 };
  const ca = readFileSync((await status(cli)).caFile, "utf8");
  const client = new pg.Client({ host, port, user, password, database: project.body?.database ?? "", ssl: { ca } });
  try {
    await client.connect();
    const { rows } = await client.query<{ current_user: string }>(statement);
    return rows[0]?.current_user ?? "";
  } finally {
    await client.end();
  }
}
