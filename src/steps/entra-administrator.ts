import { KnownError } from "../base/errors.ts";
import type { Cloud } from "../cloud/cloud.ts";
import type { Caller } from "../cloud/credential.ts";
import type { FirewallAccess } from "../cloud/firewall-access.ts";
import type { PostgresServer, PostgresServers } from "../cloud/postgres-servers.ts";
import type { Administrator } from "../cloud/server-children.ts";
import { defineStep, type Step } from "../engine/step.ts";

/** The administrator the caller signs in as: itself or a group. Added only when no administrator lets the caller in. */
export const entraAdministrator = (
  caller: Caller,
  group: string,
  servers: PostgresServers,
  canSignIn: (server: PostgresServer, login: string) => Promise<boolean>,
  needs: { readonly server: Step<PostgresServer> },
) =>
  defineStep<Administrator, typeof needs>({
    name: "Entra administrator",
    needs,
    read: async ({ server }) =>
      administratorOf(caller, await servers.listAdministrators(group, server.name), (login) => canSignIn(server, login)),
    plan: (observed) => (observed ? { kind: "keep" } : { kind: "create", reason: `${caller.name} (${caller.type})` }),
    apply: (_change, { server }) => servers.putAdministrator(group, server.name, caller),
  });

/**
 * The one of the administrators under whose name the server lets the caller in. Itself is found by object ID (ARM's `name` is the principal
 * name, for guests not their address); a group by the token's `groups`, and where the token names none by trying the login.
 */
export async function administratorOf(
  caller: Caller,
  administrators: readonly Administrator[],
  canSignIn: (login: string) => Promise<boolean>,
): Promise<Administrator | undefined> {
  const own = administrators.find(({ objectId }) => objectId.toLowerCase() === caller.objectId.toLowerCase());
  if (own) return own;
  const groups = administrators.filter(({ type }) => type === "Group");
  const known = groups.find(({ objectId }) => caller.groups.includes(objectId.toLowerCase()));
  if (known) return known;
  for (const group of groups) {
    if (await canSignIn(group.name)) return group;
  }
  return undefined;
}

/** Role name the caller signs in to PostgreSQL with. Throws "database/denied" when it is no administrator and in no group that is one. */
export async function administratorLogin(
  { cloud, firewallAccess, group }: { readonly cloud: Cloud; readonly firewallAccess: FirewallAccess; readonly group: string },
  server: PostgresServer,
): Promise<string> {
  const administrators = await cloud.postgresServers.listAdministrators(group, server.name);
  const found = await administratorOf(cloud.caller, administrators, (login) =>
    firewallAccess.withAccess(server, () => cloud.principals.canSignIn(server, login)),
  );
  if (found) return found.name;
  const names = administrators.map(({ name }) => name).join(", ") || "none";
  throw new KnownError("database/denied", `${cloud.caller.name} is no Entra administrator of ${server.name} (there are: ${names})`, {
    hint: "run `passwordless-pg server create`, or sign in as one of them",
  });
}
