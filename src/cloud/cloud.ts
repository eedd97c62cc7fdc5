import { openArm } from "./arm.ts";
import type { CloudContext } from "./connection.ts";
import { accessToken, type Caller, whoAmI } from "./credential.ts";
import type { Environment } from "./environment.ts";
import { type Linkers, linkers } from "./linkers.ts";
import { type ManagedIdentities, managedIdentities } from "./managed-identities.ts";
import { type PostgresServers, postgresServers } from "./postgres-servers.ts";
import { type Principals, principals } from "./principals.ts";
import { type Reach, reach } from "./reach.ts";
import { type ResourceGroups, resourceGroups } from "./resource-groups.ts";
import { type ScmSite, scmSite } from "./scm-site.ts";
import { type SiteClient, siteClient } from "./site-client.ts";
import { type Subscription, subscription } from "./subscription.ts";
import { type WebApp, type WebApps, webApps } from "./web-apps.ts";

/** The adapters over one subscription of one Azure environment. */
export interface Cloud {
  readonly environment: Environment;
  readonly caller: Caller;
  readonly subscriptionId: string;
  readonly subscription: Subscription;
  readonly resourceGroups: ResourceGroups;
  readonly postgresServers: PostgresServers;
  readonly webApps: WebApps;
  readonly linkers: Linkers;
  readonly principals: Principals;
  readonly managedIdentities: ManagedIdentities;
  scmSite(webApp: Pick<WebApp, "name" | "scmHost">): ScmSite;
  site(webApp: Pick<WebApp, "name" | "url">): SiteClient;
  /** Name, port and TLS of a database server, tried without signing in. */
  reach(server: { readonly host: string; readonly port: number }): Promise<Reach>;
  /** A fresh database token, for `connect` and `token`. */
  databaseToken(): Promise<{ readonly token: string; readonly expiresOn: Date }>;
}

/** Asks one ARM token to learn who is calling; makes no other request. Throws `auth/signed-out`. */
export async function openCloud(context: CloudContext): Promise<Cloud> {
  const { credential, environment, signal, subscriptionId } = context;
  const caller = await whoAmI(credential, environment);
  const arm = openArm(context);
  return {
    environment,
    caller,
    subscriptionId,
    subscription: subscription(arm),
    resourceGroups: resourceGroups(arm),
    postgresServers: postgresServers(arm),
    webApps: webApps(arm),
    linkers: linkers(arm),
    principals: principals(context),
    scmSite: (webApp) => scmSite(context, webApp),
    site: (webApp) => siteClient(context, webApp),
    reach: ({ host, port }) => reach({ host, port, ...(environment.caPem ? { caPem: environment.caPem } : {}) }, signal),
    databaseToken: async () => {
    managedIdentities: managedIdentities(arm),
      const { token, expiresOnTimestamp } = await accessToken(credential, environment.scopes.postgres, signal);
      return { token, expiresOn: new Date(expiresOnTimestamp) };
    },
  };
}
