import { readdirSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import pg from "pg";
import { describe, expect } from "vitest";
import type { AccessLevel } from "../../../src/base/access-level.ts";
import { KnownError } from "../../../src/base/errors.ts";
import type { CheckResult as Check } from "../../../src/checks/check.ts";
import { accessDifferences } from "../../../src/cloud/database/access-differences.ts";
import type { ExtraGrants } from "../../../src/cloud/database/extra-grants.ts";
import { ownAdministrator } from "../../../src/cloud/database/own-administrator.ts";
import { quoteIdentifier, type SqlSession, sqlStateOf } from "../../../src/cloud/database/sql.ts";
import type { Report } from "../../../src/engine/report.ts";
import { doctor, verify } from "../../../src/graph/project-checks.ts";
import { databasesOf } from "../../support/databases.ts";
import { type TestEmulator, fileTest as test } from "../../support/emulator.ts";
import { leapingClock } from "../../support/leaping-clock.ts";
import { openTestProject, type TestProject } from "../../support/project.ts";

const threeApps = {
  database: "shop",
  apps: {
    report: { access: "read", runtime: "python|3.12" },
    api: { access: "owner", runtime: "python|3.12" },
    worker: { access: "write", runtime: "python|3.12" },
  },
};
let shared: Promise<TestProject> | undefined;

const failuresOf = ({ steps }: Report): string[] =>
  steps.filter(({ outcome }) => outcome === "failed" || outcome === "skipped").map(({ name, reason }) => `${name}: ${reason}`);

const roleOf = ({ setup }: TestProject, key: string): string => setup.sites.find((app) => app.label === key)?.role ?? "";

async function identityOf({ cloud, setup }: TestProject, key: string): Promise<string> {
  const site = await cloud.sites.at({ group: setup.resourceGroup, app: roleOf({ setup } as TestProject, key) }).get();
  return site?.principalId ?? "";
}

/** SQLSTATE of the refusal, `done` when it was not refused. */
async function attempt(session: SqlSession, statement: string): Promise<string> {
  try {
    const { notices } = await session.query(statement);
    return notices.find(({ code }) => code === "01007" || code === "01006") ? "warned" : "done";
  } catch (error) {
    return sqlStateOf(error) ?? (error instanceof KnownError ? error.code : String(error));
  }
}

async function extraOf({ cloud, databases, setup }: TestProject, role: string, level: AccessLevel): Promise<ExtraGrants> {
  const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
  if (!server) throw new Error("no server");
  return databases.at(server, cloud.caller.name).in(setup.database).extraGrants(role, level);
}

/** What verify and doctor say of one app's rights. */
async function namedBy(project: TestProject, key: string): Promise<{ verify: Check; doctor: Check }> {
  const { cloud, firewallAccess } = project;
  const setup = { ...project.setup, apps: project.setup.sites.filter((app) => app.label === key) };
  const context = { setup, cloud, firewallAccess, clock: leapingClock(), signal: new AbortController().signal };
  const verified = (await verify({ ...context, marker: "m" })).find(({ name }) => name.startsWith(`${key}: access is exactly`));
  const doctored = (await doctor(context)).find(({ name }) => name === `${key}: role was granted nothing beyond its level`);
  await firewallAccess.revoke();
  if (!verified || !doctored) throw new Error("the rights were not looked at");
  return { verify: verified, doctor: doctored };
}

/** What no level may do; `%` is the role itself. Refused with 42501 unless another state is named. */
const forbiddenToAll: readonly (string | readonly [statement: string, state: string])[] = [
  "CREATE ROLE intruder",
  "CREATE ROLE intruder LOGIN SUPERUSER",
  "ALTER ROLE % CREATEROLE",
  "ALTER ROLE % SUPERUSER",
  "ALTER ROLE % BYPASSRLS",
  "DROP ROLE azure_pg_admin",
  "GRANT azure_pg_admin TO %",
  "GRANT pg_read_server_files TO %",
  "SET ROLE azure_pg_admin",
  "SET SESSION AUTHORIZATION azuresu",
  "CREATE DATABASE loot",
  "DROP DATABASE other",
  "ALTER DATABASE shop OWNER TO %",
  "CREATE SCHEMA mine",
  "CREATE TABLE private.t (id int)",
  "SELECT * FROM private.secrets",
  "DROP SCHEMA private CASCADE",
  "DROP TABLE things",
  "ALTER TABLE things ADD COLUMN more int",
  "ALTER TABLE things OWNER TO %",
  "GRANT SELECT ON private.secrets TO %",
  ["GRANT SELECT ON things TO PUBLIC", "warned"],
  ["GRANT CREATE ON DATABASE shop TO PUBLIC", "warned"],
  "COPY things TO '/tmp/loot'",
  "COPY things FROM PROGRAM 'id'",
  "SELECT pg_read_file('/etc/passwd')",
  "SELECT pg_ls_dir('/')",
  "SELECT * FROM pg_authid",
  "SELECT lo_import('/etc/passwd')",
  "CREATE EXTENSION file_fdw",
  "CREATE FUNCTION public.c() RETURNS int LANGUAGE c AS 'x', 'y'",
  "CREATE EVENT TRIGGER spy ON ddl_command_start EXECUTE FUNCTION nothing()",
  "ALTER SYSTEM SET log_statement = 'all'",
  ["SECURITY LABEL FOR pgaadauth ON ROLE % IS 'aadauth,oid=1,type=service,admin'", "22023"],
  "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
  "ALTER DEFAULT PRIVILEGES FOR ROLE azure_pg_admin GRANT ALL ON TABLES TO %",
  "CREATE PUBLICATION leak FOR ALL TABLES",
  "CREATE TABLESPACE loot LOCATION '/tmp'",
];
const forbiddenToWrite = ["CREATE TABLE mine (id int)", "CREATE VIEW mine AS SELECT 1", "TRUNCATE things", "CREATE INDEX ON things (name)"];
const forbiddenToRead = [
  ...forbiddenToWrite,
  "INSERT INTO things (name) VALUES ('x')",
  "UPDATE things SET name = 'x'",
  "DELETE FROM things",
  "SELECT nextval('things_id_seq')",
  "SELECT setval('things_id_seq', 1000)",
  "DO $$ BEGIN LOCK TABLE things IN EXCLUSIVE MODE; END $$",
];
const levels: readonly [key: string, level: AccessLevel, forbidden: readonly (string | readonly [string, string])[], allowed: string[]][] =
  [
    [
      "api",
      "owner",
      forbiddenToAll,
      [
        "INSERT INTO things (name) VALUES ('by owner')",
        "SELECT * FROM things",
        "SELECT nextval('things_id_seq')",
        "CREATE TABLE IF NOT EXISTS owned (id serial PRIMARY KEY, name text)",
        "ALTER TABLE owned ADD COLUMN IF NOT EXISTS more int",
        "CREATE TEMP TABLE scratch (id int)",
        "TRUNCATE things",
      ],
    ],
    [
      "worker",
      "write",
      [...forbiddenToAll, ...forbiddenToWrite],
      [
        "INSERT INTO things (name) VALUES ('by writer')",
        "UPDATE things SET name = name",
        "DELETE FROM things WHERE false",
        "SELECT * FROM things",
      ],
    ],
    ["report", "read", [...forbiddenToAll, ...forbiddenToRead], ["SELECT count(*) FROM things", "SELECT last_value FROM things_id_seq"]],
  ];

describe.sequential("roles of the apps, probed on the real server", () => {
  // trap: passwordless-flow 5, passwordless-flow 6
  test("three apps get three roles, each at its own level", async ({ emulator }) => {
    shared = openTestProject(emulator, threeApps);
    const project = await shared;
    expect(failuresOf(await project.init())).toEqual([]);
    await databasesOf(emulator, project).run(
      "shop",
      "CREATE TABLE things (id serial PRIMARY KEY, name text)",
      "CREATE SCHEMA private",
      "CREATE TABLE private.secrets (id int)",
      "CREATE FUNCTION nothing() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
    );
    await project.cloud.postgresServers.createDatabase(project.setup.resourceGroup, project.setup.server.name, "other");
    await databasesOf(emulator, project).run("other", "CREATE TABLE foreign_things (id int)");
    expect((await project.init()).steps.filter(({ outcome }) => outcome !== "kept")).toEqual([]);
  });

  test.for(levels)(
    "%s (%s): what it must not do is refused, what it needs works",
    async ([key, _level, forbidden, allowed], { emulator }) => {
      const project = await (shared as Promise<TestProject>);
      const role = roleOf(project, key);
      const databases = databasesOf(emulator, project);
      const login = { role, principal: await identityOf(project, key), database: "shop" };
      expect(forbidden.length).toBeGreaterThanOrEqual(25);
      const answers = await databases.as(login, async (session) => {
        const found: [string, string][] = [];
        for (const probe of forbidden) {
          const [statement, state] = typeof probe === "string" ? [probe, "42501"] : probe;
          const got = await attempt(session, statement.replaceAll("%", quoteIdentifier(role)));
          if (got !== state) found.push([statement, got]);
        }
        for (const statement of allowed) {
          const got = await attempt(session, statement);
          if (got !== "done") found.push([statement, got]);
        }
        return found;
      });
      expect(answers).toEqual([]);
      const elsewhere = await databases.as({ ...login, database: "other" }, async (session) => [
        await attempt(session, "SELECT * FROM foreign_things"),
        await attempt(session, "CREATE TABLE mine (id int)"),
        await attempt(session, "CREATE SCHEMA mine"),
      ]);
      expect(elsewhere).toEqual(["42501", "42501", "42501"]);
    },
  );

  test("what one app makes later serves the others at their levels", async ({ emulator }) => {
    const project = await (shared as Promise<TestProject>);
    const databases = databasesOf(emulator, project);
    const login = async (key: string) => ({ role: roleOf(project, key), principal: await identityOf(project, key), database: "shop" });
    await databases.as(await login("api"), (session) => session.query("CREATE TABLE made_later (id serial PRIMARY KEY, name text)"));
    const of = async (key: string) =>
      databases.as(await login(key), async (session) => [
        await attempt(session, "SELECT * FROM made_later"),
        await attempt(session, "INSERT INTO made_later (name) VALUES ('x')"),
        await attempt(session, "TRUNCATE made_later"),
      ]);
    expect(await of("report")).toEqual(["done", "42501", "42501"]);
    expect(await of("worker")).toEqual(["done", "done", "42501"]);
  });

  test("a level goes up and down and is exact each time, whatever was granted by hand", async ({ emulator }) => {
    const project = await (shared as Promise<TestProject>);
    const { cloud, setup } = project;
    const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
    if (!server) throw new Error("no server");
    const role = roleOf(project, "api");
    const databases = databasesOf(emulator, project);
    const rights = project.databases.at(server, cloud.caller.name).in("shop");
    const access = () => rights.access(role);
    const spoils: readonly [level: AccessLevel, statement: string, difference: RegExp][] = [
      ["read", "GRANT UPDATE (name) ON things TO %", /may change rows/],
      ["write", "GRANT TRUNCATE ON things TO %", /may truncate/],
      ["owner", "REVOKE TRUNCATE ON things FROM %", /may truncate only/],
      ["read", "GRANT USAGE ON SEQUENCE things_id_seq TO %", /may change sequences/],
      ["write", "GRANT REFERENCES ON things TO %", /reference/],
      ["read", "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT DELETE ON TABLES TO %", /made later/],
      ["write", "ALTER ROLE % CREATEROLE CREATEDB", /may create roles/],
      ["write", "GRANT pg_monitor TO %", /member of pg_monitor/],
      ["owner", "GRANT CREATE ON DATABASE shop TO %", /may create schemas/],
      ["owner", "REVOKE ALL ON SEQUENCE things_id_seq FROM %", /may use only/],
    ];
    for (const [level, statement, difference] of spoils) {
      await rights.grant(role, level);
      expect(accessDifferences(await access(), level), `as ${level}`).toEqual([]);
      await databases.run("shop", statement.replace("%", quoteIdentifier(role)));
      expect(accessDifferences(await access(), level), statement).toContainEqual(
        expect.objectContaining({ text: expect.stringMatching(difference) }),
      );
      await rights.grant(role, level);
      expect(accessDifferences(await access(), level), `${level} again after ${statement}`).toEqual([]);
    }
  });

  test("a level changed in the project file is one difference in the plan, and exact after init, up and down", async ({ emulator }) => {
    const databases = databasesOf(emulator, await (shared as Promise<TestProject>));
    for (const [access, insert, create] of [
      ["read", "42501", "42501"],
      ["write", "done", "42501"],
      ["owner", "done", "done"],
      ["write", "done", "42501"],
    ] as const) {
      const project = await openTestProject(emulator, {
        ...threeApps,
        apps: { ...threeApps.apps, worker: { ...threeApps.apps.worker, access } },
      });
      const changes = (await project.plan()).steps.filter(({ change }) => change.kind !== "keep").map(({ step }) => step.name);
      const role = roleOf(project, "worker");
      expect(changes).toEqual(["database access worker"]);
      expect(failuresOf(await project.init())).toEqual([]);
      const login = { role, principal: await identityOf(project, "worker"), database: "shop" };
      const found = await databases.as(login, async (session) => [
        await attempt(session, "INSERT INTO things (name) VALUES ('level')"),
        await attempt(session, "CREATE TABLE IF NOT EXISTS by_worker (id int)"),
      ]);
      expect(found, access).toEqual([insert, create]);
      expect((await project.plan()).steps.filter(({ change }) => change.kind !== "keep")).toEqual([]);
      await project.firewallAccess.revoke();
    }
    await databases.run("shop", "DROP TABLE by_worker");
  });

  test("on a clean project no role was granted anything beyond its level", async () => {
    const project = await (shared as Promise<TestProject>);
    for (const { label, role, access } of project.setup.sites) {
      expect(await extraOf(project, role, access), label).toEqual({ total: 0, first: [] });
    }
    const found = await namedBy(project, "api");
    expect(found.verify).toMatchObject({ ok: true });
    expect(found.doctor).toMatchObject({ ok: true });
  });

  test("what was granted beyond the level is named by verify and doctor, left by init, and taken by the statements they give", async ({
    emulator,
  }) => {
    const project = await (shared as Promise<TestProject>);
    const databases = databasesOf(emulator, project);
    const role = roleOf(project, "api");
    const to = quoteIdentifier(role);
    const hostile = `evil"; DROP SCHEMA side; --\u001b[2J\u202e\\`;
    const evil = quoteIdentifier(hostile);
    const { isWithParameters, number } = await databases.admin("shop", async (session) => {
      const { rows } = await session.query(
        "SELECT current_setting('server_version_num')::int >= 150000 AS has_parameters, lo_create(0)::text AS large_object",
      );
      return { isWithParameters: rows[0]?.has_parameters === true, number: String(rows[0]?.large_object) };
    });
    /** By the administrator. */
    const byHand: readonly (readonly [statements: readonly string[], found: string])[] = [
      [["CREATE SCHEMA side", `GRANT USAGE, CREATE ON SCHEMA side TO ${to}`], "CREATE, USAGE on schema side"],
      [
        [
          "CREATE TABLE side.t (x int, y int)",
          `GRANT SELECT, TRUNCATE ON side.t TO ${to}`,
          `GRANT SELECT, INSERT ON side.t TO ${to} WITH GRANT OPTION`,
        ],
        "INSERT, SELECT with grant option on table side.t",
      ],
      [[], "TRUNCATE on table side.t"],
      [[`GRANT UPDATE (y) ON side.t TO ${to}`], "UPDATE on column side.t.y"],
      [["CREATE SEQUENCE side.s", `GRANT USAGE ON SEQUENCE side.s TO ${to}`], "USAGE on sequence side.s"],
      [
        [
          "CREATE FUNCTION public.power(a int, b side.t) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
          `GRANT EXECUTE ON FUNCTION public.power TO ${to} WITH GRANT OPTION`,
        ],
        "EXECUTE with grant option on routine public.power(integer, side.t)",
      ],
      [
        ["CREATE PROCEDURE side.work() LANGUAGE sql AS ''", `GRANT EXECUTE ON PROCEDURE side.work TO ${to}`],
        "EXECUTE on routine side.work()",
      ],
      [[`GRANT SELECT ON things TO ${to} WITH GRANT OPTION`], "SELECT with grant option on table public.things"],
      [["CREATE TYPE side.mood AS ENUM ()", `GRANT USAGE ON TYPE side.mood TO ${to}`], "USAGE on type side.mood"],
      [[`GRANT ALL ON LARGE OBJECT ${number} TO ${to}`], `SELECT, UPDATE on large object ${number}`],
      [
        [`CREATE SCHEMA ${evil}`, `GRANT USAGE ON SCHEMA ${evil} TO ${to}`],
        `USAGE on schema U&"evil""; DROP SCHEMA side; --\\+00001b[2J\\+00202e\\\\"`,
      ],
      [[`ALTER DEFAULT PRIVILEGES IN SCHEMA side GRANT SELECT ON TABLES TO ${to}`], "SELECT on later tables of"],
      [[`GRANT CREATE, CONNECT ON DATABASE other TO ${to}`], "CONNECT, CREATE on database other"],
      [
        [
          "CREATE ROLE lender",
          "GRANT lender TO CURRENT_USER",
          "GRANT USAGE ON SCHEMA side TO lender",
          "GRANT DELETE ON side.t TO lender WITH GRANT OPTION",
        ].concat("SET ROLE lender", `GRANT DELETE ON side.t TO ${to}`, "RESET ROLE"),
        "DELETE on table side.t",
      ],
    ];
    /** By a superuser: what no administrator of Azure may grant, but a restored or migrated server may have. */
    const bySuperuser: readonly (readonly [statements: readonly string[], found: string])[] = [
      [[`GRANT USAGE ON LANGUAGE plpgsql TO ${to}`], "USAGE on language plpgsql"],
      [["CREATE FOREIGN DATA WRAPPER far", `GRANT USAGE ON FOREIGN DATA WRAPPER far TO ${to}`], "USAGE on foreign data wrapper far"],
      [
        ["CREATE SERVER far_server FOREIGN DATA WRAPPER far", `GRANT USAGE ON FOREIGN SERVER far_server TO ${to}`],
        "USAGE on foreign server far_server",
      ],
      [[`GRANT CREATE ON TABLESPACE pg_default TO ${to}`], "CREATE on tablespace pg_default"],
      ...(isWithParameters ? [[[`GRANT SET ON PARAMETER log_statement TO ${to}`], "SET on parameter log_statement"] as const] : []),
    ];
    for (const [statements] of byHand) await databases.run("shop", ...statements);
    for (const statement of bySuperuser.flatMap(([statements]) => statements)) await asSuperuser(emulator, "shop", statement);

    const found = await namedBy(project, "api");
    expect(found.verify).toMatchObject({ ok: false, detail: expect.stringMatching(/^also has /) });
    expect(found.doctor.ok).toBe(false);
    for (const words of [...byHand, ...bySuperuser].map(([, words]) => words)) {
      expect(found.verify.detail).toContain(words);
      expect(found.doctor.detail).toContain(words);
    }
    const { total, first } = await extraOf(project, role, "owner");
    expect(total).toBe(byHand.length + bySuperuser.length);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: none of them may be in it
    expect(`${found.verify.detail}${found.verify.hint}`).not.toMatch(/[\x00-\x1f\u202e]/);
    for (const { taking } of first) {
      expect(found.verify.hint).toContain(taking);
      expect(found.doctor.hint).toContain(taking);
    }
    // It may be wanted: no plan and no init touches it.
    expect((await project.init()).steps.filter(({ outcome }) => outcome !== "kept")).toEqual([]);
    expect((await extraOf(project, role, "owner")).total).toBe(total);

    for (const { what, taking } of first) {
      if (taking.includes('SET ROLE "azuresu"')) await asSuperuser(emulator, "shop", taking);
      else await databases.run("shop", ...taking.split(/(?<=;) (?=REVOKE|RESET)/));
      expect((await extraOf(project, role, "owner")).first.map((one) => one.what)).not.toContain(what);
    }
    expect((await namedBy(project, "api")).verify).toMatchObject({ ok: true });
    await databases.run(
      "shop",
      "DROP SCHEMA side CASCADE",
      `DROP SCHEMA ${evil}`,
      "DROP FUNCTION IF EXISTS public.power",
      "DROP ROLE lender",
    );
    await asSuperuser(emulator, "shop", `DROP FOREIGN DATA WRAPPER far CASCADE; SELECT lo_unlink(${number})`);
  });

  test("beyond the level: what only an owner has, what other databases hold, and no more than twenty by name", async ({ emulator }) => {
    const project = await (shared as Promise<TestProject>);
    const databases = databasesOf(emulator, project);
    const role = roleOf(project, "report");
    const to = quoteIdentifier(role);
    await databases.run("shop", `GRANT TEMPORARY ON DATABASE shop TO ${to}`, `GRANT EXECUTE ON FUNCTION nothing TO ${to}`);
    await databases.run(
      "other",
      "CREATE SCHEMA hidden",
      `GRANT USAGE ON SCHEMA hidden TO ${to}`,
      `GRANT SELECT ON foreign_things TO ${to}`,
    );
    const words = async (level: AccessLevel) => (await extraOf(project, role, level)).first.map(({ what }) => what);
    const elsewhere = "rights on 2 objects of database other (tables or sequences, schemas)";
    expect(await words("read")).toEqual(["TEMPORARY on database shop", "EXECUTE on routine public.nothing()", elsewhere]);
    expect(await words("write")).toEqual(await words("read"));
    expect(await words("owner")).toEqual([elsewhere]);
    expect((await namedBy(project, "report")).verify).toMatchObject({ ok: false, detail: expect.stringContaining(elsewhere) });
    await databases.run("other", "DROP SCHEMA hidden", `REVOKE ALL ON foreign_things FROM ${to}`);
    await databases.run("shop", `REVOKE TEMPORARY ON DATABASE shop FROM ${to}`, `REVOKE ALL ON FUNCTION nothing FROM ${to}`);

    const names = Array.from({ length: 23 }, (_, at) => `many_${at}`);
    await databases.run("shop", ...names.flatMap((name) => [`CREATE SCHEMA ${name}`, `GRANT USAGE ON SCHEMA ${name} TO ${to}`]));
    const many = await namedBy(project, "report");
    expect(many.doctor.detail).toMatch(/; and 3 more$/);
    expect(many.doctor.detail.match(/USAGE on schema/g)).toHaveLength(20);
    await databases.run("shop", ...names.map((name) => `DROP SCHEMA ${name}`));
    expect((await namedBy(project, "report")).doctor).toMatchObject({ ok: true });
  });

  // trap: passwordless-flow 5
  test("tables of a stranger are named, not silently left out", async ({ emulator }) => {
    const project = await (shared as Promise<TestProject>);
    await asSuperuser(emulator, "shop", "CREATE TABLE strange (id int)");
    const report = await project.init();
    expect(failuresOf(report).join("\n")).toMatch(/rights of shop-api-t3st on public\.strange cannot be set: azuresu owns them/);
    await asSuperuser(emulator, "shop", "DROP TABLE strange");
    expect(failuresOf(await project.init())).toEqual([]);
  });

  // trap: postgres 19, passwordless-flow 4
  test("a recreated identity: in every database what it owned and was granted stays", async ({ emulator }) => {
    const project = await (shared as Promise<TestProject>);
    const { cloud, setup } = project;
    const databases = databasesOf(emulator, project);
    const role = roleOf(project, "api");
    const before = await identityOf(project, "api");
    const to = quoteIdentifier(role);
    await databases.run(
      "other",
      `GRANT SELECT ON foreign_things TO ${to}`,
      `GRANT CREATE ON SCHEMA public TO ${to}`,
      "CREATE SCHEMA apart",
    );
    await databases.run(
      "other",
      `GRANT USAGE ON SCHEMA apart TO ${to}`,
      `ALTER DEFAULT PRIVILEGES IN SCHEMA apart GRANT SELECT ON TABLES TO ${to}`,
    );
    await databases.as({ role, principal: before, database: "other" }, (session) => session.query("CREATE TABLE owned_elsewhere (id int)"));
    await databases.as({ role, principal: before, database: "shop" }, (session) => session.query("CREATE TABLE owned_here (id int)"));
    const site = await cloud.sites.at({ group: setup.resourceGroup, app: role }).get();
    await cloud.sites.at({ group: setup.resourceGroup, app: role }).delete();
    await cloud.sites.at({ group: setup.resourceGroup, app: role }).create({
      location: setup.location,
      planId: site?.planId ?? "",
      config: { runtime: "PYTHON|3.12" },
      settings: {},
      tags: site?.tags ?? {},
    });
    expect(failuresOf(await project.init())).toEqual([]);
    const after = await identityOf(project, "api");
    expect(after).not.toBe(before);
    // What it makes later serves the other apps as before: nothing is left to a second run.
    expect((await project.plan()).steps.filter(({ change }) => change.kind !== "keep")).toEqual([]);
    await databases.run("other", "CREATE TABLE apart.later (id int)");
    const found = await databases.as({ role, principal: after, database: "other" }, async (session) => [
      await attempt(session, "SELECT * FROM foreign_things"),
      await attempt(session, "ALTER TABLE owned_elsewhere ADD COLUMN more int"),
      await attempt(session, "SELECT * FROM apart.later"),
    ]);
    expect(found).toEqual(["done", "done", "done"]);
    expect(
      await databases.as({ role, principal: after, database: "shop" }, (session) =>
        attempt(session, "ALTER TABLE owned_here ADD COLUMN x int"),
      ),
    ).toBe("done");
    const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
    expect(server && (await project.databases.at(server, cloud.caller.name).find(role))).toMatchObject({
      objectId: after,
      type: "service",
    });
    await databases.run("other", `DROP TABLE owned_elsewhere`, `REVOKE CREATE ON SCHEMA public FROM ${to}`);
  });

  test("sessions of a role that is made anew end: they would go on without any right, for as long as the app's pool keeps them", async ({
    emulator,
  }) => {
    const project = await (shared as Promise<TestProject>);
    const { cloud, setup } = project;
    const databases = databasesOf(emulator, project);
    const role = roleOf(project, "worker");
    const identity = await identityOf(project, "worker");
    const other = emulator.platform.directory.createManagedIdentity("/drift", "drift");
    const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
    if (!server) throw new Error("no server");
    const repair = (objectId: string) => project.databases.at(server, cloud.caller.name).repair({ role, objectId }, ["shop"]);
    await repair(other.objectId); // somebody has given the role to another identity
    await databases.as({ role, principal: other.objectId, database: "shop" }, async (session) => {
      await repair(identity);
      expect(await attempt(session, "SELECT * FROM things")).toBe("database/unreachable");
    });
    const again = { role, principal: identity, database: "shop" };
    expect(await databases.as(again, (session) => attempt(session, "SELECT * FROM things"))).toBe("done");
    emulator.platform.directory.remove(other.objectId);
    expect((await project.init()).steps.filter(({ outcome }) => outcome !== "kept")).toEqual([]);
  });

  test("a role of the wrong type is made anew; a password role and an administrator of the name are left alone", async ({ emulator }) => {
    const project = await (shared as Promise<TestProject>);
    const { cloud, setup } = project;
    const databases = databasesOf(emulator, project);
    const role = roleOf(project, "worker");
    const drop = async () => {
      const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
      if (server) await project.databases.at(server, cloud.caller.name).drop(role, ["shop"]);
    };
    await drop();
    await databases.run(
      "postgres",
      `SELECT pgaadauth_create_principal_with_oid('${role}', '${await identityOf(project, "worker")}', 'user', false, false)`,
    );
    expect(failuresOf(await project.init())).toEqual([]);
    await drop();
    await databases.run("postgres", `CREATE ROLE ${quoteIdentifier(role)} LOGIN PASSWORD 'x'`);
    expect(failuresOf(await project.init())[0]).toMatch(/database principal worker: .*is not an Entra role/);
    await databases.run("postgres", `DROP ROLE ${quoteIdentifier(role)}`);
    await databases.run(
      "postgres",
      `SELECT pgaadauth_create_principal_with_oid('${role}', '${await identityOf(project, "worker")}', 'service', true, false)`,
    );
    expect(failuresOf(await project.init())[0]).toMatch(/database principal worker: .*is an administrator/);
    await asSuperuser(emulator, "postgres", `DROP ROLE ${quoteIdentifier(role)}`);
    expect(failuresOf(await project.init())).toEqual([]);
  });

  test("an app renamed in the project file works on with the tables of its old role", async ({ emulator }) => {
    const renamed = { ...threeApps, apps: { ...threeApps.apps, worker: { ...threeApps.apps.worker, name: "shop-labour-t3st" } } };
    const project = await openTestProject(emulator, renamed);
    const databases = databasesOf(emulator, project);
    expect(failuresOf(await project.init())).toEqual([]);
    const login = { role: "shop-labour-t3st", principal: await identityOf(project, "worker"), database: "shop" };
    expect(await databases.as(login, (session) => attempt(session, "INSERT INTO things (name) VALUES ('renamed')"))).toBe("done");
    expect((await project.plan()).steps.filter(({ change }) => change.kind !== "keep")).toEqual([]);
  });

  // trap: passwordless-flow 2, passwordless-flow 2 emulator
  test("a caller who is administrator through a group only is not added, and signs in as the group", async ({ emulator }) => {
    const { directory } = emulator.platform;
    const user = directory.list().find(({ type }) => type === "User");
    const group = directory.list().find(({ type }) => type === "Group");
    if (!user || !group) throw new Error("the directory has no user or group");
    const owner = await (shared as Promise<TestProject>);
    const { resourceGroup, server } = owner.setup;
    await owner.cloud.postgresServers.putAdministrator(resourceGroup, server.name, {
      objectId: group.objectId,
      name: group.displayName,
      type: "Group",
      tenantId: emulator.endpoints.tenantId,
    });
    const project = await openTestProject(emulator, threeApps, { caller: user.objectId });
    expect(project.cloud.caller.groups).toEqual([group.objectId]);
    expect(failuresOf(await project.init())).toEqual([]);
    const administrators = await project.cloud.postgresServers.listAdministrators(resourceGroup, server.name);
    expect(administrators.map(({ objectId }) => objectId)).not.toContain(user.objectId);
    // Tokens with too many groups, and those of managed identities, name none: then the login itself tells.
    const at = await project.cloud.postgresServers.get(resourceGroup, server.name);
    if (!at) throw new Error("no server");
    const tried = await ownAdministrator({ ...project.cloud.caller, groups: [] }, administrators, (login) =>
      project.databases.at(at, login).canSignIn(),
    );
    expect(tried?.name).toBe(group.displayName);
    await project.firewallAccess.revoke();
  });

  // trap: postgres 15
  test("a guest is found by object ID and signs in under the name the administrator has, whatever signs it holds", async ({ emulator }) => {
    const user = emulator.platform.directory.list().find(({ type }) => type === "User");
    const owner = await (shared as Promise<TestProject>);
    const { resourceGroup, server } = owner.setup;
    const name = `ana.o'brien"_example.com#EXT#@local.onmicrosoft.com`;
    await owner.cloud.postgresServers.putAdministrator(resourceGroup, server.name, {
      objectId: user?.objectId ?? "",
      name,
      type: "User",
      tenantId: emulator.endpoints.tenantId,
    });
    const project = await openTestProject(emulator, threeApps, { caller: user?.objectId });
    expect(failuresOf(await project.init())).toEqual([]);
    const at = await project.cloud.postgresServers.get(resourceGroup, server.name);
    expect(at && (await project.databases.asAdministrator(at)).login).toBe(name);
    await project.firewallAccess.revoke();
  });

  test("hostile names: created, granted, signed in to, handed over and dropped on the real server", async ({ emulator }) => {
    const project = await (shared as Promise<TestProject>);
    const { cloud, setup } = project;
    const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
    if (!server) throw new Error("no server");
    const databases = databasesOf(emulator, project);
    await databases.run("shop", "SELECT 1");
    const roles = project.databases.at(server, cloud.caller.name);
    await fc.assert(
      fc.asyncProperty(hostileName, async (role) => {
        const [first, second] = ["first", "second"].map((name) =>
          emulator.platform.directory.createManagedIdentity(`/hostile/${name}`, name),
        );
        if (!first || !second) throw new Error("no identity");
        await roles.create({ role, objectId: first.objectId });
        await roles.in("shop").grant(role, "write");
        expect(accessDifferences(await roles.in("shop").access(role), "write")).toEqual([]);
        const signedIn = await databases.as({ role, principal: first.objectId, database: "shop" }, async (session) => {
          await session.query("INSERT INTO things (name) VALUES ($1)", [role]);
          return (await session.query("SELECT current_user::text AS me")).rows[0]?.me;
        });
        expect(signedIn).toBe(role);
        await roles.repair({ role, objectId: second.objectId }, ["shop"]);
        expect(await roles.find(role)).toMatchObject({ role, objectId: second.objectId, type: "service" });
        await roles.drop(role, ["shop"]);
        expect(await roles.find(role)).toBeUndefined();
        for (const { objectId } of [first, second]) emulator.platform.directory.remove(objectId);
      }),
      { numRuns: 6, examples: [[`a"; DROP TABLE things; --`], ["back\\slash'quote"], ["ü".repeat(31)], ["%I$1\n\ttab"], ["x".repeat(63)]] },
    );
    for (const role of ["public", "none", "", "pg_mine", "x".repeat(64), "ü".repeat(32), "zero\0"]) {
      await expect(roles.create({ role, objectId: "11111111-2222-4333-8444-555555555555" }), role).rejects.toMatchObject({
        code: "project/invalid",
      });
    }
    await project.firewallAccess.revoke();
  });
});

const hostileName = fc
  .string({
    unit: fc.constantFrom('"', "'", "\\", ";", "$", "%", "-", " ", "a", "Z", "\n", "é", "漢", "😀", ".", "@", "#", "{", "\u202e"),
    minLength: 1,
    maxLength: 15,
  })
  .filter((name) => Buffer.byteLength(name) <= 63 && name.trim() === name);

/** What only Azure itself can do: over the server's own socket. */
async function asSuperuser(emulator: TestEmulator, database: string, statement: string): Promise<void> {
  const servers = join(emulator.homeFolder, "postgres", "servers");
  const [folder = ""] = readdirSync(servers);
  const client = new pg.Client({ host: join(servers, folder, "run"), user: "azuresu", database });
  await client.connect();
  await client.query(statement);
  await client.end();
}
