import { createHash } from "node:crypto";
import { parseResourceId } from "../base/resource-id.ts";
import type { SiteAddress } from "../base/site-address.ts";

/**
 * Azure's name rules. Each answers with what is wrong, or `undefined` when the name may be used.
 * The SDKs do not enforce these rules themselves.
 */
type NameRule = (name: string) => string | undefined;

const rule =
  (pattern: RegExp, says: string): NameRule =>
  (name) =>
    pattern.test(name) ? undefined : says;

/** Flexible server: the service refuses upper case, `.`, `_`, and a hyphen at either end. */
export const checkServerName = rule(
  /^(?=.{3,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])$/,
  "3-63 lower-case letters, digits or hyphens, no hyphen at either end",
);

/** Web app: 2-60 letters, digits, hyphens; the name becomes a host name. */
export const checkSiteName = rule(
  /^(?=.{2,60}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])$/,
  "2-60 letters, digits or hyphens, no hyphen at either end",
);

export const checkResourceGroupName: NameRule = (name) =>
  /^[\p{L}\p{N}._()-]{1,90}$/u.test(name) && !name.endsWith(".") ? undefined : "1-90 letters, digits, . _ - ( ), not ending in a dot";

/** System databases are never ours to make or drop. */
export const checkDatabaseName: NameRule = (name) => {
  if (["azure_maintenance", "azure_sys", "template0", "template1"].includes(name)) return "is a system database";
  return /^[A-Za-z_][A-Za-z0-9_-]{0,62}$/.test(name) ? undefined : "1-63 letters, digits, _ or -, beginning with a letter or _";
};

/** User-assigned identity: its resource ID, or a name of 3-128 letters, digits, hyphens and underscores (Azure's resource name rules). */
export const checkIdentity: NameRule = (identity) => {
  const name = /^[A-Za-z0-9][A-Za-z0-9_-]{2,127}$/;
  if (!identity.includes("/"))
    return name.test(identity) ? undefined : "3-128 letters, digits, hyphens or underscores, beginning with a letter or digit";
  const parsed = parseResourceId(identity);
  const [type, own = "", ...more] = parsed?.path ?? [];
  const isIdentity = parsed?.namespace.toLowerCase() === "microsoft.managedidentity" && type?.toLowerCase() === "userassignedidentities";
  return isIdentity && name.test(own) && more.length === 0 ? undefined : "is not the resource ID of a user-assigned identity";
};

/**
 * App settings of the project file: those that say where the database is and who the app is are this tool's, the connector's or the platform's.
 * `DB_PORT` (a pool's) and `AZURE_CLIENT_ID` (an identity for something else) may be chosen.
 */
export const checkSettingName: NameRule = (name) =>
  /^(DB_(HOST|NAME|USER|CLIENT_ID)|AZURE_POSTGRESQL_\w+|(IDENTITY|MSI)_(ENDPOINT|HEADER|SECRET))$/i.test(name)
    ? "is set for you; the app would look for its database or its token elsewhere"
    : undefined;

/** Folder name → project name: `My Shop!` → `my-shop`; `app` when nothing is left. */
export function projectNameFrom(text: string): string {
  const name = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^[^a-z]+|-+$/g, "")
    .slice(0, 30)
    .replace(/-+$/, "");
  return name.length >= 2 ? name : "app";
}

/** Four letters or digits that are the same for the same seed. */
export function suffixFrom(seed: string): string {
  const alphabet = "abcdefghijkmnpqrstuvwxyz23456789";
  return [...createHash("sha256").update(seed).digest().subarray(0, 4)].map((byte) => alphabet[byte % alphabet.length]).join("");
}

/** Names that the project file need not say. Those of a slot are its app's with the slot's behind (`SiteAddress.slot`). */
export function siteNameFrom(project: string, app: string, suffix: string): string {
  return `${project}-${app}-${suffix}`;
}

export function planNameFrom({ app }: SiteAddress): string {
  return `${app}-plan`;
}

/** The database role of a site, from which its identity is seen in the server. */
export function roleNameFrom({ app, slot }: SiteAddress): string {
  return slot === undefined ? app : `${app}-${slot}`;
}

/** `api`, `api/staging`: short name of a site in steps, checks and output. */
export function siteLabel(appKey: string, { slot }: SiteAddress): string {
  return slot === undefined ? appKey : `${appKey}/${slot}`;
}

/** Service Connector takes letters, digits, `.` and `_`, and no hyphen. */
export function linkerNameFrom(appKey: string): string {
  return `postgres_${appKey.replace(/[^A-Za-z0-9._]/g, "_")}`;
}
