import { writeFileSync } from "node:fs";
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
    ["a cloud that there is not", ["plan", "--cloud", "mars"], 2, /public, usgov, .*local/],
    ["nothing at all to do with --json", ["--json", "--no-input"], 2, /Usage:/],
  ])("%s", async ([_what, args, code, words], { cli }) => {
    const run = await cli.run(args);
    expect(run.stderr).toMatch(words);
    expect(run.stderr).not.toMatch(noStack);
    if (!args.includes("--json")) expect(run.stdout).toBe("");
    expect(run.code).toBe(code);
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

  test("nobody is signed in: says so within seconds, with the command that signs in", async ({ cli }) => {
    const folder = cli.folder();
    writeFileSync(join(folder, "main.py"), "print()\n");
    const run = await cli.run(["plan", "--json", folder], {
      environment: { HOME: folder, PATH: join(folder, "no-programs"), AZURE_SUBSCRIPTION_ID: "00000000-0000-0000-0000-000000000000" },
    });
    expect(run.code).toBe(4);
    expect(bodyOf(run.stdout).error).toMatchObject({ code: "auth/signed-out", hint: expect.stringContaining("az login") });
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

  test("--version and --help print to stdout and end with 0", async ({ cli }) => {
    expect(await cli.run(["--version"])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), stderr: "" });
    for (const command of [[], ["up"], ["logs", "tail"], ["local", "env"], ["principal", "add"]]) {
      const help = await cli.run([...command, "--help"]);
      expect(help).toMatchObject({ code: 0, stderr: "" });
      if (command.length > 0) expect(help.stdout).toContain("Examples:");
    }
  });
});
