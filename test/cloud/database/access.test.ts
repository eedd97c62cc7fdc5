import { expect } from "vitest";
import type { AccessLevel } from "../../../src/base/access-level.ts";
import { accessDifferences } from "../../../src/cloud/database/access-differences.ts";
import { quoteIdentifier } from "../../../src/cloud/database/sql.ts";
import { attempt, loginOf, roleOf, rolesOn } from "../../support/app-roles.ts";
import { databasesOf } from "../../support/databases.ts";
import { failuresOf, pendingOf } from "../../support/outcomes.ts";
import { openTestProject } from "../../support/project.ts";
import { threeAppsTest as test, threeApps } from "../../support/three-apps.ts";

// What each level may do, probed on the real server.

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

// trap: passwordless-flow 5, passwordless-flow 6
test("three apps get three roles, each at its own level", async ({ project }) => {
  const roles = await rolesOn(project);
  const found = await Promise.all(
    project.setup.sites.map(async ({ role, access }) => accessDifferences(await roles.in("shop").access(role), access)),
  );
  expect(found).toEqual([[], [], []]);
  expect((await project.init()).steps.filter(({ outcome }) => outcome !== "kept")).toEqual([]);
});

test.for(levels)(
  "%s (%s): what it must not do is refused, what it needs works",
  async ([key, _level, forbidden, allowed], { emulator, project }) => {
    const role = roleOf(project, key);
    const databases = databasesOf(emulator, project);
    const login = await loginOf(project, key);
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

test("what one app makes later serves the others at their levels", async ({ emulator, project }) => {
  const databases = databasesOf(emulator, project);
  await databases.as(await loginOf(project, "api"), (session) =>
    session.query("CREATE TABLE made_later (id serial PRIMARY KEY, name text)"),
  );
  const of = async (key: string) =>
    databases.as(await loginOf(project, key), async (session) => [
      await attempt(session, "SELECT * FROM made_later"),
      await attempt(session, "INSERT INTO made_later (name) VALUES ('x')"),
      await attempt(session, "TRUNCATE made_later"),
    ]);
  expect(await of("report")).toEqual(["done", "42501", "42501"]);
  expect(await of("worker")).toEqual(["done", "done", "42501"]);
});

test("a level goes up and down and is exact each time, whatever was granted by hand", async ({ emulator, project }) => {
  const role = roleOf(project, "api");
  const databases = databasesOf(emulator, project);
  const rights = (await rolesOn(project)).in("shop");
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

test("a level changed in the project file is one difference in the plan, and exact after init, up and down", async ({
  emulator,
  project: threeLevels,
}) => {
  const databases = databasesOf(emulator, threeLevels);
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
    expect(pendingOf(await project.plan()).map(({ step }) => step.name)).toEqual(["database access worker"]);
    expect(failuresOf(await project.init())).toEqual([]);
    const found = await databases.as(await loginOf(project, "worker"), async (session) => [
      await attempt(session, "INSERT INTO things (name) VALUES ('level')"),
      await attempt(session, "CREATE TABLE IF NOT EXISTS by_worker (id int)"),
    ]);
    expect(found, access).toEqual([insert, create]);
    expect(pendingOf(await project.plan())).toEqual([]);
    await project.firewallAccess.revoke();
  }
  await databases.run("shop", "DROP TABLE by_worker");
});
