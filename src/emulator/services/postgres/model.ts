import { createHash } from "node:crypto";
import { armError } from "../../http/arm-error.ts";
import type { ServerState } from "./server-state.ts";
import { computeSize, storageSteps } from "./sizes.ts";

type Switch = "Enabled" | "Disabled";

/** A flexible server as local Azure keeps it. No password is in it: only PostgreSQL's verifier of one. */
export interface FlexibleServer {
  readonly id: string;
  readonly name: string;
  /** Of this very creation: another server may have had the ID before, or have it later. */
  readonly generation?: string;
  /** Short form: `eastus`. */
  readonly location: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly sku: { readonly name: string; readonly tier: string };
  readonly version: string;
  readonly createdAt: string;
  readonly state: ServerState;
  readonly administratorLogin?: string;
  readonly administratorVerifier?: string;
  readonly auth: { readonly activeDirectoryAuth: Switch; readonly passwordAuth: Switch; readonly tenantId: string };
  readonly storage: { readonly sizeGb: number; readonly autoGrow: Switch };
  readonly backup: { readonly backupRetentionDays: number; readonly geoRedundantBackup: Switch };
  readonly publicNetworkAccess: Switch;
  readonly highAvailability: string;
  readonly maintenanceWindow: Readonly<Record<string, unknown>>;
  readonly availabilityZone: string;
  /** Given once, when the server is created. */
  readonly maxConnections: number;
  /** Where the gateway listens, on port 5432; chosen anew at each start when somebody else has taken it. */
  readonly address?: string;
  /** It could not be started, and is at the next occasion: nobody stopped it. */
  readonly isWaiting?: boolean;
  /** What users set, by name. */
  readonly parameters: Readonly<Record<string, string>>;
}

export interface Administrator {
  readonly id: string;
  readonly objectId: string;
  readonly principalType: "User" | "Group" | "ServicePrincipal";
  readonly principalName: string;
  readonly tenantId: string;
}

export interface FirewallRule {
  readonly id: string;
  readonly name: string;
  readonly startIpAddress: string;
  readonly endIpAddress: string;
}

export interface Database {
  readonly id: string;
  readonly name: string;
  readonly charset: string;
  readonly collation: string;
}

/** What a PUT or PATCH body may hold; everything is checked before it is believed. */
export interface ServerBody {
  readonly location?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly sku?: { readonly name?: string; readonly tier?: string };
  readonly identity?: { readonly type?: string };
  readonly properties?: {
    readonly createMode?: string;
    readonly administratorLogin?: string;
    readonly administratorLoginPassword?: string;
    readonly version?: string;
    readonly storage?: { readonly storageSizeGB?: number; readonly autoGrow?: string };
    readonly authConfig?: { readonly activeDirectoryAuth?: string; readonly passwordAuth?: string; readonly tenantId?: string };
    readonly backup?: { readonly backupRetentionDays?: number; readonly geoRedundantBackup?: string };
    readonly network?: { readonly publicNetworkAccess?: string };
    readonly highAvailability?: { readonly mode?: string };
    readonly maintenanceWindow?: Readonly<Record<string, unknown>>;
    readonly availabilityZone?: string;
  };
}

export const SYSTEM_DATABASES = ["azure_maintenance", "postgres", "azure_sys"] as const;
/** What local Azure can serve: Azure itself has some older ones as well. */
export const VERSIONS = ["15", "16", "17", "18"] as const;

export const SERVER_NAME_RULE =
  "Specified server name contains unsupported characters or is too long. Server name must be no longer than 63 characters long, contain only lower-case characters or digits, cannot contain '.' or '_' characters and can't start or end with '-' character.";

export function isServerName(name: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9])$/.test(name);
}

export function invalidParameter(message: string) {
  return armError(400, "InvalidParameterValue", message);
}

/**
 * The text itself, when PostgreSQL can hold it as a name or a value. Throws Azure's 400 for control characters (a zero byte ends a text there, a line
 * break ends a setting), lone surrogates, and what is no text. Text of the error inferred.
 */
export function checkedText(value: unknown, parameter: string): string {
  if (typeof value === "string" && !CONTROL.test(value)) return value;
  throw invalidParameter(`Invalid value given for parameter ${parameter}. Specify a valid parameter value.`);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are looked for
const CONTROL = /[\u0000-\u001f\u007f]|\p{Surrogate}/u;

/** A new server from a PUT body. Throws Azure's 400 for what it would not take; codes and texts without a recording are inferred. */
export function newServer(id: string, name: string, body: ServerBody, tenantId: string, createdAt: string): FlexibleServer {
  if (!isServerName(name)) throw invalidParameter(SERVER_NAME_RULE);
  if (!body.location) throw armError(400, "LocationRequired", "The location property is required for this definition.");
  const sku = { name: body.sku?.name ?? "", tier: body.sku?.tier ?? "" };
  const size = computeSize(sku.name);
  return changedServer(
    {
      id,
      name,
      location: body.location.replace(/\s+/g, "").toLowerCase(),
      sku: { name: "", tier: "" },
      version: body.properties?.version ?? "16",
      createdAt,
      state: "Provisioning",
      auth: { activeDirectoryAuth: "Disabled", passwordAuth: "Enabled", tenantId },
      storage: { sizeGb: 32, autoGrow: "Disabled" },
      backup: { backupRetentionDays: 7, geoRedundantBackup: "Disabled" },
      publicNetworkAccess: "Enabled",
      highAvailability: "Disabled",
      maintenanceWindow: { customWindow: "Disabled", dayOfWeek: 0, startHour: 0, startMinute: 0 },
      availabilityZone: "1",
      maxConnections: size?.maxConnections ?? 50,
      parameters: {},
    },
    { ...body, sku },
  );
}

/** The server after a PATCH (or a PUT over it). Throws Azure's 400. Passwords are not looked at here. */
export function changedServer(server: FlexibleServer, body: ServerBody): FlexibleServer {
  const wanted = body.properties ?? {};
  const sku = body.sku ? checkedSku({ ...server.sku, ...body.sku }) : server.sku;
  const version = wanted.version ?? server.version;
  if (!(VERSIONS as readonly string[]).includes(version)) {
    throw armError(
      400,
      "ParameterOutOfRange",
      `The value of the 'Version' should be in: [${VERSIONS.join(",")}]. Verify that the specified parameter value is correct.`,
    );
  }
  if (wanted.administratorLogin && server.administratorLogin && wanted.administratorLogin !== server.administratorLogin) {
    throw invalidParameter("The administrator login cannot be changed."); // text inferred
  }
  const auth = {
    activeDirectoryAuth: toSwitch(wanted.authConfig?.activeDirectoryAuth, server.auth.activeDirectoryAuth, "activeDirectoryAuth"),
    passwordAuth: toSwitch(wanted.authConfig?.passwordAuth, server.auth.passwordAuth, "passwordAuth"),
    tenantId: checkedText(wanted.authConfig?.tenantId || server.auth.tenantId, "tenantId"),
  };
  if (auth.activeDirectoryAuth === "Disabled" && auth.passwordAuth === "Disabled") {
    throw invalidParameter("At least one of Microsoft Entra authentication and password authentication must stay enabled."); // text inferred
  }
  const login = server.administratorLogin ?? wanted.administratorLogin;
  const administratorLogin = login && checkedText(login, "administratorLogin");
  const tags = body.tags ?? server.tags;
  return {
    ...server,
    sku,
    version,
    auth,
    storage: checkedStorage(server, wanted.storage),
    backup: {
      backupRetentionDays: wanted.backup?.backupRetentionDays ?? server.backup.backupRetentionDays,
      geoRedundantBackup: toSwitch(wanted.backup?.geoRedundantBackup, server.backup.geoRedundantBackup, "geoRedundantBackup"),
    },
    publicNetworkAccess: toSwitch(wanted.network?.publicNetworkAccess, server.publicNetworkAccess, "publicNetworkAccess"),
    highAvailability: wanted.highAvailability?.mode ?? server.highAvailability,
    maintenanceWindow: { ...server.maintenanceWindow, ...wanted.maintenanceWindow },
    availabilityZone: wanted.availabilityZone || server.availabilityZone,
    ...(tags ? { tags } : {}),
    ...(administratorLogin ? { administratorLogin } : {}),
  };
}

function checkedSku(sku: { name: string; tier: string }): { name: string; tier: string } {
  const size = computeSize(sku.name);
  if (!size) throw invalidParameter(`Specified SKU '${sku.name}' is not supported in this region.`);
  if (!["Burstable", "GeneralPurpose", "MemoryOptimized"].includes(sku.tier)) {
    throw invalidParameter("Invalid value given for parameter Tier. Specify a valid parameter value.");
  }
  if (size.tier !== sku.tier) throw invalidParameter("Invalid value given for parameter Tier. Specify a valid parameter value.");
  return sku;
}

function checkedStorage(
  server: FlexibleServer,
  wanted: { storageSizeGB?: number; autoGrow?: string } | undefined,
): FlexibleServer["storage"] {
  const sizeGb = wanted?.storageSizeGB ?? server.storage.sizeGb;
  if (!storageSteps.some((step) => step.sizeGb === sizeGb)) {
    throw invalidParameter("Invalid value given for parameter StorageSizeGB. Specify a valid parameter value."); // text inferred
  }
  if (server.state !== "Provisioning" && sizeGb < server.storage.sizeGb) {
    throw invalidParameter("The storage size of a server can only grow."); // text inferred
  }
  return { sizeGb, autoGrow: toSwitch(wanted?.autoGrow, server.storage.autoGrow, "autoGrow") };
}

function toSwitch(wanted: string | null | undefined, otherwise: Switch, parameter: string): Switch {
  if (wanted === undefined || wanted === null || wanted === "") return otherwise;
  const found = (["Enabled", "Disabled"] as const).find((word) => word.toLowerCase() === wanted.toLowerCase());
  if (!found) throw invalidParameter(`Invalid value given for parameter ${parameter}. Specify a valid parameter value.`);
  return found;
}

/** A firewall rule from a PUT body. Throws 400 (texts inferred). */
export function newFirewallRule(
  id: string,
  name: string,
  body: { properties?: { startIpAddress?: string | null; endIpAddress?: string | null } },
): FirewallRule {
  if (!/^[A-Za-z0-9_-]{0,127}[A-Za-z0-9_]$/.test(name)) {
    throw invalidParameter("Invalid value given for parameter firewallRuleName. Specify a valid parameter value.");
  }
  const [startIpAddress, endIpAddress] = [body.properties?.startIpAddress ?? "", body.properties?.endIpAddress ?? ""];
  const [start, end] = [addressNumber(startIpAddress), addressNumber(endIpAddress)];
  if (start === undefined || end === undefined || start > end) {
    const wrong = end === undefined && start !== undefined ? "endIpAddress" : "startIpAddress";
    throw invalidParameter(`Invalid value given for parameter ${wrong}. Specify a valid parameter value.`);
  }
  return { id, name, startIpAddress, endIpAddress };
}

/** Does a rule let this IPv4 address in? Local clients count as inside Azure, which `0.0.0.0`–`0.0.0.0` admits, unless `isOutside`. */
export function admits(rules: readonly FirewallRule[], address: string, isOutside = false): boolean {
  const number = addressNumber(address.replace(/^::ffff:/, ""));
  return rules.some((rule) => {
    if (rule.startIpAddress === "0.0.0.0" && rule.endIpAddress === "0.0.0.0") return !isOutside;
    const [start, end] = [addressNumber(rule.startIpAddress), addressNumber(rule.endIpAddress)];
    return number !== undefined && start !== undefined && end !== undefined && start <= number && number <= end;
  });
}

function addressNumber(address: string): number | undefined {
  const parts = address.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255)) return undefined;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** The n-th loopback address to try for a server; another local Azure on the machine tries others. */
export function candidateAddress(home: string, server: string, attempt: number): string {
  const [a = 0, b = 0, c = 0] = createHash("sha256").update(`${home}\0${server}\0${attempt}`).digest();
  return `127.${1 + (a % 254)}.${b}.${1 + (c % 254)}`;
}

/** The name of a server's folder: of its own, also when an earlier server of the same ID is not removed yet. */
export function folderName({ id, name, generation }: Pick<FlexibleServer, "id" | "name" | "generation">): string {
  const identity = generation ? `${id.toLowerCase()}\0${generation}` : id.toLowerCase();
  return `${name}-${createHash("sha256").update(identity).digest("hex").slice(0, 8)}`;
}
