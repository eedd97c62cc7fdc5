/** What a linker is told, in the newest version's words; older versions know a part of it. */
export interface LinkerProperties {
  readonly targetService: { readonly type: "AzureResource"; readonly id: string };
  readonly authInfo: LinkerAuth;
  readonly clientType: ClientType;
  readonly secretStore: object | null;
  readonly vNetSolution: object | null;
  readonly scope: string | null;
  readonly publicNetworkSolution: PublicNetworkSolution | null;
  readonly configurationInfo: ConfigurationInfo | null;
}

/** The three kinds local Azure carries out. The value of a secret is not kept here, only in the settings written. */
export type LinkerAuth =
  | {
      readonly authType: "systemAssignedIdentity";
      readonly userName: string | null;
      readonly authMode: string | null;
      readonly deleteOrUpdateBehavior: string | null;
    }
  | {
      readonly authType: "userAssignedIdentity";
      readonly clientId: string;
      /** Of the identity. */
      readonly subscriptionId: string | null;
      readonly userName: string | null;
      readonly authMode: string | null;
      readonly deleteOrUpdateBehavior: string | null;
    }
  | { readonly authType: "secret"; readonly name: string; readonly secretType: string };

export interface PublicNetworkSolution {
  readonly action: string | null;
  readonly firewallRules: object | null;
  readonly deleteOrUpdateBehavior: string | null;
}

export interface ConfigurationInfo {
  readonly action: string | null;
  readonly customizedKeys: Readonly<Record<string, string>> | null;
  readonly additionalConfigurations: Readonly<Record<string, string>> | null;
  readonly additionalConnectionStringProperties: Readonly<Record<string, string>> | null;
  readonly configurationStore: object | null;
  readonly daprProperties: object | null;
  readonly deleteOrUpdateBehavior: string | null;
}

export const clientTypes = ["none", "dotnet", "java", "python", "go", "php", "ruby", "django", "nodejs", "springBoot"] as const;
export type ClientType = (typeof clientTypes)[number];

export interface Setting {
  readonly name: string;
  readonly value: string;
}

export interface Linker {
  readonly id: string;
  readonly name: string;
  /** Resource ID of the site (or slot). */
  readonly sourceId: string;
  readonly location: string;
  readonly provisioningState: "Accepted" | "Succeeded" | "Failed" | "Deleting";
  readonly properties: LinkerProperties;
  /** Carries its name in its keys, because another connection to PostgreSQL came first. */
  readonly isSecond: boolean;
  /** What it wants in the app settings. */
  readonly settings: readonly Setting[];
  /** Keys it has put there so far. */
  readonly written: readonly string[];
  readonly createdBy: string;
  readonly createdByType: "User" | "Application";
  readonly createdAt: string;
  readonly modifiedAt: string;
}

/** A flexible server's database, from a target ID; `undefined` for any other resource. */
export function databaseOf(targetId: string): { readonly serverId: string; readonly database: string } | undefined {
  const match =
    /^(\/subscriptions\/[^/]+\/resourceGroups\/[^/]+\/providers\/Microsoft\.DBforPostgreSQL\/flexibleServers\/[^/]+)\/databases\/([^/]+)$/i.exec(
      targetId,
    );
  return match?.[1] && match[2] ? { serverId: match[1], database: match[2] } : undefined;
}
