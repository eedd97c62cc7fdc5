import type { Cloud } from "../cloud/cloud.ts";
import type { Caller } from "../cloud/credential.ts";
import type { Databases } from "../cloud/database/databases.ts";
import { ownAdministrator } from "../cloud/database/own-administrator.ts";
import type { FirewallAccess } from "../cloud/firewall-access.ts";
import type { PostgresServer, PostgresServers } from "../cloud/postgres-servers.ts";
import type { Administrator } from "../cloud/server-children.ts";
import { defineStep, type Step } from "../engine/step.ts";

/** The administrator the caller signs in as: itself or a group. Added only when no administrator lets the caller in. */
export const entraAdministrator = (
  caller: Caller,
  group: string,
  servers: PostgresServers,
  databases: Databases,
  needs: { readonly server: Step<PostgresServer> },
) =>
  defineStep<Administrator, typeof needs>({
    name: "Entra administrator",
    needs,
    read: async ({ server }) => databases.ownAdministrator(server, await servers.listAdministrators(group, server.name)),
    plan: (observed) => (observed ? { kind: "keep" } : { kind: "create", reason: `${caller.name} (${caller.type})` }),
    apply: (_change, { server }) => servers.putAdministrator(group, server.name, caller),
  });

/** The former name of `ownAdministrator`. */
export const administratorOf = ownAdministrator;

/** The former shape of `Databases.asAdministrator`. */
export async function administratorLogin(
  { cloud, firewallAccess }: { readonly cloud: Cloud; readonly firewallAccess: FirewallAccess; readonly group: string },
  server: PostgresServer,
): Promise<string> {
  return (await cloud.databases(firewallAccess).asAdministrator(server)).login;
}
