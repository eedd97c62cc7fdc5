/** Everything about a site that its containers depend on; read anew at each start. */
export interface AppDescription {
  readonly siteId: string;
  readonly siteName: string;
  readonly resourceGroup: string;
  readonly subscriptionId: string;
  readonly regionName: string;
  readonly sku: string;
  readonly hostName: string;
  readonly linuxFxVersion: string;
  readonly appCommandLine: string;
  readonly appSettings: Readonly<Record<string, string>>;
  readonly connectionStrings: Readonly<Record<string, { readonly value: string; readonly type: string }>>;
  readonly isHttpLogging: boolean;
  readonly hasIdentity: boolean;
  /** How many instances the plan pays for. */
  readonly instanceCount: number;
  /** The deployed content; absent before the first deployment. */
  readonly appFolder?: string;
  /** The site's `/home`. */
  readonly homeFolder: string;
  /** Holds the programs a worker image gives to the app (`python`, `node`, …). */
  readonly binFolder: string;
}

/** A site that something was deployed to. */
export type DeployedApp = AppDescription & { readonly appFolder: string };
