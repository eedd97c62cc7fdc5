import { databasesOf } from "../support/databases.ts";
import type { TestProject } from "../support/project.ts";
import { projectTest } from "../support/project-fixture.ts";
import { shopApi, shopFile, testBatches } from "../support/spoilt.ts";

const test = projectTest(shopFile);

async function dropRole({ cloud, setup, databases }: TestProject): Promise<void> {
  const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
  if (server) await (await databases.asAdministrator(server)).drop(shopApi, [setup.database]);
}

/** What a role made by hand lacks. */
const noRights = [
  "api: later tables serve the role",
  "api: role may connect to the database",
  "api: role may use schema public",
  "api: sequence rights are complete",
  "api: table rights are complete",
];

testBatches(test, [
  {
    what: "rights of the role",
    spoil: async ({ sql }) => {
      await sql(
        "CREATE TABLE things (id serial PRIMARY KEY)",
        `REVOKE ALL ON things FROM "${shopApi}"`,
        `REVOKE ALL ON SEQUENCE things_id_seq FROM "${shopApi}"`,
        `REVOKE ALL ON SCHEMA public FROM "${shopApi}"`,
        `ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM "${shopApi}"`,
        `GRANT CREATE ON DATABASE shop TO "${shopApi}"`,
        `ALTER ROLE "${shopApi}" CREATEROLE`,
        `GRANT pg_monitor TO "${shopApi}"`,
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "GRANT UPDATE ON things TO PUBLIC",
        "CREATE FUNCTION lent_power() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "REVOKE CONNECT, TEMPORARY ON DATABASE shop FROM PUBLIC",
        `REVOKE CONNECT ON DATABASE shop FROM "${shopApi}"`,
      );
    },
    found: [
      'api: role may do no more than "owner"',
      "api: later tables serve the role",
      "api: nobody else may change the tables",
      "api: role calls nothing with an administrator's rights",
      "api: role holds no administrative right",
      "api: role is a member of no role",
      "api: role may connect to the database",
      "api: sequence rights are complete",
      "api: table rights are complete",
      "only roles with the right create in schema public",
    ],
    byHand: [
      "api: nobody else may change the tables",
      "api: role calls nothing with an administrator's rights",
      "only roles with the right create in schema public",
    ],
    mend: ({ sql }) =>
      sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC", "REVOKE UPDATE ON things FROM PUBLIC", "DROP FUNCTION lent_power()"),
  },
  {
    what: "settings that new sessions start with, a role that may not sign in",
    spoil: ({ sql }) =>
      sql(
        `ALTER ROLE "${shopApi}" SET search_path = nowhere`,
        `ALTER ROLE "${shopApi}" IN DATABASE shop SET default_transaction_read_only = on`,
        `ALTER ROLE "${shopApi}" IN DATABASE shop SET role = 'azure_pg_admin'`,
        `ALTER ROLE "${shopApi}" NOLOGIN`,
      ),
    found: ["api: role may sign in", "api: role starts with no misleading setting"],
  },
  {
    what: "schema public closed, things owned elsewhere, a second role of the identity",
    spoil: async ({ sql, project, emulator, group }) => {
      const identity = (await project.cloud.sites.at({ group, app: shopApi }).get())?.principalId;
      await sql(
        `REVOKE ALL ON SCHEMA public FROM "${shopApi}"`,
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "CREATE SCHEMA side",
        `GRANT CREATE, USAGE ON SCHEMA side TO "${shopApi}"`,
      );
      const databases = databasesOf(emulator, project);
      const login = { role: shopApi, principal: identity ?? "", database: "shop" };
      await databases.as(login, (session) => session.query("CREATE TABLE side.mine (id int)"));
      await databases.run("postgres", `SELECT pgaadauth_create_principal_with_oid('aad_other', '${identity}', 'service', false, false)`);
      await sql("CREATE TABLE strange (id int)", "GRANT CREATE ON SCHEMA public TO aad_other", "GRANT aad_other TO CURRENT_USER");
      await sql("ALTER TABLE strange OWNER TO aad_other");
    },
    found: [
      "api: identity has one role",
      "api: later tables serve the role",
      "api: role may use schema public",
      "api: role owns nothing beyond schema public",
      "api: role was granted nothing beyond its level",
      "api: tables belong to the role or the administrator",
    ],
    byHand: [
      "api: identity has one role",
      "api: role owns nothing beyond schema public",
      "api: role was granted nothing beyond its level",
      "api: tables belong to the role or the administrator",
    ],
    mend: async ({ sql }) => {
      await sql(`GRANT "${shopApi}" TO CURRENT_USER`, "DROP SCHEMA side CASCADE", `REVOKE "${shopApi}" FROM CURRENT_USER`);
      await sql("DROP OWNED BY aad_other", "DROP ROLE aad_other");
    },
  },
  {
    what: "a role of the wrong type",
    spoil: async ({ project, emulator, group }) => {
      const { cloud } = project;
      await dropRole(project);
      const identity = (await cloud.sites.at({ group, app: shopApi }).get())?.principalId;
      await databasesOf(emulator, project).run(
        "postgres",
        `SELECT pgaadauth_create_principal_with_oid('${shopApi}', '${identity}', 'user', false, false)`,
      );
    },
    found: ["api: role is labelled with the identity", ...noRights],
  },
  {
    what: "no role at all",
    spoil: ({ project }) => dropRole(project),
    found: ["api: role exists"],
  },
  {
    what: "a role with a password",
    spoil: async ({ project, sql }) => {
      await dropRole(project);
      await sql(`CREATE ROLE "${shopApi}" LOGIN PASSWORD 'tr0ub4dor'`);
    },
    found: ["api: role is labelled with the identity", ...noRights],
    byHand: ["api: role is labelled with the identity", ...noRights],
    mend: async ({ sql, project }) => {
      await sql(`DROP ROLE "${shopApi}"`);
      await project.init();
    },
  },
  {
    what: "the identity as administrator",
    spoil: async ({ project: { cloud }, group, server, emulator }) => {
      const objectId = (await cloud.sites.at({ group, app: shopApi }).get())?.principalId ?? "";
      await cloud.postgresServers.putAdministrator(group, server, {
        objectId,
        name: "the-app-itself",
        type: "ServicePrincipal",
        tenantId: emulator.endpoints.tenantId,
      });
    },
    found: ["api: identity has one role", "api: role is no administrator"],
    byHand: ["api: identity has one role", "api: role is no administrator"],
    mend: async ({ project: { cloud }, group, server }) =>
      cloud.postgresServers.deleteAdministrator(group, server, (await cloud.sites.at({ group, app: shopApi }).get())?.principalId ?? ""),
  },
]);
