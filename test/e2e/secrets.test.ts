import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { describe, expect } from "vitest";
import { cliTest } from "../support/cli.ts";
import { watchedTest as test, type WatchedCli } from "../support/watched-cli.ts";

const hasScript = spawnSync("script", ["--version"]).status === 0;
/** The SDKs' own traces of every request. */
const traces = { AZURE_LOG_LEVEL: "verbose" };

/** Everything but those that end what the others need. */
const commands: readonly (readonly string[])[] = [
  ["init", "--yes"],
  ["up", "--yes", "-v"],
  ["plan", "--json", "-v"],
  ["deploy", "--force", "--json"],
  ["deploy", "-q"],
  ["verify", "-v"],
  ["verify", "--json"],
  ["status", "--json"],
  ["doctor", "-v"],
  ["doctor", "--fix", "-v"],
  ["server", "show", "-v"],
  ["webapp", "restart", "-v"],
  ["connection", "validate", "--json"],
  ["connection", "create", "--yes", "--json"],
  ["principal", "show"],
  ["principal", "add", "--yes", "-v"],
  ["firewall", "list", "-v"],
  ["logs", "download", "-o", "logs.zip"],
  ["local", "status", "--json"],
  ["local", "env"],
  ["local", "env", "--format", "json"],
  ["local", "env", "--format", "az"],
];

function mint({ emulator }: WatchedCli, audience: string): string {
  const app = emulator.platform.directory.findByAppId(emulator.clientId);
  if (!app) throw new Error("the seeded service principal is missing");
  return emulator.platform.tokens.mint(app, audience).token;
}

/** A refusal that repeats what it was given, as proxies and careless services do. */
function echo(cli: WatchedCli): string {
  const token = mint(cli, "https://management.azure.com");
  const words = ["Authorization: Bearer", token, "was refused; Password=canary-password-1;", "postgresql://me:canary-password-2@db/x"];
  return `${words.join(" ")} {"client_secret":"canary-password-3"} ${token.slice(0, 700)}`;
}

describe.sequential("no secret gets out", () => {
  test("of any command, in what it prints and what it starts", async ({ cli }) => {
    for (const number of [1, 2, 3]) cli.addSecret(`password ${number}`, `canary-password-${number}`);
    const first = await cli.run(["up", "--local", "--yes", "--json"]);
    expect(first.stdout, first.stderr).toContain('"principalId"');
    const leaks: string[] = [];
    for (const args of commands) {
      const run = await cli.run([...args, ...(args[0] === "local" ? [] : ["--local"])], args.includes("-v") ? { environment: traces } : {});
      if (args[0] !== "doctor" && args[0] !== "verify" && args[0] !== "up")
        expect([args, run.code, run.stderr]).toEqual([args, 0, expect.anything()]);
      const words = [run.stdout, run.stderr, ...run.children.flatMap(({ command, environment }) => [command, environment])].join("\n");
      leaks.push(...cli.secretsIn(words).map((name) => `${args.join(" ")}: ${name}`));
    }
    expect(leaks).toEqual([]);
    expect(cli.tokenCount()).toBeGreaterThan(commands.length);
  });

  test.skipIf(!hasScript)("nor on a terminal", async ({ cli }) => {
    for (const args of [
      ["verify", "-v"],
      ["deploy", "--force"],
    ]) {
      const { stdout } = await cli.run([...args, "--local"], { onTerminal: true, environment: traces });
      expect([args, stdout.length > 20, cli.secretsIn(stdout)]).toEqual([args, true, []]);
    }
  });

  test("token prints one, on stdout alone", async ({ cli }) => {
    const run = await cli.run(["token", "--local", "-v"], { environment: traces });
    expect(run.code).toBe(0);
    expect(cli.secretsIn(run.stdout)).toContain("a token");
    expect(run.stdout).toMatch(/^\S+\n$/);
    expect(cli.secretsIn(run.stderr)).toEqual([]);
  });

  test("logs tail: what it says beside the app's own lines", async ({ cli }) => {
    const tail = cli.spawn(["logs", "tail", "--local", "-v"], traces);
    let words = "";
    const begun = new Promise<void>((done) => {
      for (const stream of [tail.stdout, tail.stderr]) {
        stream?.setEncoding("utf8").on("data", (text: string) => {
          words += text;
          if (words.includes("Ctrl-C ends it")) done();
        });
      }
    });
    await begun;
    tail.kill("SIGINT");
    await new Promise((done) => tail.once("close", done));
    expect(cli.secretsIn(words)).toEqual([]);
  });

  test.for<[string, object, readonly (readonly string[])[]]>([
    [
      "ARM's words",
      { host: "azure", path: "/subscriptions/*", action: { kind: "status", status: 403, code: "AuthorizationFailed" } },
      [
        ["verify", "--json"],
        ["doctor", "-v"],
        ["init", "--yes"],
        ["down", "--yes", "--json"],
      ],
    ],
    ["ARM's code", { host: "azure", path: "/subscriptions/*", action: { kind: "status", status: 400, message: "no" } }, [["status", "-v"]]],
    [
      "a body of no known shape",
      { host: "azure", path: "/subscriptions/*", action: { kind: "status", status: 400, body: {} } },
      [["server", "show"]],
    ],
    [
      "the token endpoint",
      { host: "azure", path: "*/oauth2/*", action: { kind: "status", status: 400, body: {} } },
      [["plan", "-v"], ["token"]],
    ],
    ["the SCM site", { host: "scm:*", action: { kind: "status", status: 403, body: {} } }, [["logs", "download", "-o", "refused.zip"]]],
    ["the app", { host: "site:*", action: { kind: "status", status: 404, body: {} } }, [["verify", "--json"]]],
    [
      "PostgreSQL",
      { host: "postgres:*", method: "LOGIN", action: { kind: "sql-error", sqlState: "28000" } },
      [["principal", "show"], ["verify"], ["connect"]],
    ],
  ])("when %s repeat them in a refusal", async ([what, fault, refused], { cli }) => {
    const words = echo(cli);
    const { action } = fault as { action: Record<string, unknown> };
    const filled = {
      ...action,
      ...(what === "ARM's code" ? { code: words } : {}),
      ...(action.body ? { body: { error: { code: "invalid_request", message: words }, error_description: words, raw: words } } : {}),
      ...(action.message || action.body ? {} : { message: words }),
    };
    cli.emulator.faults.add({ ...fault, action: filled } as never);
    try {
      for (const args of refused) {
        const run = await cli.run([...args, "--local"], args.includes("-v") ? { environment: traces } : {});
        expect(run.code, run.stdout).toBeGreaterThan(0);
        expect([args, cli.secretsIn(run.stdout + run.stderr)]).toEqual([args, []]);
      }
      expect(cli.emulator.faults.list().every(({ caught }) => caught > 0)).toBe(true);
    } finally {
      cli.emulator.faults.clear();
    }
  });

  test("a login that is refused leaves nothing in the logs of the server", async ({ cli }) => {
    const server = (await cli.run(["status", "--local", "--json"])).stdout;
    const { host, port } = (JSON.parse(server) as { server: { host: string; port: number } }).server;
    const token = mint(cli, "https://ossrdbms-aad.database.windows.net");
    const group = `${cli.emulator.subscription}/resourceGroups/rg-canary/providers/Microsoft.DBforPostgreSQL/flexibleServers/canary-db-t3st`;
    await cli.emulator.arm("PUT", `${group}/firewallRules/here?api-version=2024-08-01`, {
      properties: { startIpAddress: "127.0.0.1", endIpAddress: "127.0.0.1" },
    });
    await cli.emulator.until(`${group}/firewallRules/here?api-version=2024-08-01`, ({ status }) => status === 200);
    for (const user of ["nobody", "canary-api-t3st"]) {
      const client = new pg.Client({ host, port, user, password: token, database: "canary", ssl: { ca: cli.emulator.caPem } });
      const refusal = await client.connect().catch((error: Error) => error.message);
      expect(refusal).toMatch(/password|token/);
      expect(cli.secretsIn(String(refusal))).toEqual([]);
      await client.end().catch(() => undefined);
    }
  });

  test("nothing is left in any file: state, journal, logs, project, temporary folder", async ({ cli }) => {
    const site = `${cli.emulator.subscription}/resourceGroups/rg-canary/providers/Microsoft.Web/sites/canary-api-t3st`;
    const { body } = await cli.emulator.arm("POST", `${site}/config/publishingcredentials/list?api-version=2024-04-01`);
    cli.addSecret("publishing password", body.properties.publishingPassword);
    for (const header of identityHeaders(cli)) cli.addSecret("identity header", header);
    expect(identityHeaders(cli).length).toBeGreaterThan(0);
    await cli.emulator.journal.flush();
    expect(cli.leakingFiles()).toEqual([]);
    expect(readdirSync(cli.temporary)).toEqual([]);
    const down = await cli.run(["down", "--local", "--yes", "-v"], { environment: traces });
    expect([down.code, cli.secretsIn(down.stdout + down.stderr)]).toEqual([0, []]);
    expect(cli.leakingFiles()).toEqual([]);
  });
});

/** Of the app's processes, which get them as Azure gives them: by their environment. */
function identityHeaders(cli: WatchedCli): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
      return environment.includes(cli.root) ? (/IDENTITY_HEADER=([^\0]+)/.exec(environment)?.slice(1) ?? []) : [];
    } catch {
      return []; // not a process, or it ended
    }
  });
}

describe.sequential("the home of local Azure", () => {
  cliTest("is closed where it holds secrets, whatever the umask says", async ({ cli }) => {
    const before = process.umask(0);
    const started = await cli.run(["local", "start", "--json"]).finally(() => process.umask(before));
    expect(started.code, started.stderr).toBe(0);
    const modeOf = (name: string): string => (statSync(join(cli.home, name)).mode & 0o777).toString(8);
    const keys = readdirSync(join(cli.home, "keys"));
    expect(keys.length).toBeGreaterThan(4);
    expect(modeOf("keys")).toBe("700");
    expect(keys.filter((name) => modeOf(join("keys", name)) !== "600")).toEqual([]);
    for (const file of ["state.json", "run.json", "local.log"]) expect([file, modeOf(file)]).toEqual([file, "600"]);
    const open = (readdirSync(cli.home, { recursive: true }) as string[]).filter((name) => statSync(join(cli.home, name)).mode & 0o002);
    expect(open).toEqual([]);
    const secrets = keys.filter((name) => !/\.(pem|key)$/.test(name)).map((name) => readFileSync(join(cli.home, "keys", name), "utf8"));
    for (const args of [["status"], ["env"], ["logs"], ["reset", "--yes"], ["stop"]]) {
      const { code, stdout, stderr } = await cli.run(["local", ...args, "--json"]);
      expect([args, code, secrets.filter((secret) => `${stdout}${stderr}`.includes(secret))]).toEqual([args, 0, []]);
    }
  });
});
