import type { Caller } from "../cloud/credential.ts";
import type { Databases } from "../cloud/database/databases.ts";
import type { PostgresServer, PostgresServers } from "../cloud/postgres-servers.ts";
import type { Administrator } from "../cloud/server-children.ts";
import { defineStep, type Step } from "../engine/step.ts";

/** The administrator the caller signs in as: itself or a group. Added only when no administrator lets the caller in. */
export const entraAdministrator = (
  { caller, group }: { readonly caller: Caller; readonly group: string },
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
