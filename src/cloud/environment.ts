import type { Hinted } from "./hints.ts";

/** Names of the public clouds. */
type PublicCloud = "public" | "usgov" | "china";

/**
 * The endpoints of one Azure cloud. Real Azure and local Azure differ in these values only. `hints`: what to do instead, where Azure's own places
 * (portal, status page, support, the way there) are not the ones to look at.
 */
export interface Environment extends Hinted {
  readonly name: PublicCloud | "local";
  /** ARM endpoint without a trailing slash, always https. */
  readonly resourceManager: string;
  /** Entra authority host without a trailing slash. */
  readonly authorityHost: string;
  /** `.default` scopes of the three audiences this tool asks tokens for. */
  readonly scopes: { readonly resourceManager: string; readonly postgres: string; readonly appService: string };
  /** Scheme of an app's public URL. */
  readonly siteScheme: "https" | "http";
  /** Domains that the SCM sites of its web apps are below; absent: not known. */
  readonly scmDomains?: readonly string[];
  /** Domains that its database servers are below; absent: not known. */
  readonly postgresDomains?: readonly string[] | undefined;
  /** Extra certificate authority (PEM) trusted for every connection to this environment. */
  readonly caPem?: string;
  /** The authority is not one of Microsoft's, so the SDK must not ask Microsoft about it. */
  readonly hasOwnAuthority?: boolean;
  /** Where answers come sooner, in milliseconds: of one call to ARM and to the authority. By default as long as Azure was seen to take. */
  readonly limits?: { readonly callMs: number; readonly authorityCallMs: number };
  /** Portal address, for links in advice. */
  readonly portal?: string;
}

/**
 * The public clouds; token scopes and domains of servers from the PostgreSQL and App Service documentation of each cloud. The domains of SCM
 * sites outside of the public one are not found in a recording (inferred from the clouds' lists of endpoints).
 */
export const environments: Readonly<Record<PublicCloud, Environment>> = {
  public: {
    name: "public",
    resourceManager: "https://management.azure.com",
    authorityHost: "https://login.microsoftonline.com",
    scopes: {
      resourceManager: "https://management.azure.com/.default",
      postgres: "https://ossrdbms-aad.database.windows.net/.default",
      appService: "https://appservice.azure.com/.default",
    },
    siteScheme: "https",
    scmDomains: ["azurewebsites.net"],
    postgresDomains: ["postgres.database.azure.com"],
    portal: "https://portal.azure.com",
  },
  usgov: {
    name: "usgov",
    resourceManager: "https://management.usgovcloudapi.net",
    authorityHost: "https://login.microsoftonline.us",
    scopes: {
      resourceManager: "https://management.usgovcloudapi.net/.default",
      postgres: "https://ossrdbms-aad.database.usgovcloudapi.net/.default",
      appService: "https://appservice.azure.us/.default",
    },
    siteScheme: "https",
    scmDomains: ["azurewebsites.us"],
    postgresDomains: ["postgres.database.usgovcloudapi.net"],
    portal: "https://portal.azure.us",
  },
  china: {
    name: "china",
    resourceManager: "https://management.chinacloudapi.cn",
    authorityHost: "https://login.chinacloudapi.cn",
    scopes: {
      resourceManager: "https://management.chinacloudapi.cn/.default",
      postgres: "https://ossrdbms-aad.database.chinacloudapi.cn/.default",
      appService: "https://appservice.azure.cn/.default",
    },
    siteScheme: "https",
    scmDomains: ["chinacloudsites.cn"],
    postgresDomains: ["postgres.database.chinacloudapi.cn"],
    portal: "https://portal.azure.cn",
  },
};
