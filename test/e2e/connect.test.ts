import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test as base, describe, expect } from "vitest";
import { until } from "../support/patience.ts";
import { openWatchedCli, type WatchedCli } from "../support/watched-cli.ts";

const test = base.extend<{ $file: { cli: WatchedCli } }>({
  cli: [
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
    async ({}, use: (cli: WatchedCli) => Promise<void>) => {
      const cli = await openWatchedCli();
      const made = await cli.run(["server", "create", "--local", "--yes"]);
      const database = await cli.run(["principal", "add", "--local", "--yes"]);
      if (made.code !== 0 || database.code !== 0) throw new Error(`no server: ${made.stderr}${database.stderr}`);
      await use(cli);
      await cli.release();
    },
    { scope: "file" },
  ],
});

const hasPsql = spawnSync("psql", ["--version"]).status === 0;

/** A program `psql` of ours, first on the PATH. It writes its arguments and its environment beside itself, and goes on with `script`. */
function ownPsql(
  cli: WatchedCli,
  script: string,
): { PATH: string; seen(name: "arguments" | "environment" | "pid"): string; folder: string } {
  const folder = join(cli.root, `psql-${readdirSync(cli.root).length}`);
  mkdirSync(folder);
  const record = [
    'cd "$(dirname "$0")"',
    "printf '%s\\n' \"$@\" > arguments",
    "env > environment",
    'cat "$PGSSLROOTCERT" > ca',
    "echo $$ > pid",
  ];
  writeFileSync(join(folder, "psql"), ["#!/bin/sh", ...record, script, ""].join("\n"));
  chmodSync(join(folder, "psql"), 0o755);
  const seen = (name: string): string => (existsSync(join(folder, name)) ? readFileSync(join(folder, name), "utf8") : "");
  return { PATH: `${folder}:${process.env.PATH}`, seen, folder };
}

async function openings(cli: WatchedCli): Promise<string[]> {
  const server = `${cli.emulator.subscription}/resourceGroups/rg-canary/providers/Microsoft.DBforPostgreSQL/flexibleServers/canary-db-t3st`;
  const { body } = await cli.emulator.arm("GET", `${server}/firewallRules?api-version=2024-08-01`);
  return (body.value as { name: string }[]).map(({ name }) => name).filter((name) => name.startsWith("passwordless-pg-"));
}

describe.sequential("connect", () => {
  test("psql gets the token in its environment alone, verified TLS, and nothing that leads it elsewhere", async ({ cli }) => {
    const psql = ownPsql(cli, "exit 7");
    const mine = { PATH: psql.PATH, PGSERVICE: "elsewhere", PGHOSTADDR: "192.0.2.1", PGPASSFILE: "/elsewhere", PGSSLMODE: "disable" };
    const run = await cli.run(["connect", "--local", "--database", "other"], { environment: mine });
    expect([run.code, run.stdout]).toEqual([7, ""]);
    expect(psql.seen("arguments").trim()).toBe("");
    const environment = psql.seen("environment");
    expect(environment).toMatch(/^PGPASSWORD=eyJ/m);
    expect(environment).toMatch(/^PGSSLMODE=verify-full$/m);
    expect(environment).toMatch(/^PGDATABASE=other$/m);
    expect(environment).toMatch(/^PGOPTIONS=-c search_path=pg_catalog$/m);
    expect(environment).not.toMatch(/^(PGSERVICE|PGHOSTADDR|PGPASSFILE)=/m);
    expect(readFileSync(join(psql.folder, "ca"), "utf8")).toBe(cli.emulator.caPem);
    for (const { command } of run.children) expect(cli.secretsIn(command)).toEqual([]);
    expect(cli.secretsIn(run.stderr)).toEqual([]);
    expect(run.stderr).toMatch(/opening the firewall[\s\S]*closed the firewall/);
    expect(readdirSync(cli.temporary)).toEqual([]);
    expect(await openings(cli)).toEqual([]);
  });

  test("names without a schema are looked up where it is said, and the person's own options stay", async ({ cli }) => {
    const psql = ownPsql(cli, "exit 0");
    const mine = { PATH: psql.PATH, PGOPTIONS: "-c work_mem=8MB -c search_path=public" };
    const safe = await cli.run(["connect", "--local"], { environment: mine });
    expect(psql.seen("environment")).toMatch(/^PGOPTIONS=-c work_mem=8MB -c search_path=public -c search_path=pg_catalog$/m);
    expect(safe.stderr).toMatch(/names without a schema mean pg_catalog: .*--search-path public/);
    const asked = await cli.run(["connect", "--local", "--search-path", 'public, "my schema\\"'], { environment: { PATH: psql.PATH } });
    expect(psql.seen("environment")).toMatch(/^PGOPTIONS=-c search_path=public,\\ "my\\ schema\\\\"$/m);
    expect(asked.stderr).not.toMatch(/names without a schema/);
  });

  test.for<[string, string, number, RegExp]>([
    ["psql is killed", "psql", 137, /psql was ended by SIGKILL/],
    ["the terminal is closed", "SIGHUP", 130, /stopped by SIGHUP/],
    ["it is asked to end", "SIGTERM", 130, /stopped by SIGTERM/],
  ])("the opening and the files are given back when %s", async ([_what, how, code, words], { cli }) => {
    const psql = ownPsql(cli, "exec sleep 60");
    const running = cli.spawn(["connect", "--local"], { PATH: psql.PATH });
    let stderr = "";
    running.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const ended = new Promise((done) => running.once("close", done));
    await until("psql runs", () => psql.seen("pid").trim() !== "");
    expect((await openings(cli)).length).toBe(1);
    if (how === "psql") process.kill(Number(psql.seen("pid")), "SIGKILL");
    else running.kill(how as NodeJS.Signals);
    expect(await ended).toBe(code);
    expect(stderr).toMatch(words);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(await openings(cli)).toEqual([]);
    expect(readdirSync(cli.temporary)).toEqual([]);
    await until("psql is gone", () => !existsSync(`/proc/${psql.seen("pid").trim()}/cwd`));
  });

  test("Ctrl-C is psql's own", async ({ cli }) => {
    // As the terminal does it: both get the signal.
    const psql = ownPsql(cli, "trap 'echo interrupted > interrupted; exit 5' INT; while :; do sleep 0.1; done");
    const running = cli.spawn(["connect", "--local"], { PATH: psql.PATH });
    const ended = new Promise((done) => running.once("close", done));
    await until("psql runs", () => psql.seen("pid").trim() !== "");
    running.kill("SIGINT");
    process.kill(Number(psql.seen("pid")), "SIGINT");
    expect(await ended).toBe(5);
    expect(existsSync(join(psql.folder, "interrupted"))).toBe(true);
    expect(await openings(cli)).toEqual([]);
  });

  test("psql is not there, or there is no place for its certificate", async ({ cli }) => {
    const absent = await cli.run(["connect", "--local"], { environment: { PATH: join(cli.root, "missing") } });
    expect([absent.code, absent.stderr]).toEqual([
      2,
      expect.stringMatching(/psql could not be started[\s\S]*install the PostgreSQL client/),
    ]);
    const homeless = await cli.run(["connect", "--local"], { environment: { TMPDIR: join(cli.project, "server.js", "missing") } });
    expect([homeless.code, homeless.stderr]).toEqual([2, expect.stringMatching(/temporary folder .*missing[\s\S]*set TMPDIR/)]);
    expect(await openings(cli)).toEqual([]);
  });

  test.skipIf(!hasPsql)("the real psql signs in, and its exit code is passed on (skipped where there is no psql)", async ({ cli }) => {
    const good = await cli.run(["connect", "--local"], {
      input: "SELECT 'signed in as', current_user;\n\\conninfo\n",
    });
    expect([good.code, good.stdout], good.stderr).toEqual([0, expect.stringMatching(/signed in as[\s\S]*(SSL|TLS)/)]);
    const paths = await cli.run(["connect", "--local"], { input: "SHOW search_path;\n" });
    expect(paths.stdout).toMatch(/^ pg_catalog$/m);
    const asked = await cli.run(["connect", "--local", "--search-path", 'public, "a b"'], { input: "SHOW search_path;\n" });
    expect(asked.stdout).toMatch(/^ public, "a b"$/m);
    const bad = await cli.run(["connect", "--local"], { input: "\\set ON_ERROR_STOP on\nSELECT nonsense;\n" });
    expect(bad.code).toBe(3);
    const elsewhere = await cli.run(["connect", "--local", "--database", "nowhere"], { input: "SELECT 1;\n" });
    expect([elsewhere.code, elsewhere.stderr]).toEqual([2, expect.stringMatching(/database "nowhere" does not exist/)]);
  });
});
