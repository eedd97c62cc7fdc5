import type { Clock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import { memoize } from "../base/memoize.ts";
import type { Cloud } from "../cloud/cloud.ts";
import type { FirewallAccess } from "../cloud/firewall-access.ts";
import type { PostgresServer } from "../cloud/postgres-servers.ts";
import type { Setup } from "../project/setup.ts";
import type { SiteSetup } from "../project/site-setup.ts";

export interface CheckContext {
  readonly setup: Setup;
  readonly cloud: Cloud;
  readonly firewallAccess: FirewallAccess;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The web apps were changed a moment ago and start anew: one that does not answer well yet is asked again for a while. */
  readonly areRestarting?: boolean;
  /** A short text that no other run uses, for the row that is written and read. */
  readonly marker?: string;
  /** SHA-256 of the package the app's folder makes; without it the deployed package is not looked at. */
  packageHash?(app: SiteSetup): Promise<string>;
}

export type SharedFacts = ReturnType<typeof gatherSharedFacts>;

/** Some of them and the setup: all that a check needs which is also asked of a plan. */
export type FactsOf<K extends keyof SharedFacts> = Pick<SharedFacts, K> & { readonly context: Pick<CheckContext, "setup"> };

/** What all sites share: each thing asked for once, and only when a check asks. What is absent throws "azure/not-found". */
export function gatherSharedFacts(context: CheckContext) {
  const { cloud, setup } = context;
  const { postgresServers: servers } = cloud;
  const { resourceGroup: group } = setup;
  const findServer = memoize(() => servers.get(group, setup.server.name));
  const server = memoize(async () => (await findServer()) ?? absent(`flexible server ${setup.server.name}`));
  return {
    context,
    findServer,
    server,
    database: memoize(
      async () => (await servers.getDatabase(group, (await server()).name, setup.database)) ?? absent(`database ${setup.database}`),
    ),
    subscription: memoize(() => cloud.subscription.read()),
    groupSites: memoize(() => cloud.sites.list(group)),
    rules: memoize(async () => servers.listFirewallRules(group, (await server()).name)),
    parameter: async (name: string) => {
      const { name: serverName, state } = await server();
      if (state !== "Ready") return absent("a running server"); // it answers for its parameters only then
      return (await servers.getParameter(group, serverName, name)) ?? absent(`parameter ${name}`);
    },
    ...gatherSignInFacts(context, server),
  };
}

/** What is known by signing in to the server, or by trying to. */
function gatherSignInFacts({ cloud, setup, firewallAccess }: CheckContext, server: () => Promise<PostgresServer>) {
  const databases = cloud.databases(firewallAccess);
  /** A stopped or private server answers nobody: not worth the minute that a login waits for it. */
  const openServer = memoize(async () => {
    const found = await server();
    if (found.state === "Ready" && found.publicNetworkAccess) return found;
    const why = found.state === "Ready" ? "its public access is Disabled" : `it is ${found.state}`;
    throw new KnownError("azure/not-found", `${found.host} lets nobody in: ${why}`, {
      hint: found.state === "Ready" ? "open its public access" : "start it with `passwordless-pg server start`",
    });
  });
  const administrators = memoize(async () => cloud.postgresServers.listAdministrators(setup.resourceGroup, (await server()).name));
  const administrator = memoize(async () => databases.ownAdministrator(await openServer(), await administrators()));
  /** The roles of the server, seen by the caller. */
  const serverRoles = memoize(async () => databases.at(await openServer(), (await administrator())?.name ?? cloud.caller.name));
  return {
    openServer,
    administrators,
    administrator,
    serverRoles,
    connectivity: memoize(async () => {
      const { host, port } = await openServer();
      return cloud.probeConnectivity({ host, port });
    }),
    roles: memoize(async () => (await serverRoles()).list()),
  };
}

/** Throws that this does not exist. */
export function absent(what: string): never {
  throw new KnownError("azure/not-found", `${what} does not exist`, { hint: "run `passwordless-pg init`" });
}
