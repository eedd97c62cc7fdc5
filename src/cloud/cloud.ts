import type { SiteAddress } from "../base/site-address.ts";
import { type Plans, plans } from "./app-service/plans.ts";
import { type SiteClient, siteClient } from "./app-service/site-client.ts";
import { type Site, type Sites, sites } from "./app-service/sites.ts";
import { openArm } from "./arm.ts";
import type { CloudContext } from "./connection.ts";
import { type Connectivity, probeConnectivity } from "./connectivity.ts";
import { accessToken, type Caller, whoAmI } from "./credential.ts";
import { type Databases, openDatabases } from "./database/databases.ts";
import type { Environment } from "./environment.ts";
import type { FirewallAccess } from "./firewall-access.ts";
import { wordedAdapter, wordedFor } from "./hints.ts";
import { type Linkers, linkers } from "./linkers.ts";
import { type ManagedIdentities, managedIdentities } from "./managed-identities.ts";
import { type PostgresServers, postgresServers } from "./postgres-servers.ts";
import { type ResourceGroups, resourceGroups } from "./resource-groups.ts";
import { type ScmSite, scmSite } from "./scm/scm-site.ts";
import { type Subscription, subscription } from "./subscription.ts";

/** The adapters over one subscription of one Azure environment. */
export interface Cloud {
  readonly environment: Environment;
  readonly caller: Caller;
  readonly subscriptionId: string;
  /** The same for a command that changes nothing: a resource provider that is not registered stays so, and what it would hold is absent. */
  readOnly(): Cloud;
  readonly subscription: Subscription;
  readonly resourceGroups: ResourceGroups;
  readonly postgresServers: PostgresServers;
  readonly plans: Plans;
  readonly sites: Sites;
  readonly managedIdentities: ManagedIdentities;
  readonly linkers: Linkers;
  /** What the servers hold, through a firewall that is opened where it must be. */
  databases(firewallAccess: Pick<FirewallAccess, "withAccess">): Databases;
  scmSite(site: Pick<Site, "name" | "scmHost">): ScmSite;
  site(site: Pick<Site, "name" | "url">): SiteClient;
  /** Name, port and TLS of a database server, tried without signing in. */
  probeConnectivity(server: { readonly host: string; readonly port: number }): Promise<Connectivity>;
  /** A fresh database token, for `connect` and `token`. */
  databaseToken(): Promise<{ readonly token: string; readonly expiresOn: Date }>;
}

/** Asks one ARM token to learn who is calling; makes no other request. Throws `auth/signed-out`. */
export async function openCloud(context: CloudContext): Promise<Cloud> {
  try {
    return adaptersOf(context, await whoAmI(context.credential, context.environment));
  } catch (error) {
    throw wordedFor(context.environment, error);
  }
}

function adaptersOf(context: CloudContext, caller: Caller): Cloud {
  const { credential, environment, signal, subscriptionId } = context;
  const arm = openArm(context);
  const worded = <T extends object>(adapter: T): T => wordedAdapter(environment, adapter);
  const servers = worded(postgresServers(arm));
  const databases = (firewallAccess: Pick<FirewallAccess, "withAccess">) =>
    openDatabases({ session: context, caller, servers, firewallAccess });
  const allSites = sites(arm);
  const app = { plans: worded(plans(arm)), sites: worded({ ...allSites, at: (address: SiteAddress) => worded(allSites.at(address)) }) };
  return {
    environment,
    caller,
    subscriptionId,
    readOnly: () => adaptersOf({ ...context, registersProviders: false }, caller),
    subscription: worded(subscription(arm)),
    resourceGroups: worded(resourceGroups(arm)),
    postgresServers: servers,
    ...app,
    managedIdentities: worded(managedIdentities(arm)),
    linkers: worded(linkers(arm)),
    databases,
    scmSite: (webApp) => worded(scmSite(context, webApp)),
    site: (webApp) => worded(siteClient(context, webApp)),
    probeConnectivity: ({ host, port }) =>
      probeConnectivity({ host, port, ...(environment.caPem ? { caPem: environment.caPem } : {}) }, signal),
    databaseToken: async () => {
      const asked = accessToken(credential, environment.scopes.postgres, signal);
      const { token, expiresOnTimestamp } = await asked.catch((error: unknown) => {
        throw wordedFor(environment, error);
      });
      return { token, expiresOn: new Date(expiresOnTimestamp) };
    },
  };
}
