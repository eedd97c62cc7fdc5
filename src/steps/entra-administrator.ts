import type { Caller } from "../cloud/credential.ts";
import type { Administrator, PostgresServer, PostgresServers } from "../cloud/postgres-servers.ts";
import { defineStep, type Step } from "../engine/step.ts";

/** The caller as Entra administrator of the server, taken from its own token. Found by object ID: ARM's `name` is the principal name. */
export const entraAdministrator = (
  caller: Caller,
  group: string,
  servers: PostgresServers,
  needs: { readonly server: Step<PostgresServer> },
) =>
  defineStep<Administrator, typeof needs>({
    name: "Entra administrator",
    needs,
    read: async ({ server }) => (await servers.listAdministrators(group, server.name)).find(({ objectId }) => objectId === caller.objectId),
    plan: (observed) => (observed ? { kind: "keep" } : { kind: "create", reason: `${caller.name} (${caller.type})` }),
    apply: (_change, { server }) => servers.putAdministrator(group, server.name, caller),
  });
