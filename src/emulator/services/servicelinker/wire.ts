import { createHash } from "node:crypto";
import { armError } from "../../http/arm-error.ts";
import type { Operation } from "../../operations.ts";
import {
  type ClientType,
  type ConfigurationInfo,
  clientTypes,
  databaseOf,
  type Linker,
  type LinkerAuth,
  type LinkerProperties,
  type PublicNetworkSolution,
  type Setting,
} from "./model.ts";

/** From here on `userName`, `authMode`, `publicNetworkSolution`, `configurationInfo` exist and GET shows `systemData`. */
const FIRST_WITH_USER_NAME = "2022-11-01-preview";
/** From here on the status URL is signed, carries its own api-version, and validation answers are structured. */
const FIRST_SIGNED = "2023-04-01-preview";
/** The api-version in signed status URLs (recorded). */
export const STATUS_API_VERSION = "2021-01-01-privatepreview";

function hasUserName(apiVersion: string): boolean {
  return apiVersion >= FIRST_WITH_USER_NAME;
}

export function isSignedVersion(apiVersion: string): boolean {
  return apiVersion >= FIRST_SIGNED;
}

/** Properties and the secret's value, which must not be kept with them. */
export interface LinkerRequest {
  readonly properties: LinkerProperties;
  readonly secret: string | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads a PUT body (azure-rest-api-specs servicelinker 2022-05-01, 2024-04-01). Throws 400; the codes are inferred but for
 * `TargetTypeNotSupported`, and 501 for kinds of authentication that local Azure does not carry out.
 */
export function linkerFromWire(body: unknown, apiVersion: string): LinkerRequest {
  const properties = fields(fields(body).properties);
  const target = fields(properties.targetService);
  const id = typeof target.id === "string" ? target.id : "";
  checkTarget(id);
  const auth = authFromWire(fields(properties.authInfo), apiVersion);
  return {
    properties: {
      targetService: { type: "AzureResource", id },
      authInfo: auth.info,
      clientType: clientTypeFrom(properties.clientType),
      secretStore: objectOrNull(properties.secretStore),
      vNetSolution: objectOrNull(properties.vNetSolution),
      scope: textOrNull(properties.scope),
      publicNetworkSolution: hasUserName(apiVersion) ? networkFromWire(properties.publicNetworkSolution) : null,
      configurationInfo: hasUserName(apiVersion) ? configurationFromWire(properties.configurationInfo) : null,
    },
    secret: auth.secret,
  };
}

function checkTarget(id: string): void {
  if (databaseOf(id)) return;
  const type = /\/providers\/([^/]+)\/(.+)$/i.exec(id);
  if (!type?.[1] || !type[2]) throw invalid("properties.targetService.id", "it must be the resource ID of a database");
  const types = type[2].split("/").filter((_, index) => index % 2 === 0);
  const name = [type[1], ...types].join("/").toUpperCase();
  throw armError(400, "TargetTypeNotSupported", `Target resource type ${name} is not supported.`);
}

function authFromWire(auth: Fields, apiVersion: string): { info: LinkerAuth; secret: string | undefined } {
  if (auth.authType === "systemAssignedIdentity" || auth.authType === "userAssignedIdentity") {
    return { info: identityFromWire(auth, auth.authType, apiVersion), secret: undefined };
  }
  if (auth.authType === "secret") {
    const info = fields(auth.secretInfo);
    if (typeof auth.name !== "string" || typeof info.value !== "string")
      throw invalid("properties.authInfo", "name and secretInfo.value are required");
    return { info: { authType: "secret", name: auth.name, secretType: textOrNull(info.secretType) ?? "rawValue" }, secret: info.value };
  }
  const others = ["servicePrincipalSecret", "servicePrincipalCertificate", "accessKey", "userAccount"];
  if (others.includes(String(auth.authType))) {
    throw armError(501, "NotImplementedByLocalAzure", `Local Azure does not carry out linkers with authType ${String(auth.authType)}.`);
  }
  throw invalid("properties.authInfo.authType", "it must be a known kind of authentication");
}

function identityFromWire(auth: Fields, authType: "systemAssignedIdentity" | "userAssignedIdentity", apiVersion: string): LinkerAuth {
  if (auth.userName !== undefined && auth.userName !== null && !hasUserName(apiVersion)) {
    throw invalid("properties.authInfo.userName", `the property is not allowed for ${authType} in api-version ${apiVersion}`);
  }
  const shared = {
    userName: textOrNull(auth.userName),
    authMode: textOrNull(auth.authMode),
    deleteOrUpdateBehavior: textOrNull(auth.deleteOrUpdateBehavior),
  };
  if (authType === "systemAssignedIdentity") return { authType, ...shared };
  const clientId = textOrNull(auth.clientId);
  if (!clientId) throw invalid("properties.authInfo.clientId", "it must be the client ID of the identity");
  return { authType, clientId, subscriptionId: textOrNull(auth.subscriptionId), ...shared };
}

function clientTypeFrom(value: unknown): ClientType {
  if (value === undefined || value === null) return "none";
  const known = clientTypes.find((type) => type.toLowerCase() === String(value).toLowerCase());
  if (known) return known;
  throw invalid("properties.clientType", `PostgreSQL knows ${clientTypes.join(", ")}`);
}

function networkFromWire(value: unknown): PublicNetworkSolution | null {
  if (objectOrNull(value) === null) return null;
  const given = fields(value);
  return {
    firewallRules: objectOrNull(given.firewallRules),
    deleteOrUpdateBehavior: textOrNull(given.deleteOrUpdateBehavior),
    action: textOrNull(given.action),
  };
}

function configurationFromWire(value: unknown): ConfigurationInfo | null {
  if (objectOrNull(value) === null) return null;
  const given = fields(value);
  return {
    customizedKeys: textsOrNull(given.customizedKeys),
    configurationStore: objectOrNull(given.configurationStore),
    additionalConfigurations: textsOrNull(given.additionalConfigurations),
    additionalConnectionStringProperties: textsOrNull(given.additionalConnectionStringProperties),
    deleteOrUpdateBehavior: textOrNull(given.deleteOrUpdateBehavior),
    action: textOrNull(given.action),
    daprProperties: objectOrNull(given.daprProperties),
  };
}

/** What a linker's stored properties look like in a PUT body, for PATCH to merge into. Holds no secret. */
export function propertiesToBody({ properties }: Linker): Fields {
  const { authInfo } = properties;
  const auth =
    authInfo.authType === "secret"
      ? { authType: "secret", name: authInfo.name, secretInfo: { secretType: authInfo.secretType } }
      : authInfo;
  return { ...properties, authInfo: auth };
}

/** PUT answers and GET answers, as recorded: explicit nulls, the type in lower case, `systemData` not in a GET of 2022-05-01. */
export function linkerToWire(linker: Linker, apiVersion: string, kind: "put" | "get"): object {
  const { properties } = linker;
  const isNew = hasUserName(apiVersion);
  return {
    id: linker.id,
    name: linker.name,
    type: "microsoft.servicelinker/linkers",
    ...(kind === "put" || isNew ? { systemData: systemData(linker) } : {}),
    properties: {
      provisioningState: linker.provisioningState,
      targetService: { id: properties.targetService.id, resourceProperties: null, type: "AzureResource" },
      authInfo: authToWire(properties.authInfo, isNew),
      vNetSolution: properties.vNetSolution && { type: null, deleteOrUpdateBehavior: null, ...properties.vNetSolution },
      clientType: properties.clientType,
      secretStore: properties.secretStore && {
        keyVaultId: null,
        ...(isNew ? { keyVaultSecretName: null } : {}),
        ...properties.secretStore,
      },
      scope: properties.scope,
      ...(isNew
        ? { publicNetworkSolution: properties.publicNetworkSolution, configurationInfo: configurationToWire(properties.configurationInfo) }
        : {}),
    },
  };
}

function authToWire(auth: LinkerAuth, isNew: boolean): object {
  if (auth.authType === "secret") return { name: auth.name, secretInfo: { secretType: auth.secretType }, authType: "secret" };
  const identity = auth.authType === "userAssignedIdentity" ? { clientId: auth.clientId, subscriptionId: auth.subscriptionId } : {};
  if (!isNew) return { authType: auth.authType, ...identity };
  return {
    ...identity,
    roles: null,
    userName: auth.userName,
    authType: auth.authType,
    deleteOrUpdateBehavior: auth.deleteOrUpdateBehavior,
    authMode: auth.authMode,
  };
}

function configurationToWire(info: ConfigurationInfo | null): object | null {
  return info && { ...info, configurationStore: info.configurationStore && { appConfigurationId: null, ...info.configurationStore } };
}

function systemData(linker: Linker): object {
  return {
    createdBy: linker.createdBy,
    createdByType: linker.createdByType,
    createdAt: ticks(linker.createdAt),
    lastModifiedBy: linker.createdBy,
    lastModifiedByType: linker.createdByType,
    lastModifiedAt: ticks(linker.modifiedAt),
  };
}

/** `listConfigurations`: two fields on 2022, five since 2023 (recorded, specification). */
export function settingsToWire(settings: readonly Setting[], apiVersion: string): object {
  const more = isSignedVersion(apiVersion) ? { configType: "Default", keyVaultReferenceIdentity: null, description: null } : {};
  return { configurations: settings.map(({ name, value }) => ({ name, value, ...more })) };
}

/** `{guid}*{64 hex}`: the star is literal. */
export function operationName(operation: Operation): string {
  const hash = createHash("sha256")
    .update(operation.resourceId.split("/")[2]?.toLowerCase() ?? "")
    .digest("hex");
  return `${operation.id}*${hash.toUpperCase()}`;
}

/** The status document, recorded for 2022-05-01 and 2023-04-01-preview; `error` follows ARM's norm. */
export function statusToWire(operation: Operation, path: string, apiVersion: string): object {
  const shared = { id: path, name: operationName(operation), resourceId: operation.resourceId };
  const startTime = ticks(operation.startTime);
  if (operation.status === "InProgress") return { ...shared, status: "Accepted", startTime };
  const endTime = ticks(operation.endTime ?? operation.startTime);
  if (operation.error) return { ...shared, status: "Failed", startTime, endTime, error: operation.error };
  const nothing = operation.kind === "servicelinker/delete" ? null : isSignedVersion(apiVersion) ? { Message: null } : {};
  return { ...shared, status: "Succeeded", startTime, endTime, properties: operation.result ?? nothing };
}

/** `result`: 0 success, as recorded; 1 failure and 2 warning are inferred. */
export interface ValidationItem {
  readonly name: string;
  readonly description: string | null;
  readonly result: "success" | "failure" | "warning";
}

/** The verdict of validateLinker: JSON text in `message` (2022), or in `Message` beside structured fields (since 2023). */
export function validationToWire(
  linker: Linker,
  items: readonly ValidationItem[],
  times: { readonly start: string; readonly end: string },
  apiVersion: string,
): object {
  const isNew = isSignedVersion(apiVersion);
  const isConnectionAvailable = items.every(({ result }) => result !== "failure");
  const { authType } = linker.properties.authInfo;
  const text = JSON.stringify({
    ConnectionName: linker.name,
    IsConnectionAvailable: isConnectionAvailable,
    ValidationDetail: items.map(({ name, description, result }) => ({
      Name: name,
      Description: description,
      Result: ["success", "failure", "warning"].indexOf(result),
    })),
    ReportStartTimeUtc: ticks(times.start),
    ReportEndTimeUtc: ticks(times.end),
    SourceId: isNew ? null : linker.sourceId,
    TargetId: isNew ? null : linker.properties.targetService.id,
    // 4 was recorded for a secret; 0 for an identity is inferred.
    AuthType: isNew ? authType : authType === "secret" ? 4 : 0,
  });
  if (!isNew) return { message: text };
  return {
    Message: text,
    linkerName: linker.name,
    isConnectionAvailable,
    validationDetail: items,
    reportStartTimeUtc: ticks(times.start),
    reportEndTimeUtc: ticks(times.end),
    sourceId: null,
    targetId: null,
    authType,
  };
}

/** As recorded: the last group begins with the second of the last write, in hex. */
export function etagOf(modifiedAt: string): string {
  const seconds = Math.floor(Date.parse(modifiedAt) / 1000).toString(16);
  return `"6a006155-0000-0100-0000-${seconds.padStart(8, "0")}0000"`;
}

/** Seven digits of a second, as .NET prints them. */
function ticks(iso: string): string {
  return iso.replace(/\.(\d{3})Z$/, ".$10000Z");
}

function invalid(what: string, why: string) {
  return armError(400, "InvalidRequestContent", `The value of '${what}' is not valid: ${why}.`);
}

function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

function objectOrNull(value: unknown): object | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : null;
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function textsOrNull(value: unknown): Record<string, string> | null {
  const object = objectOrNull(value);
  return object && Object.fromEntries(Object.entries(object).map(([key, text]) => [key, String(text)]));
}
