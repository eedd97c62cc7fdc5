import type { BodyShape } from "../../http/body-shape.ts";
import type { IdentityBody } from "./identity-change.ts";

/** The body of a site, its members that local Azure reads (azure-rest-api-specs, specification/web). */
export interface SiteBody {
  readonly location?: string;
  readonly kind?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly identity?: IdentityBody;
  readonly properties?: {
    readonly serverFarmId?: string;
    readonly httpsOnly?: boolean;
    readonly clientAffinityEnabled?: boolean;
    readonly publicNetworkAccess?: string;
    readonly siteConfig?: ConfigBody;
  };
}

/** `siteConfig` of a site, `properties` of `config/web`. */
export type ConfigBody = Readonly<Record<string, unknown>> & {
  readonly appSettings?: readonly { readonly name: string; readonly value: unknown }[] | null;
  readonly connectionStrings?: readonly { readonly name: string; readonly connectionString: string; readonly type: string }[] | null;
};

const configShapeAt = (at: string): BodyShape => ({
  [`${at}linuxFxVersion`]: "text",
  [`${at}appCommandLine`]: "text",
  [`${at}healthCheckPath`]: "text",
  [`${at}alwaysOn`]: "flag",
  [`${at}http20Enabled`]: "flag",
  [`${at}minTlsVersion`]: "text",
  [`${at}ftpsState`]: "text",
  [`${at}numberOfWorkers`]: "number",
  [`${at}appSettings`]: "list",
  [`${at}appSettings.*`]: "object",
  [`${at}appSettings.*.name`]: "text",
  [`${at}appSettings.*.value`]: "scalar",
  [`${at}connectionStrings`]: "list",
  [`${at}connectionStrings.*`]: "object",
  [`${at}connectionStrings.*.name`]: "text",
  [`${at}connectionStrings.*.connectionString`]: "text",
  [`${at}connectionStrings.*.type`]: "text",
});

export const configShape = configShapeAt("properties.");

export const siteShape: BodyShape = {
  "properties.serverFarmId": "text",
  "properties.httpsOnly": "flag",
  "properties.clientAffinityEnabled": "flag",
  "properties.publicNetworkAccess": "text",
  "properties.siteConfig": "object",
  ...configShapeAt("properties.siteConfig."),
};
