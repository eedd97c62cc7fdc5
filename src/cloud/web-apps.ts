import type { NameAvailability } from "./postgres-servers.ts";

export interface AppServicePlan {
  readonly id: string;
  readonly name: string;
  /** Normalised, `eastus`. */
  readonly location: string;
  /** `B1` */
  readonly sku: string;
  /** `Basic` */
  readonly tier: string;
  /** Instances. */
  readonly capacity: number;
  readonly isLinux: boolean;
  readonly numberOfSites: number;
  readonly tags: Readonly<Record<string, string>>;
}

export interface WebApp {
  readonly id: string;
  readonly name: string;
  readonly location: string;
  readonly planId: string;
  /** Default host name, with a port on local Azure. */
  readonly host: string;
  /** Host of the SCM site, from the `Repository` entry of `hostNameSslStates`. */
  readonly scmHost: string;
  readonly url: string;
  /** `Running` or `Stopped`. */
  readonly state: string;
  /** Object ID of the system-assigned identity. */
  readonly principalId?: string;
  readonly tenantId?: string;
  readonly httpsOnly: boolean;
  readonly possibleOutboundAddresses: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
}

/** The parts of `config/web` this tool sets. */
export interface WebAppConfig {
  /** `linuxFxVersion`, `PYTHON|3.12`. */
  readonly runtime: string;
  /** `appCommandLine`; empty when App Service is to find out itself. */
  readonly startup: string;
  readonly alwaysOn: boolean;
  /** `Disabled`, `FtpsOnly`, `AllAllowed`. */
  readonly ftpsState: string;
  readonly minTlsVersion: string;
  readonly scmMinTlsVersion: string;
  /** Empty when no health check is set. */
  readonly healthCheckPath: string;
}

export interface NewPlan {
  readonly location: string;
  readonly sku: string;
  readonly tier?: string;
  readonly capacity?: number;
  readonly tags: Readonly<Record<string, string>>;
}

export interface NewWebApp {
  readonly location: string;
  readonly planId: string;
  readonly config: Partial<WebAppConfig>;
  /** First app settings; may be empty. */
  readonly settings: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
}

export interface WebAppChange {
  readonly httpsOnly?: boolean;
  /** Replaces all tags. */
  readonly tags?: Readonly<Record<string, string>>;
  /** Turns the system-assigned identity on; user-assigned ones stay. */
  readonly systemIdentity?: true;
}

export interface DeploymentStatus {
  /** `BuildInProgress`, `RuntimeStarting`, `RuntimeSuccessful`, … */
  readonly status: string;
  readonly isTerminal: boolean;
  /** Only true for `RuntimeSuccessful`. */
  readonly isOk: boolean;
  readonly instances: { readonly inProgress: number; readonly successful: number; readonly failed: number };
  readonly errors: readonly { readonly code: string; readonly message: string }[];
}

export interface SiteInstance {
  readonly name: string;
  /** `READY`, `STOPPED`, `UNKNOWN` */
  readonly state: string;
}

export type PublishingKind = "scm" | "ftp";

/** App Service plans and web apps of one subscription. */
export interface WebApps {
  getPlan(group: string, name: string): Promise<AppServicePlan | undefined>;
  createPlan(group: string, name: string, desired: NewPlan): Promise<AppServicePlan>;
  /** Changes SKU or number of instances: reads the plan and puts it back whole, since PATCH has no SKU. */
  scalePlan(group: string, name: string, change: { readonly sku?: string; readonly capacity?: number }): Promise<AppServicePlan>;
  deletePlan(group: string, name: string): Promise<void>;

  get(group: string, name: string): Promise<WebApp | undefined>;
  list(group: string): Promise<WebApp[]>;
  /** A Linux web app with a system-assigned identity, HTTPS only. Read back after the write, whose own answer is stale. */
  create(group: string, name: string, desired: NewWebApp): Promise<WebApp>;
  update(group: string, name: string, change: WebAppChange): Promise<WebApp>;
  /** Leaves the plan alone. */
  delete(group: string, name: string): Promise<void>;
  start(group: string, name: string): Promise<void>;
  stop(group: string, name: string): Promise<void>;
  restart(group: string, name: string): Promise<void>;
  checkName(name: string): Promise<NameAvailability>;

  getConfig(group: string, name: string): Promise<WebAppConfig | undefined>;
  updateConfig(group: string, name: string, change: Partial<WebAppConfig>): Promise<WebAppConfig>;
  getSettings(group: string, name: string): Promise<Record<string, string> | undefined>;
  /** Replaces ALL app settings, and recycles the app and its SCM site. */
  putSettings(group: string, name: string, settings: Readonly<Record<string, string>>): Promise<Record<string, string>>;
  getPublishingPolicies(group: string, name: string): Promise<Record<PublishingKind, boolean> | undefined>;
  setPublishingPolicy(group: string, name: string, kind: PublishingKind, isAllowed: boolean): Promise<void>;
  getLogs(group: string, name: string): Promise<{ readonly isFileSystemLoggingOn: boolean } | undefined>;
  enableFileSystemLogging(group: string, name: string): Promise<void>;
  listInstances(group: string, name: string): Promise<SiteInstance[]>;
  /** ARM's view of one deployment, with the start of the new container; `undefined` while ARM does not know it. */
  deploymentStatus(group: string, name: string, deploymentId: string): Promise<DeploymentStatus | undefined>;
}
