import type { CloudContext } from "./connection.ts";
import type { Caller } from "./credential.ts";
import type { Environment } from "./environment.ts";
import type { Linkers } from "./linkers.ts";
import type { PostgresServers } from "./postgres-servers.ts";
import type { Principals } from "./principals.ts";
import type { ResourceGroups } from "./resource-groups.ts";
import type { ScmSite } from "./scm-site.ts";
import type { SiteClient } from "./site-client.ts";
import type { WebApp, WebApps } from "./web-apps.ts";

/** The adapters over one subscription of one Azure environment. */
export interface Cloud {
  readonly environment: Environment;
  readonly caller: Caller;
  readonly subscriptionId: string;
  readonly resourceGroups: ResourceGroups;
  readonly postgresServers: PostgresServers;
  readonly webApps: WebApps;
  readonly linkers: Linkers;
  readonly principals: Principals;
  scmSite(webApp: Pick<WebApp, "name" | "scmHost">): ScmSite;
  site(webApp: Pick<WebApp, "name" | "url">): SiteClient;
  /** A fresh database token, for `connect` and `token`. */
  databaseToken(): Promise<{ readonly token: string; readonly expiresOn: Date }>;
}

/** Asks one ARM token to learn who is calling; makes no other request. */
export async function openCloud(_context: CloudContext): Promise<Cloud> {
  throw new Error("not written yet");
}
