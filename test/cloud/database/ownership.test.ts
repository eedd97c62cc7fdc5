import { expect } from "vitest";
import type { AccessLevel } from "../../../src/base/access-level.ts";
import { placeholderRole } from "../../../src/cloud/database/ownership.ts";
import { quoteIdentifier, type SqlSession } from "../../../src/cloud/database/sql.ts";
import { doctor, verify } from "../../../src/graph/project-checks.ts";
import { planRemoval } from "../../../src/removal/plan-removal.ts";
import { loginOf, recreateSite, roleOf, rolesOn } from "../../support/app-roles.ts";
import { databasesOf, type TestDatabases } from "../../support/databases.ts";
import type { TestEmulator } from "../../support/emulator.ts";
import { leapingClock } from "../../support/leaping-clock.ts";
import { failuresOf, pendingOf } from "../../support/outcomes.ts";
import { openTestProject, type TestProject } from "../../support/project.ts";
import { projectTest } from "../../support/project-fixture.ts";

/** `api` plants; `other` has a role of its own and reads. */
const file = (access: AccessLevel = "owner") => ({
  database: "shop",
  apps: { api: { access, runtime: "python|3.12" }, other: { access: "read", runtime: "python|3.12" } },
});

const test = projectTest(file());

/** Each tries to make the roles of the apps administrators, with the rights of whoever it works for. `climb` is the body they share. */
const climbOf = (roles: readonly string[]): string =>
  roles.map((role) => `BEGIN EXECUTE 'ALTER ROLE ${quoteIdentifier(role)} CREATEROLE CREATEDB'; EXCEPTION WHEN OTHERS THEN END;`).join(" ");

const plants = (climb: string): readonly string[] => [
  "CREATE TABLE public.mine (id serial PRIMARY KEY, name text)",
  "INSERT INTO public.mine (name) VALUES ('row')",
  `CREATE FUNCTION public.lent(text) RETURNS text SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN ${climb} RETURN 'x'; END $$`,
  `CREATE PROCEDURE public.lent_procedure() SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN ${climb} END $$`,
  `CREATE FUNCTION public.lent_trigger() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN ${climb} RETURN NEW; END $$`,
  `CREATE FUNCTION public.plain() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN ${climb} RETURN 1; END $$`,
  `CREATE FUNCTION public.plain(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN ${climb} RETURN $1; END $$`,
  "CREATE VIEW public.seen AS SELECT id, name, public.lent(name) FROM public.mine",
  "CREATE VIEW public.roles AS SELECT rolname FROM pg_catalog.pg_roles",
  "CREATE MATERIALIZED VIEW public.kept AS SELECT public.plain(id) AS id FROM public.mine",
  "CREATE INDEX by_plain ON public.mine (public.plain(id))",
  "CREATE TRIGGER fires BEFORE INSERT OR UPDATE ON public.mine FOR EACH ROW EXECUTE FUNCTION public.lent_trigger()",
  "CREATE TABLE public.noted (name text DEFAULT public.lent('x'), number int DEFAULT public.plain())",
  "CREATE RULE noting AS ON INSERT TO public.noted DO ALSO UPDATE public.mine SET name = public.lent('x')",
  "CREATE TABLE public.guarded (id int)",
  "INSERT INTO public.guarded VALUES (1)",
  "ALTER TABLE public.guarded ENABLE ROW LEVEL SECURITY",
  "CREATE POLICY everybody ON public.guarded USING (public.plain() = 1)",
  "CREATE DOMAIN public.checked AS int CHECK (public.plain(VALUE) = VALUE)",
  "CREATE AGGREGATE public.summed (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0')",
  "CREATE OPERATOR public.~~> (LEFTARG = text, RIGHTARG = int, FUNCTION = public.both)",
  "CREATE TYPE public.mood AS ENUM ('good')",
  "CREATE STATISTICS public.known ON (public.plain(id)), name FROM public.mine",
];

/** A way around its own lower level. */
const gifts = ["GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC", "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC"];

/** Everything that could set a plant off. What is refused is refused. */
const probes: readonly string[] = [
  "SELECT public.lent('x')",
  "CALL public.lent_procedure()",
  "SELECT public.plain()",
  "SELECT * FROM public.seen",
  "SELECT * FROM public.kept",
  "REFRESH MATERIALIZED VIEW public.kept",
  "INSERT INTO public.mine (name) VALUES ('probe')",
  "UPDATE public.mine SET name = 'probe'",
  "INSERT INTO public.noted DEFAULT VALUES",
  "SELECT * FROM public.guarded",
  "SELECT 1::public.checked",
  "SELECT public.summed(1)",
  "ANALYZE public.mine",
  "REINDEX TABLE public.mine",
  "CREATE EVENT TRIGGER spy ON ddl_command_start EXECUTE FUNCTION public.lent_trigger()",
  "CREATE TRIGGER again BEFORE INSERT ON public.guarded FOR EACH ROW EXECUTE FUNCTION public.lent_trigger()",
  "ALTER FUNCTION public.lent(text) SECURITY DEFINER",
  "CREATE OR REPLACE FUNCTION public.plain() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 2'",
];

async function tryAll(session: SqlSession, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await session.query(statement).catch(() => undefined);
}

/** What every way of setting plants off has left: administrators among the apps' roles, and people who own what an app made. */
async function damage(databases: TestDatabases, roles: readonly string[]): Promise<unknown> {
  return databases.admin("shop", async (session) => {
    const powers = await session.query(
      "SELECT rolname::text FROM pg_roles WHERE (rolcreaterole OR rolcreatedb OR rolsuper) AND (rolname = ANY($1) OR rolname LIKE 'ppg\\_%')",
      [roles],
    );
    const owned = await session.query(
      `SELECT i.identity FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) i
        WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o' AND i.schema = 'public' AND r.rolname = current_user
          AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );
    const armed = await session.query(
      `SELECT p.oid::regprocedure::text AS name FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
        UNION ALL SELECT p.oid::regprocedure::text FROM pg_proc p, aclexplode(p.proacl) a
                   WHERE p.pronamespace = 'public'::regnamespace AND p.proname LIKE 'lent%' AND a.grantee = 0`,
    );
    return { powers: powers.rows, owned: owned.rows, armed: armed.rows };
  });
}

const nothing = { powers: [], owned: [], armed: [] };

async function plant(emulator: TestEmulator, project: TestProject): Promise<void> {
  const climb = climbOf(project.setup.sites.map(({ role }) => role));
  const both = `CREATE FUNCTION public.both(text, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN ${climb} RETURN true; END $$`;
  await databasesOf(emulator, project).as(await loginOf(project, "api"), async (session) => {
    for (const statement of [both, ...plants(climb)]) await session.query(statement);
    await session.query("SELECT lo_create(4711)");
  });
}

/** Leaves the project as it was before its app made anything. */
async function clear(emulator: TestEmulator, project: TestProject): Promise<void> {
  expect(failuresOf(await project.init())).toEqual([]);
  const login = await loginOf(project, "api");
  await databasesOf(emulator, project).as(login, (session) => session.query("DROP OWNED BY CURRENT_USER CASCADE"));
  expect(failuresOf(await project.init())).toEqual([]);
}

/** Everybody sets off what can be set off: both apps, and PostgreSQL itself by its upkeep of the tables. */
async function setOff(emulator: TestEmulator, project: TestProject, keys: readonly string[] = ["api", "other"]): Promise<void> {
  const databases = databasesOf(emulator, project);
  for (const key of keys) await databases.as(await loginOf(project, key), (session) => tryAll(session, probes));
  // A person who works with the tables, and with the rights of their owner what autovacuum does.
  await databases.admin("shop", (session) => tryAll(session, probes));
}

// What an app made never comes to belong to a person.

test.for<AccessLevel>(["write", "read"])("the level is lowered to %s, and raised again", async (level, { emulator, project }) => {
  await plant(emulator, project);
  await databasesOf(emulator, project).as(await loginOf(project, "api"), (session) => tryAll(session, gifts));
  const lowered = await openTestProject(emulator, file(level));
  expect(failuresOf(await lowered.init())).toEqual([]);
  const databases = databasesOf(emulator, project);
  const roles = project.setup.sites.map(({ role }) => role);
  expect(await damage(databases, roles)).toEqual(nothing);
  await setOff(emulator, lowered);
  expect(await damage(databases, roles)).toEqual(nothing);
  expect(pendingOf(await lowered.plan())).toEqual([]);
  // Its rows are its own at every level, large objects too.
  const login = await loginOf(project, "api");
  expect((await databases.as(login, (session) => session.query("SELECT lo_get(4711)::text AS text"))).rows).toEqual([{ text: "\\x" }]);

  expect(failuresOf(await project.init())).toEqual([]);
  const owners = await databases.as(login, (session) =>
    session.query(
      "SELECT DISTINCT pg_get_userbyid(relowner)::text AS name FROM pg_class WHERE relname IN ('mine', 'seen', 'kept', 'noted')",
    ),
  );
  expect(owners.rows).toEqual([{ name: login.role }]);
  expect(
    (await databases.admin("shop", (session) => session.query("SELECT 1 FROM pg_roles WHERE rolname = $1", [placeholderRole(login.role)])))
      .rows,
  ).toEqual([]);
  await clear(emulator, project);
});

test("its code on tables of others goes at every level, and none can be put there", async ({ emulator, project }) => {
  const databases = databasesOf(emulator, project);
  const { role, ...login } = await loginOf(project, "api");
  const name = quoteIdentifier(role);
  const climb = climbOf([role]);
  await databases.run("shop", "CREATE TABLE boss (id int PRIMARY KEY)", "INSERT INTO boss VALUES (1)");
  expect(failuresOf(await project.init())).toEqual([]);
  const hooks = [
    "CREATE TRIGGER planted BEFORE INSERT ON boss FOR EACH ROW EXECUTE FUNCTION hook()",
    "CREATE TABLE pointing (id cunning REFERENCES boss (id))",
  ];
  await databases.as({ role, ...login }, async (session) => {
    await session.query(`CREATE FUNCTION hook() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${climb} RETURN NEW; END $$`);
    await session.query("CREATE TYPE cunning AS (x int)");
    await session.query(`CREATE FUNCTION cast_it(cunning) RETURNS int LANGUAGE plpgsql AS $$ BEGIN ${climb} RETURN ($1).x; END $$`);
    await session.query("CREATE CAST (cunning AS int) WITH FUNCTION cast_it(cunning) AS IMPLICIT");
    for (const hook of hooks) await expect(session.query(hook), hook).rejects.toMatchObject({ code: "database/denied" });
  });
  // As an earlier version of this tool granted it.
  for (const access of ["owner", "write"] as const) {
    const asked = await openTestProject(emulator, file(access));
    await databases.run("shop", `GRANT TRIGGER, REFERENCES ON boss TO ${name}`, `GRANT CREATE ON SCHEMA public TO ${name}`);
    await databases.as({ role, ...login }, async (session) => {
      await tryAll(session, ["DROP TRIGGER planted ON boss", "DROP TABLE pointing"]);
      if (access === "owner") for (const hook of hooks) await session.query(hook);
    });
    const difference = JSON.stringify((await asked.plan()).steps.map(({ change }) => change));
    expect(difference).toMatch(/may reference tables of others or put triggers on them/);
    if (access === "owner")
      expect(difference).toMatch(/runs its code on tables of others \(foreign key .* to a table of .*, trigger planted on public.boss\)/);
    expect(failuresOf(await asked.init())).toEqual([]);
    expect(pendingOf(await asked.plan())).toEqual([]);
    await databases.as({ role, ...login }, (session) => tryAll(session, ["INSERT INTO pointing VALUES (row(1)::cunning)", ...hooks]));
    await databases.run("shop", "INSERT INTO boss SELECT max(id) + 1 FROM boss");
    expect(await damage(databases, [role])).toMatchObject({ powers: [] });
  }
  await databases.run("shop", "DROP TABLE boss CASCADE");
  await clear(emulator, project);
});

test("nothing an app does holds its own lowering up", async ({ emulator, project }) => {
  const databases = databasesOf(emulator, project);
  const login = await loginOf(project, "api");
  const [api, other] = ["api", "other"].map((key) => quoteIdentifier(roleOf(project, key)));
  await databases.run("shop", `GRANT CREATE ON DATABASE shop TO ${api}`);
  await databases.as(login, async (session) => {
    for (let number = 0; number < 450; number += 1) await session.query(`CREATE TABLE many_${number} (id serial)`);
    for (const statement of [
      "CREATE PUBLICATION pub",
      "CREATE SCHEMA opened",
      "GRANT ALL ON SCHEMA opened TO PUBLIC",
      "CREATE TABLE opened.t (id int)",
      `GRANT ALL ON many_1 TO ${other} WITH GRANT OPTION`,
      "SELECT lo_create(0) FROM generate_series(1, 3)",
    ])
      await session.query(statement);
  });
  await databases.as(await loginOf(project, "other"), (session) =>
    tryAll(session, [`GRANT ALL ON many_1 TO ${api}`, "GRANT ALL ON many_1 TO PUBLIC"]),
  );
  await databases.as(login, async (session) => {
    await session.query("BEGIN");
    await session.query("LOCK TABLE many_2");
    await session.query("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    const lowered = await openTestProject(emulator, file("read"));
    expect(failuresOf(await lowered.init())).toEqual([]);
    expect(pendingOf(await lowered.plan())).toEqual([]);
  });
  const after = await databases.as(login, async (session) => {
    const refused: string[] = [];
    for (const statement of [
      "INSERT INTO many_1 DEFAULT VALUES",
      "TRUNCATE many_2",
      "CREATE TABLE opened.more (id int)",
      "CREATE SCHEMA mine",
    ])
      await session.query(statement).then(
        () => refused.push(`done: ${statement}`),
        () => refused.push("refused"),
      );
    return refused;
  });
  expect(after).toEqual(["refused", "refused", "refused", "refused"]);
  expect(failuresOf(await project.init())).toEqual([]);
  await databases.as(login, (session) => session.query("DROP SCHEMA opened CASCADE"));
  await databases.as(login, (session) => session.query("DROP PUBLICATION pub"));
  for (let from = 0; from < 450; from += 90)
    await databases.as(login, (session) =>
      session.query(`DROP TABLE ${Array.from({ length: 90 }, (_, at) => `many_${from + at}`).join(", ")}`),
    );
});

test("temporary objects of a live session neither hinder nor count", async ({ emulator, project }) => {
  const databases = databasesOf(emulator, project);
  const login = await loginOf(project, "api");
  await databases.as(login, async (session) => {
    await session.query("CREATE TABLE public.mine (id int)");
    await session.query("CREATE TEMPORARY TABLE scratch (id int)");
    await session.query("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    const lowered = await openTestProject(emulator, file("write"));
    expect(failuresOf(await lowered.init())).toEqual([]);
  });
  await databases.as(login, async (session) => {
    await session.query("CREATE TEMPORARY TABLE scratch (id int)");
    const lowered = await openTestProject(emulator, file("write"));
    expect(pendingOf(await lowered.plan())).toEqual([]);
  });
  expect(failuresOf(await project.init())).toEqual([]);
  await databases.as(login, (session) => session.query("DROP TABLE public.mine"));
});

test("the identity is made anew: what it owned is there, and lends no rights", async ({ emulator, project }) => {
  const databases = databasesOf(emulator, project);
  await plant(emulator, project);
  await recreateSite(project, "api");
  expect(failuresOf(await project.init())).toEqual([]);
  const roles = project.setup.sites.map((app) => app.role);
  expect(await damage(databases, roles)).toEqual(nothing);
  await setOff(emulator, project, ["other"]);
  expect(await damage(databases, roles)).toEqual(nothing);
  const login = await loginOf(project, "api");
  expect(await databases.as(login, (session) => session.query("ALTER TABLE public.mine ADD COLUMN more int").then(() => "done"))).toBe(
    "done",
  );
  await clear(emulator, project);
});

test("its role is dropped: what it owned stays with a role that is nobody", async ({ emulator, project }) => {
  const role = roleOf(project, "api");
  const databases = databasesOf(emulator, project);
  await plant(emulator, project);
  const onServer = await rolesOn(project);
  await onServer.drop(role, ["shop"]);
  const roles = project.setup.sites.map((app) => app.role);
  expect(await damage(databases, roles)).toEqual(nothing);
  await setOff(emulator, project, ["other"]);
  expect(await damage(databases, roles)).toEqual(nothing);
  const { rows } = await databases.admin("shop", (session) =>
    session.query(
      `SELECT r.rolname, r.rolcanlogin, pg_relation_size('mine') > 0 AS has_rows FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.relname = 'mine'`,
    ),
  );
  expect(rows).toEqual([{ rolname: placeholderRole(role), rolcanlogin: false, has_rows: true }]);
  // A second run finds nothing more to do, and keeps what is kept.
  await onServer.drop(role, ["shop"]);
  expect(failuresOf(await project.init())).toEqual([]);
  const login = await loginOf(project, "api");
  expect(await databases.as(login, (session) => session.query("DROP TABLE public.noted").then(() => "done"))).toBe("done");
  await clear(emulator, project);
});

test("a placeholder that somebody has made more of is not trusted", async ({ emulator, project }) => {
  const databases = databasesOf(emulator, project);
  const role = roleOf(project, "api");
  const placeholder = quoteIdentifier(placeholderRole(role));
  await databases.as(await loginOf(project, "api"), (session) => session.query("CREATE TABLE public.mine (id int)"));
  await databases.run(
    "postgres",
    `CREATE ROLE ${placeholder} LOGIN`,
    `GRANT ${placeholder} TO ${quoteIdentifier(roleOf(project, "other"))}`,
  );
  const lowered = await openTestProject(emulator, file("write"));
  expect(failuresOf(await lowered.init()).join()).toMatch(
    /database access api: .*is not the bare placeholder it was made as \(can_login, has_members\)/,
  );
  await databases.run("postgres", `DROP ROLE ${placeholder}`);
  await clear(emulator, project);
});

test("a routine that works with an administrator's rights is named by verify and doctor, with the way out", async ({
  emulator,
  project,
}) => {
  const { cloud, setup, firewallAccess } = project;
  const databases = databasesOf(emulator, project);
  const context = { setup, cloud, firewallAccess, clock: leapingClock(), signal: new AbortController().signal };
  const look = async () => {
    const verified = (await verify({ ...context, marker: "m" })).find(({ name }) => name === "api: role is not privileged");
    const doctored = (await doctor(context)).find(({ name }) => name === "api: role calls nothing with an administrator's rights");
    await firewallAccess.revoke();
    return [verified?.ok, doctored?.ok, verified?.detail];
  };
  expect(await look()).toEqual([true, true, expect.any(String)]);
  await databases.run("shop", "CREATE FUNCTION public.power(a int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'");
  expect(await look()).toEqual([
    false,
    false,
    expect.stringContaining(`may call, with an administrator's rights, public.power(integer) of ${cloud.caller.name}`),
  ]);
  await databases.run("shop", "ALTER ROUTINE public.power(int) SECURITY INVOKER");
  expect((await look()).slice(0, 2)).toEqual([true, true]);
  await databases.run("shop", "DROP FUNCTION public.power");
});

test("a guest that goes takes its roles, its database and their placeholders", async ({ emulator, project: owner }) => {
  const { server, resourceGroup } = owner.setup;
  const guest = await openTestProject(emulator, {
    name: "guest",
    resourceGroup,
    server: { name: server.name },
    database: "guests",
    apps: { api: { runtime: "python|3.12" } },
  });
  expect(failuresOf(await guest.init())).toEqual([]);
  const databases = databasesOf(emulator, guest);
  const role = guest.setup.sites[0]?.role ?? "";
  const site = await guest.cloud.sites.at({ group: resourceGroup, app: role }).get();
  const login = { role, principal: site?.principalId ?? "", database: "guests" };
  await databases.as(login, (session) =>
    session.query("CREATE FUNCTION public.f() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'"),
  );
  for (const { remove } of (await planRemoval(guest.setup, guest.cloud, guest.firewallAccess)).removals) await remove();
  await guest.firewallAccess.revoke();
  const { rows } = await databasesOf(emulator, owner).admin("postgres", (session) =>
    session.query("SELECT rolname::text FROM pg_roles WHERE rolname IN ($1, $2)", [role, placeholderRole(role)]),
  );
  expect(rows).toEqual([]);
});
