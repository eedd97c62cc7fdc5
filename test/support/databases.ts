import { connectSql, type SqlSession } from "../../src/cloud/database/sql.ts";
import { audiences } from "../../src/emulator/platform.ts";
import type { TestEmulator } from "./emulator.ts";
import type { TestProject } from "./project.ts";

type Work<T> = (session: SqlSession) => Promise<T>;

/** Ways into the databases of a test project's server: over TLS, through the gateway, with real tokens. */
export interface TestDatabases {
  /** As the administrator. */
  admin<T>(database: string, work: Work<T>): Promise<T>;
  /** As any role with a token of any principal of the tenant (object ID, UPN or display name). */
  as<T>(login: { readonly role: string; readonly principal: string; readonly database: string }, work: Work<T>): Promise<T>;
  /** Several statements of the administrator. */
  run(database: string, ...statements: readonly string[]): Promise<void>;
}

export function databasesOf(emulator: TestEmulator, { cloud, setup, firewallAccess }: TestProject): TestDatabases {
  const enter = async <T>(user: string, database: string, token: () => Promise<string>, work: Work<T>): Promise<T> => {
    const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
    if (!server) throw new Error("no server");
    const { host, port } = server;
    const signal = new AbortController().signal;
    const session = await connectSql({ host, port, database, user, token, environment: cloud.environment, signal });
    try {
      // The tool's own sessions see pg_catalog alone; a person and an app work in schema public.
      await session.query(`SET search_path = "$user", public`);
      return await work(session);
    } finally {
      await session.close();
      await firewallAccess.revoke();
    }
  };
  const databases: TestDatabases = {
    admin: (database, work) => enter(cloud.caller.name, database, async () => (await cloud.databaseToken()).token, work),
    as: ({ role, principal, database }, work) => enter(role, database, () => emulator.tokenFor(principal, audiences.postgres[0]), work),
    run: (database, ...statements) =>
      databases.admin(database, async (session) => {
        for (const statement of statements) await session.query(statement);
      }),
  };
  return databases;
}
