import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { audiences } from "../../src/emulator/platform.ts";
import { shadowsOf } from "../support/shadows.ts";
import { openWatchedCli, type WatchedCli } from "../support/watched-cli.ts";

const client = join(import.meta.dirname, "../../src/cloud");
const role = "canary-api-t3st";

/** Every command that opens a session of the administrator. */
const commands: readonly (readonly string[])[] = [
  ["plan"],
  ["init", "--yes"],
  ["verify"],
  ["status"],
  ["doctor"],
  ["doctor", "--fix"],
  ["principal", "show"],
  ["principal", "add", "--yes"],
  ["connection", "create", "--yes"],
  ["firewall", "apply", "--yes"],
  ["deploy"],
  ["up", "--yes"],
];

describe.sequential.each(["orders", "postgres"])("what the app plants in schema public of database %s", (database) => {
  let cli: WatchedCli;
  let host: string;
  let port: number;

  const run = (args: readonly string[]) => cli.run([...args, "--local", "--json"]);
  const asApp = async <T>(work: (session: pg.Client) => Promise<T>): Promise<T> => {
    const password = await cli.emulator.tokenFor(role, audiences.postgres[0]);
    const session = new pg.Client({ host, port, database, user: role, password, ssl: { ca: cli.emulator.caPem, host } as object });
    await session.connect();
    try {
      return await work(session);
    } finally {
      await session.end();
    }
  };
  const firedAndFlags = () =>
    asApp(async (session) => {
      const { rows } = await session.query(
        `SELECT f.is_called, r.rolcreaterole, r.rolcreatedb, r.rolsuper FROM public.fired f, pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) session_user`,
      );
      return rows[0];
    });
  const changeFile = (change: (file: { database?: string; apps: { api: { access?: string } } }) => void): void => {
    const path = join(cli.project, "passwordless-pg.json");
    const file = JSON.parse(readFileSync(path, "utf8"));
    change(file);
    writeFileSync(path, JSON.stringify(file));
  };

  beforeAll(async () => {
    cli = await openWatchedCli();
    changeFile((file) => {
      file.database = database;
    });
    const up = JSON.parse((await run(["up", "--yes"])).stdout);
    ({ host, port } = up.server);
    const rules = `${cli.emulator.subscription}/resourceGroups/rg-canary/providers/Microsoft.DBforPostgreSQL/flexibleServers/${up.server.name}/firewallRules`;
    const here = { properties: { startIpAddress: "127.0.0.1", endIpAddress: "127.0.0.1" } };
    expect((await cli.emulator.arm("PUT", `${rules}/here?api-version=2024-08-01`, here)).status).toBe(202);
    await cli.emulator.until(`${rules}/here?api-version=2024-08-01`, ({ status }) => status === 200);
  });
  afterAll(() => cli.release());

  test("stays uncalled by every command, which end as before", { timeout: 240_000 }, async () => {
    const before = new Map<string, number | null>();
    for (const args of commands) before.set(args.join(" "), (await run(args)).code);
    const shadows = await shadowsOf(client, role);
    expect(shadows.length).toBeGreaterThan(1_000);
    await asApp((session) => session.query(shadows.join(";\n")));
    for (const args of commands) {
      const { code, stdout } = await run(args);
      expect([args, code, /planted and called/.exec(stdout)?.input]).toEqual([args, before.get(args.join(" ")), undefined]);
    }
    expect(await firedAndFlags()).toEqual({ is_called: false, rolcreaterole: false, rolcreatedb: false, rolsuper: false });
  });

  test("nor when the level is lowered and raised, nor when the identity is made anew", { timeout: 240_000 }, async () => {
    for (const access of ["read", "write", "owner"]) {
      changeFile((file) => {
        file.apps.api.access = access;
      });
      const { code, stdout, stderr } = await run(["init", "--yes"]);
      expect([access, code], `\n${stdout.slice(-900)}`).toEqual([access, 0]);
      // What was taken from it is told, where and how it is to be had: at the first lowering, there is nothing left for the second.
      expect(/what canary-api-t3st owned in \S+ belongs to "ppg_\w+_kept".* GRANT /.test(stderr), stderr).toBe(access === "read");
    }
    expect(await firedAndFlags()).toEqual({ is_called: false, rolcreaterole: false, rolcreatedb: false, rolsuper: false });
    const site = `${cli.emulator.subscription}/resourceGroups/rg-canary/providers/Microsoft.Web/sites/${role}?api-version=2024-11-01`;
    expect((await cli.emulator.arm("DELETE", site)).status).toBe(200);
    const again = await run(["up", "--yes"]);
    expect(again.stdout).not.toMatch(/planted and called/);
    expect(JSON.parse(again.stdout).steps.filter(({ outcome }: { outcome: string }) => /failed|skipped/.test(outcome))).toEqual([]);
    expect(await firedAndFlags()).toEqual({ is_called: false, rolcreaterole: false, rolcreatedb: false, rolsuper: false });
  });
});
