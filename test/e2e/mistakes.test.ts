import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { cliTest as test } from "../support/cli.ts";

interface ErrorBody {
  readonly ok: false;
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string };
}

const bodyOf = (stdout: string): ErrorBody => JSON.parse(stdout) as ErrorBody;
const noStack = /\n\s+at .*:\d+:\d+/;

describe("the mistakes of a newcomer", () => {
  test.for<[string, string[], number, RegExp]>([
    ["an unknown command", ["deplyo"], 2, /unknown command 'deplyo'[\s\S]*deploy/],
    ["an unknown option", ["up", "--colour"], 2, /unknown option '--colour'/],
    ["a cloud that there is not", ["plan", "--cloud", "mars"], 2, /public, usgov, china, local/],
    [
      "a template that there is not",
      ["up", "--local", "--template", "django", "--yes", "empty"],
      2,
      /there is no template "django"[\s\S]*express, fastapi/,
    ],
    ["no project file", ["verify", "--local", "."], 2, /no passwordless-pg\.json[\s\S]*passwordless-pg init/],
    ["a project file that is named and absent", ["plan", "--config", "nowhere.json"], 2, /nowhere\.json does not exist/],
    ["nothing at all to do with --json", ["--json", "--no-input"], 2, /Usage:/],
    ["a folder that does not exist", ["plan", "--local", "nowhere"], 2, /folder .*nowhere does not exist/],
    ["a clock nobody understands", ["local", "start", "--clock", "slow"], 2, /--clock slow[\s\S]*recorded/],
  ])("%s", async ([_what, args, code, words], { cli }) => {
    const run = await cli.run(args);
    expect(run.stderr).toMatch(words);
    expect(run.stderr).not.toMatch(noStack);
    if (!args.includes("--json")) expect(run.stdout).toBe("");
    expect(run.code).toBe(code);
  });

  test("a project file with several problems: all of them, before anything is touched", async ({ cli }) => {
    const folder = cli.folder();
    writeFileSync(join(folder, "passwordless-pg.json"), '{"name":"Orders","locatoin":"eastus","server":{"version":"9"}}');
    const run = await cli.run(["init", "--local", "--yes", "--json", folder]);
    expect(run.code).toBe(2);
    const { error } = bodyOf(run.stdout);
    expect(error.code).toBe("project/invalid");
    for (const part of ["name", "locatoin", "server.version"]) expect(error.message).toContain(part);
    expect(JSON.parse((await cli.run(["local", "status", "--json"])).stdout)).toMatchObject({ running: false });
  });

  test("a project file that is not JSON", async ({ cli }) => {
    const folder = cli.folder();
    writeFileSync(join(folder, "passwordless-pg.json"), '{"name": "orders",}');
    const run = await cli.run(["plan", "--local", folder]);
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(/is not JSON/);
  });

  test.for<[string, string | Buffer, RegExp]>([
    ["is empty", "", /is empty[\s\S]*remove it and run/],
    ["is null", "null", /the file: must be object/],
    ["is UTF-16", Buffer.from("\uFEFF{}", "utf16le"), /is UTF-16[\s\S]*UTF-8/],
    ["has comments", '{ // mine\n"name":"shop"}', /is not JSON[\s\S]*comments/],
    ["begins with a byte order mark, as some editors write it", '\uFEFF{"name":"shop","locatoin":"x"}', /has 1 problem[\s\S]*locatoin/],
  ])("a project file that %s", async ([_what, content, words], { cli }) => {
    const folder = cli.folder();
    writeFileSync(join(folder, "passwordless-pg.json"), content);
    const run = await cli.run(["plan", "--local", folder]);
    expect([run.code, run.stderr]).toEqual([2, expect.stringMatching(words)]);
    expect(run.stderr).toMatch(/\n {2}→ /);
    expect(run.stderr).not.toMatch(noStack);
  });

  test("a folder where the project file should be", async ({ cli }) => {
    const folder = cli.folder();
    mkdirSync(join(folder, "passwordless-pg.json"));
    const run = await cli.run(["plan", "--local", folder]);
    expect([run.code, run.stderr]).toEqual([2, expect.stringMatching(/is a folder, not a project file[\s\S]*→/)]);
  });

  test.for<[string, string]>([
    ["a file", "file"],
    ["below a file", "file/home"],
    ["where the system makes no folders", "/proc/nowhere"],
  ])("a home for local Azure that is %s: said at once, with the way out", async ([_what, home], { cli }) => {
    const folder = cli.folder();
    writeFileSync(join(folder, "file"), "");
    for (const args of [
      ["local", "start"],
      ["plan", "--local"],
    ]) {
      if (args[0] === "plan")
        writeFileSync(join(folder, "passwordless-pg.json"), '{"name":"shop","apps":{"api":{"runtime":"python|3.12"}}}');
      const run = await cli.run(args, { environment: { PASSWORDLESS_PG_HOME: home }, cwd: folder });
      expect([args, run.code, run.stderr]).toEqual([args, 1, expect.stringMatching(/cannot live in[\s\S]*→ set PASSWORDLESS_PG_HOME/)]);
      expect(run.stderr).not.toMatch(noStack);
    }
  });

  test("an empty PASSWORDLESS_PG_HOME is none: the caller's folder is left alone", async ({ cli }) => {
    const folder = cli.folder();
    const run = await cli.run(["local", "status", "--json"], { environment: { PASSWORDLESS_PG_HOME: "", HOME: folder }, cwd: folder });
    expect(JSON.parse(run.stdout)).toEqual({ running: false, home: join(folder, ".passwordless-pg") });
  });

  test("a template into a place that takes no files", async ({ cli }) => {
    const folder = cli.folder();
    writeFileSync(join(folder, "file"), "");
    const run = await cli.run(["init", "--local", "--yes", "--template", "fastapi", "file/new"], { cwd: folder });
    expect([run.code, run.stderr]).toEqual([2, expect.stringMatching(/cannot be laid into .*file\/new[\s\S]*→/)]);
    expect(run.stderr).not.toMatch(noStack);
  });

  test("an empty folder has no app to deploy", async ({ cli }) => {
    const run = await cli.run(["up", "--local", "--yes", cli.folder()]);
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(/nothing in \. says what kind of app it is/);
  });

  test("nobody is signed in: says so within seconds, with the command that signs in", async ({ cli }) => {
    const folder = cli.folder();
    writeFileSync(join(folder, "main.py"), "print()\n");
    const run = await cli.run(["plan", "--json", folder], {
      environment: { HOME: folder, PATH: join(folder, "no-programs"), AZURE_SUBSCRIPTION_ID: "00000000-0000-0000-0000-000000000000" },
    });
    expect(run.code).toBe(4);
    expect(bodyOf(run.stdout).error).toMatchObject({ code: "auth/signed-out", hint: expect.stringContaining("az login") });
  });

  test("nobody can answer and --yes is missing: nothing is created", async ({ cli }) => {
    const folder = nodeApp(cli.folder());
    const run = await cli.run(["init", "--local", "--name", "quiet", folder]);
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(/add --yes/);
    expect(readdirSync(folder).sort()).toEqual(["package.json", "server.js"]);
  });

  test("the port is in use: names it", async ({ cli }) => {
    await cli.run(["local", "stop"]);
    const taken = createServer();
    await new Promise<void>((done) => taken.listen(0, "127.0.0.1", () => done()));
    const { port } = taken.address() as { port: number };
    const run = await cli.run(["local", "start", "--json", "--port", String(port)]);
    taken.close();
    expect(run.code).toBe(6);
    expect(bodyOf(run.stdout).error).toMatchObject({ code: "local/port-in-use", message: expect.stringContaining(String(port)) });
  });

  test("a wish that is impossible is blocked with the way out, and the server stays", async ({ cli }) => {
    const folder = nodeApp(cli.folder());
    expect((await cli.run(["server", "create", "--local", "--yes", "--name", "stuck", folder])).code).toBe(0);
    const file = join(folder, "passwordless-pg.json");
    writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, "utf8")) as object), location: "westeurope" }));
    const run = await cli.run(["init", "--local", "--yes", "--json", folder]);
    expect(run.code).toBe(1);
    expect(bodyOf(run.stdout).error).toMatchObject({ code: "step/blocked", hint: expect.stringContaining("eastus") });
  });

  test("a project file that names another group, then another app: said before anything is made, and what is left over", async ({
    cli,
  }) => {
    const folder = nodeApp(cli.folder());
    expect((await cli.run(["webapp", "create", "--local", "--yes", "--name", "moved", folder])).code).toBe(0);
    const file = join(folder, "passwordless-pg.json");
    const written = JSON.parse(readFileSync(file, "utf8")) as { apps: { api: { name: string } } };
    const { name } = written.apps.api;
    writeFileSync(file, JSON.stringify({ ...written, resourceGroup: "rg-elsewhere" }));
    const planned = await cli.run(["plan", "--local", folder]);
    expect([planned.code, planned.stdout]).toEqual([3, expect.stringMatching(/blocked +web app .* is in the resource group rg-moved/)]);
    expect(planned.stdout).toMatch(/Nothing would change\.\n\d+ of \d+ steps are blocked\./);
    const run = await cli.run(["init", "--local", "--yes", folder]);
    expect(run.code).toBe(6);
    expect(run.stderr).toMatch(/✗ resource group: web app .* is in the resource group rg-moved .*\n +→ set "resourceGroup": "rg-moved"/);
    writeFileSync(file, JSON.stringify({ ...written, apps: { api: { ...written.apps.api, name: "moved-again" } } }));
    const detail = expect.stringContaining(`web app ${name} (App Service plan ${name}-plan) carries this project's tag`);
    for (const command of ["status", "plan"]) {
      const { stdout } = await cli.run([command, "--local", "--json", folder]);
      expect(JSON.parse(stdout)).toMatchObject({ warnings: [{ name: "no web app is left over", detail }] });
    }
  });

  test("an app that does not build: the part of the log that says why", async ({ cli }) => {
    const folder = cli.folder();
    writeFileSync(join(folder, "app.py"), "print()\n");
    writeFileSync(join(folder, "requirements.txt"), "passwordless-pg-no-such-package==9.9.9\n");
    const run = await cli.run(["up", "--local", "--yes", "--name", "broken", folder]);
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/No matching distribution found for passwordless-pg-no-such-package/);
    expect(run.stderr).not.toMatch(noStack);
  });

  test("an app that does not start: its last lines", async ({ cli }) => {
    const folder = nodeApp(cli.folder(), 'console.log("looking around");\nthrow new Error("no idea where I am");\n');
    const run = await cli.run(["up", "--local", "--yes", "--json", "--name", "crashing", folder]);
    expect(run.code).toBe(1);
    expect(bodyOf(run.stdout).error).toMatchObject({ code: "deploy/start-failed", message: expect.stringContaining("no idea where I am") });
  });

  test("an app that does not start and says much after its error: the error all the same", async ({ cli }) => {
    const noise = 'process.on("exit", () => { for (let n = 0; n < 50; n += 1) console.log("goodbye " + n); });';
    const folder = nodeApp(cli.folder(), `${noise}\nthrow new Error("no idea where I am");\n`);
    const run = await cli.run(["up", "--local", "--yes", "--json", "--name", "talking", folder]);
    expect(run.code).toBe(1);
    const { code, message } = bodyOf(run.stdout).error;
    expect(code).toBe("deploy/start-failed");
    expect(message).toMatch(/Error: no idea where I am\n\s+at .*server\.js:2/);
    expect(message.split("\n").length).toBeLessThan(35);
  });

  test("going back to the old code after a failed deployment deploys it, it is not taken for unchanged", async ({ cli }) => {
    const folder = nodeApp(cli.folder());
    const source = readFileSync(join(folder, "server.js"), "utf8");
    expect((await cli.run(["up", "--local", "--yes", "--name", "rollback", folder])).code).toBe(0);
    writeFileSync(join(folder, "server.js"), 'throw new Error("broken");\n');
    expect((await cli.run(["deploy", "--local", folder])).code).toBe(1);
    writeFileSync(join(folder, "server.js"), source);
    const back = await cli.run(["deploy", "--local", "--json", folder]);
    expect(back.code, back.stderr).toBe(0);
    expect(JSON.parse(back.stdout)).toMatchObject({ outcome: "deployed" });
  });

  test("a key in the app's folder: nothing is made, nothing goes up, in JSON too, until it is meant", async ({ cli }) => {
    const folder = nodeApp(cli.folder());
    writeFileSync(join(folder, "server.key"), "x");
    writeFileSync(join(folder, ".env.production"), "A=1");
    const refused = await cli.run(["up", "--local", "--yes", "--json", "--name", "keys", folder]);
    expect(refused.code).toBe(2);
    const { error } = bodyOf(refused.stdout);
    expect(error).toMatchObject({ code: "deploy/package-invalid", hint: expect.stringContaining("--include server.key") });
    expect(error.message).toContain("server.key: looks like a private key");
    const plan = await cli.run(["plan", "--local", "--json", folder]);
    const { steps } = JSON.parse(plan.stdout) as { steps: { change: string }[] };
    expect(new Set(steps.map(({ change }) => change))).toEqual(new Set(["create"]));
    const up = await cli.run(["up", "--local", "--yes", folder, "--include", "server.key"]);
    expect(up.code, up.stderr).toBe(0);
    expect(up.stderr.match(/credentials stay out of the package: \.env\.production/g)).toHaveLength(1);
    expect(await cli.run(["deploy", "--local", folder])).toMatchObject({ code: 2, stderr: expect.stringMatching(/server\.key/) });
    const again = await cli.run(["deploy", "--local", "--json", "--include", "server.key", folder]);
    expect(JSON.parse(again.stdout)).toMatchObject({ outcome: "unchanged" });
  });

  test("--version and --help print to stdout and end with 0", async ({ cli }) => {
    expect(await cli.run(["--version"])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), stderr: "" });
    for (const command of [[], ["up"], ["logs", "tail"], ["local", "env"], ["principal", "add"]]) {
      const help = await cli.run([...command, "--help"]);
      expect(help).toMatchObject({ code: 0, stderr: "" });
      if (command.length > 0) expect(help.stdout).toContain("Examples:");
    }
  });
});

function nodeApp(
  folder: string,
  source = 'import { createServer } from "node:http";\ncreateServer((_, answer) => answer.end("ok")).listen(process.env.PORT);\n',
): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name: "plain", version: "1.0.0", type: "module", scripts: { start: "node server.js" } }),
  );
  writeFileSync(join(folder, "server.js"), source);
  return folder;
}
