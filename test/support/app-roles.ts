import { readdirSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { KnownError } from "../../src/base/errors.ts";
import type { ServerRoles } from "../../src/cloud/database/databases.ts";
import { type SqlSession, sqlStateOf } from "../../src/cloud/database/sql.ts";
import type { TestEmulator } from "./emulator.ts";
import type { TestProject } from "./project.ts";

/** Name of the role of the app with this label. */
export const roleOf = ({ setup }: TestProject, label: string): string => setup.sites.find((app) => app.label === label)?.role ?? "";

/** Object ID of its identity. */
export async function identityOf({ cloud, setup }: TestProject, label: string): Promise<string> {
  const address = setup.sites.find((app) => app.label === label)?.address;
  return (address && (await cloud.sites.at(address).get())?.principalId) ?? "";
}

/** What `TestDatabases.as` takes to be it. */
export const loginOf = async (project: TestProject, label: string, database = "shop") => ({
  role: roleOf(project, label),
  principal: await identityOf(project, label),
  database,
});

/** The roles of the project's server, to its administrator. */
export async function rolesOn({ cloud, databases, setup }: TestProject): Promise<ServerRoles> {
  const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
  if (!server) throw new Error("no server");
  return databases.at(server, cloud.caller.name);
}

/** Made anew by somebody under the same name: with another identity, and with nothing set. */
export async function recreateSite({ cloud, setup }: TestProject, label: string): Promise<void> {
  const address = setup.sites.find((app) => app.label === label)?.address;
  if (!address) throw new Error(`no site ${label}`);
  const site = cloud.sites.at(address);
  const { planId = "", tags = {} } = (await site.get()) ?? {};
  await site.delete();
  await site.create({ location: setup.location, planId, config: { runtime: "PYTHON|3.12" }, settings: {}, tags });
}

/** SQLSTATE of the refusal, `done` when it was not refused. */
export async function attempt(session: SqlSession, statement: string): Promise<string> {
  try {
    const { notices } = await session.query(statement);
    return notices.find(({ code }) => code === "01007" || code === "01006") ? "warned" : "done";
  } catch (error) {
    return sqlStateOf(error) ?? (error instanceof KnownError ? error.code : String(error));
  }
}

/** What only Azure itself can do: over the server's own socket. */
export async function asSuperuser(emulator: TestEmulator, database: string, statement: string): Promise<void> {
  const servers = join(emulator.homeFolder, "postgres", "servers");
  const [folder = ""] = readdirSync(servers);
  const client = new pg.Client({ host: join(servers, folder, "run"), user: "azuresu", database });
  await client.connect();
  await client.query(statement);
  await client.end();
}
