import { databasesOf } from "./databases.ts";
import { projectTest } from "./project-fixture.ts";

/** One app of each access level. */
export const threeApps = {
  database: "shop",
  apps: {
    report: { access: "read", runtime: "python|3.12" },
    api: { access: "owner", runtime: "python|3.12" },
    worker: { access: "write", runtime: "python|3.12" },
  },
};

/** Their project, with a table for all, a schema for none, and a database that is not the project's. */
export const threeAppsTest = projectTest(threeApps, async (project, emulator) => {
  const { cloud, setup } = project;
  const { run } = databasesOf(emulator, project);
  await run(
    "shop",
    "CREATE TABLE things (id serial PRIMARY KEY, name text)",
    "CREATE SCHEMA private",
    "CREATE TABLE private.secrets (id int)",
    "CREATE FUNCTION nothing() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
  );
  await cloud.postgresServers.createDatabase(setup.resourceGroup, setup.server.name, "other");
  await run("other", "CREATE TABLE foreign_things (id int)");
});
