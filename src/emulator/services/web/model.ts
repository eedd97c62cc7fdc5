import { randomBytes } from "node:crypto";
import { parseResourceId } from "../../../base/resource-id.ts";
import type { DirectoryPrincipal } from "../../platform.ts";
import type { SiteState } from "./site-state.ts";

/** A plan as the store keeps it. */
export interface Plan {
  readonly id: string;
  readonly name: string;
  readonly resourceGroup: string;
  /** As given at create: `eastus`. */
  readonly location: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly sku: PlanSku;
  /** Linux. */
  readonly isReserved: boolean;
  readonly number: number;
  readonly isPerSiteScaling: boolean;
  readonly isElasticScaleEnabled: boolean;
  readonly maximumElasticWorkerCount: number;
  readonly isZoneRedundant: boolean;
  readonly createdTime: string;
}

export interface PlanSku {
  readonly name: string;
  readonly tier: string;
  readonly size: string;
  readonly family: string;
  readonly capacity: number;
}

const TIERS: readonly (readonly [pattern: RegExp, tier: string, maximum: number])[] = [
  [/^F1$/i, "Free", 1],
  [/^D1$/i, "Shared", 1],
  [/^B[1-3]$/i, "Basic", 3],
  [/^S[1-3]$/i, "Standard", 10],
  [/^P[1-3]v2$/i, "PremiumV2", 30],
  [/^P[0-3]v3$/i, "PremiumV3", 30],
  [/^P[1-5]mv3$/i, "PremiumMV3", 30],
  [/^P[0-3]v4$/i, "PremiumV4", 30],
  [/^P[1-5]mv4$/i, "PremiumMV4", 30],
  [/^EP[1-3]$/i, "ElasticPremium", 100],
];

/** `P1V2`, tier left out → name, tier, size, family as Azure writes them; `undefined` for a SKU it does not sell. */
export function normalizeSku(name: string, capacity: number): PlanSku | undefined {
  const found = TIERS.find(([pattern]) => pattern.test(name));
  if (!found) return undefined;
  const own = name
    .toUpperCase()
    .replace(/V(\d)$/, "v$1")
    .replace(/M(?=v)/, "m");
  return { name: own, tier: found[1], size: own, family: own.replace(/\d+(?=m?v|$)/, ""), capacity };
}

export function maximumWorkers(sku: PlanSku): number {
  return TIERS.find(([, tier]) => tier === sku.tier)?.[2] ?? 1;
}

/** Free and Shared plans refuse alwaysOn. */
export function allowsAlwaysOn(sku: PlanSku): boolean {
  return sku.tier !== "Free" && sku.tier !== "Shared";
}

export interface ConnectionString {
  readonly value: string;
  readonly type: string;
}

/** What a site knows of a user-assigned identity. */
export interface AssignedIdentity {
  readonly principalId: string;
  readonly clientId: string;
}

/** The principals of a site's identities. */
export interface SitePrincipals {
  readonly system: DirectoryPrincipal | undefined;
  readonly assigned: readonly DirectoryPrincipal[];
}

export function isUserIdentityId(id: string): boolean {
  const parsed = parseResourceId(id);
  return parsed?.namespace.toLowerCase() === "microsoft.managedidentity" && parsed.path[0]?.toLowerCase() === "userassignedidentities";
}

/** A site as the store keeps it. */
export interface Site {
  readonly id: string;
  readonly name: string;
  readonly resourceGroup: string;
  readonly location: string;
  readonly kind: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly planId: string;
  readonly state: SiteState;
  readonly isHttpsOnly: boolean;
  readonly isClientAffinityEnabled: boolean;
  readonly publicNetworkAccess: string | null;
  /** `config/web` as a client reads it. */
  readonly config: SiteConfig;
  readonly appSettings: Readonly<Record<string, string>>;
  readonly connectionStrings: Readonly<Record<string, ConnectionString>>;
  readonly slotConfigNames: Readonly<Record<string, unknown>>;
  readonly logs: LogsConfig;
  readonly basicPublishing: { readonly scm: boolean; readonly ftp: boolean };
  /** What the password of basic publishing is made from; no secret by itself. */
  readonly publishingSeed: string;
  /** Object ID of the system-assigned identity. */
  readonly principalId?: string;
  /** The user-assigned identities by resource ID, as they were when assigned: one that is made anew under its name is another one. */
  readonly userIdentities?: Readonly<Record<string, AssignedIdentity>>;
  /** Name of the site's folder below `sites`. */
  readonly folder: string;
  /** Folder of the active release, absolute. */
  readonly release?: string;
  readonly ports: { readonly app?: number; readonly scm?: number };
  readonly lastModified: string;
}

/** The members of `config/web` that local Azure acts on; all others are kept as they came. */
export interface SiteConfig {
  readonly linuxFxVersion: string;
  readonly appCommandLine: string;
  readonly alwaysOn: boolean;
  readonly [member: string]: unknown;
}

export interface LogsConfig {
  readonly httpLogs: {
    readonly fileSystem: { readonly enabled: boolean; readonly retentionInMb: number; readonly retentionInDays: number };
    readonly [sink: string]: unknown;
  };
  readonly [member: string]: unknown;
}

/** Values of a new Linux app in 2026 (azure/appservice.md section 2, lab). */
export const defaultConfig: SiteConfig = {
  numberOfWorkers: 1,
  netFrameworkVersion: "v4.0",
  phpVersion: "",
  pythonVersion: "",
  nodeVersion: "",
  powerShellVersion: "",
  linuxFxVersion: "",
  windowsFxVersion: null,
  requestTracingEnabled: false,
  remoteDebuggingEnabled: false,
  httpLoggingEnabled: false,
  logsDirectorySizeLimit: 35,
  detailedErrorLoggingEnabled: false,
  publishingUsername: "REDACTED",
  appSettings: null,
  connectionStrings: null,
  scmType: "None",
  use32BitWorkerProcess: true,
  webSocketsEnabled: false,
  alwaysOn: false,
  appCommandLine: "",
  managedPipelineMode: "Integrated",
  virtualApplications: [{ virtualPath: "/", physicalPath: "site\\wwwroot", preloadEnabled: false, virtualDirectories: null }],
  loadBalancing: "LeastRequests",
  experiments: { rampUpRules: [] },
  autoHealEnabled: false,
  vnetName: "",
  vnetRouteAllEnabled: false,
  publicNetworkAccess: null,
  localMySqlEnabled: false,
  managedServiceIdentityId: null,
  ipSecurityRestrictions: [{ ipAddress: "Any", action: "Allow", priority: 2147483647, name: "Allow all", description: "Allow all access" }],
  scmIpSecurityRestrictions: [
    { ipAddress: "Any", action: "Allow", priority: 2147483647, name: "Allow all", description: "Allow all access" },
  ],
  scmIpSecurityRestrictionsUseMain: false,
  http20Enabled: false,
  minTlsVersion: "1.2",
  scmMinTlsVersion: "1.2",
  ftpsState: "FtpsOnly",
  preWarmedInstanceCount: 0,
  elasticWebAppScaleLimit: 0,
  healthCheckPath: null,
  minimumElasticInstanceCount: 1,
  azureStorageAccounts: {},
};

export const defaultLogs: LogsConfig = {
  applicationLogs: {
    fileSystem: { level: "Off" },
    azureTableStorage: { level: "Off", sasUrl: null },
    azureBlobStorage: { level: "Off", sasUrl: null, retentionInDays: null },
  },
  httpLogs: {
    fileSystem: { retentionInMb: 35, retentionInDays: 0, enabled: false },
    azureBlobStorage: { sasUrl: null, retentionInDays: 3, enabled: false },
  },
  failedRequestsTracing: { enabled: false },
  detailedErrorMessages: { enabled: false },
};

export function newPublishingSeed(): string {
  return randomBytes(16).toString("hex");
}

const STACKS: Readonly<Record<string, RegExp>> = {
  PYTHON: /^3\.(8|9|1[0-4])$/,
  NODE: /^(1[68]|2[0246])(-lts)?$/i,
  PHP: /^8\.[0-4]$/,
  DOTNETCORE: /^([6-9]|10)\.0$/,
  JAVA: /^\d+/,
  TOMCAT: /^\d+/,
  JBOSSEAP: /^\d+/,
  RUBY: /^\d+\.\d+/,
  GO: /^1\.\d+/,
  STATICSITE: /^1\.0$/,
  DOCKER: /./,
};

/** Is it a runtime Azure would accept? The empty text is. */
export function isKnownRuntime(linuxFxVersion: string): boolean {
  if (linuxFxVersion === "") return true;
  const [stack = "", version = ""] = linuxFxVersion.split("|");
  return STACKS[stack.toUpperCase()]?.test(version) ?? false;
}

/** Site names: 2 to 60 of letters, digits and hyphens, none at the ends. */
export function isSiteName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9-]{0,58}[A-Za-z0-9]$/.test(name);
}
