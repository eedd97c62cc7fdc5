import type { Clock } from "../base/clock.ts";
import type { TokenClaims } from "../base/jwt.ts";
import type { HomeFolders } from "./home.ts";
import type { Certificates } from "./http/certificates.ts";
import type { Faults } from "./http/faults.ts";
import type { Hosts } from "./http/hosts.ts";
import type { Route } from "./http/router.ts";
import type { OnTraffic } from "./http/traffic.ts";
import type { Operations } from "./operations.ts";
import type { Store } from "./store.ts";

/** What every service of local Azure stands on. Built once in `emulator.ts`; services get it whole and use what they need. */
export interface Platform {
  readonly home: HomeFolders;
  readonly clock: Clock;
  readonly store: Store;
  readonly operations: Operations;
  readonly directory: Directory;
  readonly tokens: Tokens;
  readonly access: Access;
  readonly certificates: Certificates;
  readonly endpoints: Endpoints;
  readonly hosts: Hosts;
  readonly faults: Faults;
  readonly onTraffic?: OnTraffic | undefined;
  /** Loopback addresses count as the internet and not as inside Azure. */
  readonly isCallerOutside: boolean;
  /** One line to local Azure's own log (`local logs`). Never a token. */
  log(line: string): void;
  /** The same, told also to whoever starts local Azure: what is not as it was, and what to do. */
  tell(line: string): void;
}

export interface Endpoints {
  /** `https://localhost:PORT`, no slash at the end. */
  readonly resourceManager: string;
  readonly authority: string;
  readonly tenantId: string;
  readonly subscriptionId: string;
}

/** Tokens are issued for these audiences. The values are Azure's public ones, so that unmodified code works. */
export const audiences = {
  resourceManager: ["https://management.azure.com", "https://management.core.windows.net"],
  postgres: ["https://ossrdbms-aad.database.windows.net"],
  appService: ["https://appservice.azure.com"],
} as const;

type PrincipalType = "User" | "Group" | "ServicePrincipal";

/** An object of the tenant. A managed identity is a `ServicePrincipal` with `managedIdentityOf`. */
export interface DirectoryPrincipal {
  readonly objectId: string;
  readonly type: PrincipalType;
  readonly displayName: string;
  /** Users: `ana@contoso.example`. */
  readonly userPrincipalName?: string;
  /** Service principals: application (client) ID. */
  readonly appId?: string;
  /** Resource ID of the site (or slot) whose system-assigned identity this is, or of the user-assigned identity. */
  readonly managedIdentityOf?: string;
  /** Groups: object IDs. */
  readonly members?: readonly string[];
}

/** The Entra tenant's objects. */
export interface Directory {
  find(objectId: string): DirectoryPrincipal | undefined;
  findByAppId(appId: string): DirectoryPrincipal | undefined;
  /** By UPN, else by display name: what `pgaadauth_create_principal` resolves. More than one is possible. */
  findByName(name: string): readonly DirectoryPrincipal[];
  list(): readonly DirectoryPrincipal[];
  /** The managed identity of a resource. */
  findByResource(resourceId: string): DirectoryPrincipal | undefined;
  /** A fresh object ID and app ID for a managed identity. */
  createManagedIdentity(resourceId: string, displayName: string): DirectoryPrincipal;
  remove(objectId: string): void;
  groupsOf(objectId: string): readonly string[];
  onChange(listener: () => void): void;
}

export type TokenRefusal = "malformed" | "signature" | "audience" | "expired" | "not-yet-valid" | "tenant";

export interface Tokens {
  /** An access token for a principal. `lifetimeSeconds` defaults to the one local Azure was started with (3600). */
  mint(principal: DirectoryPrincipal, audience: string, lifetimeSeconds?: number): { token: string; expiresOn: number };
  /** Full check: RS256 signature against our keys, `aud` among `accepted` (a slash at the end is forgiven), `exp`, `nbf`, `tid`. */
  verify(token: string, accepted: readonly string[]): { claims: TokenClaims } | { refusal: TokenRefusal; claims?: TokenClaims };
}

/** What a principal may do over ARM and SCM, by its roles. */
export interface Access {
  /** At a scope (resource ID), by a role there or above it. `action` as Azure names it: `Microsoft.Web/sites/write`. */
  isAllowed(objectId: string, action: string, scope: string): boolean;
  /** Somewhere at the scope or below it. */
  isAllowedBelow(objectId: string, action: string, scope: string): boolean;
}

export interface ResourceSummary {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly location: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly sku?: unknown;
  readonly kind?: string;
}

/** A resource provider (or Entra, or ARM itself). `service.ts` of each folder exports one factory that returns it. */
export interface Service {
  /** `Microsoft.DBforPostgreSQL` */
  readonly namespace: string;
  /** The api-versions its ARM routes answer; empty for services outside ARM. */
  readonly apiVersions: readonly string[];
  /** Versions it answers but does not advertise: Azure's own poll URLs carry some. */
  readonly hiddenApiVersions?: readonly string[];
  /** Routes on the ARM host (or, for Entra, on the authority host, which is the same listener). */
  readonly routes: readonly Route[];
  /** Top-level resources inside a resource group, for its list and for its deletion. */
  resources?(groupId: string): readonly ResourceSummary[];
  /** Replaces the tags of one of them. Throws the service's own `ArmError` when it cannot now. */
  setTags?(resourceId: string, tags: Readonly<Record<string, string>>): void;
  /** Removes everything it has inside a resource group, processes included. */
  removeGroup?(groupId: string): Promise<void>;
  /** Forgets the extension resources it keeps on a resource that was just deleted, or below it. */
  removeExtensions?(resourceId: string): void;
  /** Forgets the roles on a resource whose deletion was accepted, and below it. */
  forgetAccess?(resourceId: string): void;
  /** Takes up from the store: starts the processes that should run. Called after all kinds of operation are defined. */
  start?(): Promise<void>;
  /** Breaks off what could hold up the end for long; `stop` comes when all operations are at rest. */
  ending?(): void;
  /** Ends its processes and listeners; what the store says stays. */
  stop?(): Promise<void>;
}

/** What the other services may ask about sites (Service Connector does). Kept by Microsoft.Web. */
export interface SiteRegistry {
  find(siteId: string): SiteView | undefined;
  /** Replaces the app settings by what `change` makes of them, and restarts app and SCM as a write over ARM does. */
  changeAppSettings(siteId: string, change: (settings: Readonly<Record<string, string>>) => Record<string, string>): void;
  /** Switches the system-assigned identity on when it is off. */
  enableSystemIdentity(siteId: string): { principalId: string };
  /** Assigns a user-assigned identity, by its client ID, when it is not yet. `false` when there is none with this client ID. */
  assignIdentity(siteId: string, clientId: string): boolean;
}

export interface SiteView {
  readonly id: string;
  readonly name: string;
  readonly location: string;
  readonly principalId?: string;
  readonly appSettings: Readonly<Record<string, string>>;
  readonly outboundAddresses: readonly string[];
}

/** What the other services may ask about flexible servers. Kept by Microsoft.DBforPostgreSQL. */
export interface FlexibleServerRegistry {
  find(serverId: string): FlexibleServerView | undefined;
  /** Opens the server to "any Azure service" as Service Connector does (rule 0.0.0.0–0.0.0.0), unless it is open already. */
  allowAzureServices(serverId: string): void;
}

export interface FlexibleServerView {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly databases: readonly string[];
  readonly publicNetworkAccess: "Enabled" | "Disabled";
}
