import { expect } from "vitest";
import type { AccessLevel } from "../../../src/base/access-level.ts";
import type { CheckResult as Check } from "../../../src/checks/check.ts";
import type { ExtraGrants } from "../../../src/cloud/database/extra-grants.ts";
import { quoteIdentifier } from "../../../src/cloud/database/sql.ts";
import { doctor, verify } from "../../../src/graph/project-checks.ts";
import { asSuperuser, roleOf, rolesOn } from "../../support/app-roles.ts";
import { databasesOf } from "../../support/databases.ts";
import { leapingClock } from "../../support/leaping-clock.ts";
import type { TestProject } from "../../support/project.ts";
import { threeAppsTest as test } from "../../support/three-apps.ts";

const extraOf = async (project: TestProject, role: string, level: AccessLevel): Promise<ExtraGrants> =>
  (await rolesOn(project)).in(project.setup.database).extraGrants(role, level);

/** What verify and doctor say of one app's rights. */
async function namedBy(project: TestProject, key: string): Promise<{ verify: Check; doctor: Check }> {
  const { cloud, firewallAccess } = project;
  const setup = { ...project.setup, sites: project.setup.sites.filter((app) => app.label === key) };
  const context = { setup, cloud, firewallAccess, clock: leapingClock(), signal: new AbortController().signal };
  const verified = (await verify({ ...context, marker: "m" })).find(({ name }) => name.startsWith(`${key}: access is exactly`));
  const doctored = (await doctor(context)).find(({ name }) => name === `${key}: role was granted nothing beyond its level`);
  await firewallAccess.revoke();
  if (!verified || !doctored) throw new Error("the rights were not looked at");
  return { verify: verified, doctor: doctored };
}

test("on a clean project no role was granted anything beyond its level", async ({ project }) => {
  for (const { label, role, access } of project.setup.sites) {
    expect(await extraOf(project, role, access), label).toEqual({ total: 0, first: [] });
  }
  const found = await namedBy(project, "api");
  expect(found.verify).toMatchObject({ ok: true });
  expect(found.doctor).toMatchObject({ ok: true });
});

test("what was granted beyond the level is named by verify and doctor, left by init, and taken by the statements they give", async ({
  emulator,
  project,
}) => {
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

test("beyond the level: what only an owner has, what other databases hold, and no more than twenty by name", async ({
  emulator,
  project,
}) => {
  const databases = databasesOf(emulator, project);
  const role = roleOf(project, "report");
  const to = quoteIdentifier(role);
  await databases.run("shop", `GRANT TEMPORARY ON DATABASE shop TO ${to}`, `GRANT EXECUTE ON FUNCTION nothing TO ${to}`);
  await databases.run("other", "CREATE SCHEMA hidden", `GRANT USAGE ON SCHEMA hidden TO ${to}`, `GRANT SELECT ON foreign_things TO ${to}`);
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
