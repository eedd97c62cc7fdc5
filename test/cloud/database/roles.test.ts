import fc from "fast-check";
import { expect } from "vitest";
import { accessDifferences } from "../../../src/cloud/database/access-differences.ts";
import { quoteIdentifier } from "../../../src/cloud/database/sql.ts";
import { asSuperuser, attempt, identityOf, loginOf, recreateSite, roleOf, rolesOn } from "../../support/app-roles.ts";
import { databasesOf } from "../../support/databases.ts";
import { failuresOf, pendingOf } from "../../support/outcomes.ts";
import { openTestProject } from "../../support/project.ts";
import { threeAppsTest as test, threeApps } from "../../support/three-apps.ts";

// trap: passwordless-flow 5
test("tables of a stranger are named, not silently left out", async ({ emulator, project }) => {
  await asSuperuser(emulator, "shop", "CREATE TABLE strange (id int)");
  const report = await project.init();
  expect(failuresOf(report).join("\n")).toMatch(/rights of shop-api-t3st on public\.strange cannot be set: azuresu owns them/);
  await asSuperuser(emulator, "shop", "DROP TABLE strange");
  expect(failuresOf(await project.init())).toEqual([]);
});

// trap: postgres 19, passwordless-flow 4
test("a recreated identity: in every database what it owned and was granted stays", async ({ emulator, project }) => {
  const databases = databasesOf(emulator, project);
  const role = roleOf(project, "api");
  const before = await identityOf(project, "api");
  const to = quoteIdentifier(role);
  await databases.run("other", `GRANT SELECT ON foreign_things TO ${to}`, `GRANT CREATE ON SCHEMA public TO ${to}`, "CREATE SCHEMA apart");
  await databases.run(
    "other",
    `GRANT USAGE ON SCHEMA apart TO ${to}`,
    `ALTER DEFAULT PRIVILEGES IN SCHEMA apart GRANT SELECT ON TABLES TO ${to}`,
  );
  await databases.as({ role, principal: before, database: "other" }, (session) => session.query("CREATE TABLE owned_elsewhere (id int)"));
  await databases.as({ role, principal: before, database: "shop" }, (session) => session.query("CREATE TABLE owned_here (id int)"));
  await recreateSite(project, "api");
  expect(failuresOf(await project.init())).toEqual([]);
  const after = await identityOf(project, "api");
  expect(after).not.toBe(before);
  // What it makes later serves the other apps as before: nothing is left to a second run.
  expect(pendingOf(await project.plan())).toEqual([]);
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
  expect(await (await rolesOn(project)).find(role)).toMatchObject({ objectId: after, type: "service" });
  await databases.run("other", `DROP TABLE owned_elsewhere`, `REVOKE CREATE ON SCHEMA public FROM ${to}`);
});

test("sessions of a role that is made anew end: they would go on without any right, for as long as the app's pool keeps them", async ({
  emulator,
  project,
}) => {
  const databases = databasesOf(emulator, project);
  const role = roleOf(project, "worker");
  const identity = await identityOf(project, "worker");
  const other = emulator.platform.directory.createManagedIdentity("/drift", "drift");
  const roles = await rolesOn(project);
  const repair = (objectId: string) => roles.repair({ role, objectId }, ["shop"]);
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

test("a role of the wrong type is made anew; a password role and an administrator of the name are left alone", async ({
  emulator,
  project,
}) => {
  const databases = databasesOf(emulator, project);
  const role = roleOf(project, "worker");
  const roles = await rolesOn(project);
  await roles.drop(role, ["shop"]);
  await databases.run(
    "postgres",
    `SELECT pgaadauth_create_principal_with_oid('${role}', '${await identityOf(project, "worker")}', 'user', false, false)`,
  );
  expect(failuresOf(await project.init())).toEqual([]);
  await roles.drop(role, ["shop"]);
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
  const login = await loginOf(project, "worker");
  expect(login.role).toBe("shop-labour-t3st");
  expect(await databases.as(login, (session) => attempt(session, "INSERT INTO things (name) VALUES ('renamed')"))).toBe("done");
  expect(pendingOf(await project.plan())).toEqual([]);
});

test("hostile names: created, granted, signed in to, handed over and dropped on the real server", async ({ emulator, project }) => {
  const databases = databasesOf(emulator, project);
  const roles = await rolesOn(project);
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

const hostileName = fc
  .string({
    unit: fc.constantFrom('"', "'", "\\", ";", "$", "%", "-", " ", "a", "Z", "\n", "é", "漢", "😀", ".", "@", "#", "{", "\u202e"),
    minLength: 1,
    maxLength: 15,
  })
  .filter((name) => Buffer.byteLength(name) <= 63 && name.trim() === name);
