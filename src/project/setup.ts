import { resolve } from "node:path";
import type { ErrorObject } from "ajv";
import type { AccessLevel } from "../base/access-level.ts";
import { KnownError } from "../base/errors.ts";
import { parseResourceId } from "../base/resource-id.ts";
import { checkDatabaseSecret } from "./database-secret.ts";
import type { AppPart, ProjectFile } from "./file.ts";
import {
  checkDatabaseName,
  checkIdentity,
  checkResourceGroupName,
  checkServerName,
  checkSettingName,
  checkSiteName,
  linkerNameFrom,
} from "./names.ts";

/** Everything wanted, as plain data: defaults taken, names derived and checked. */
export interface Setup {
  readonly name: string;
  /** Value of the ownership tag on everything this project creates; two projects on one server have two. */
  readonly owner: string;
  /** Short name: `eastus`. */
  readonly location: string;
  readonly resourceGroup: string;
  readonly server: {
    readonly name: string;
    readonly version: string;
    readonly sku: string;
    readonly tier: string;
    readonly storageGb: number;
    readonly firewall: "azure-services" | "app-addresses";
    /** What the file leaves open: the default counts for a new server only, one that is there is taken as it is. */
    readonly unspecified: readonly ("location" | "version" | "sku" | "storageGb")[];
  };
  readonly database: string;
  readonly apps: readonly AppSetup[];
}

export interface AppSetup {
  readonly key: string;
  readonly name: string;
  /** `linuxFxVersion` as Azure writes it: `PYTHON|3.12`. */
  readonly runtime: string;
  /** Absolute. */
  readonly folder: string;
  /** `isOpen`: the file names no SKU, so a plan that is there keeps its own. */
  readonly plan: { readonly name: string; readonly sku: string; readonly tier: string; readonly isSkuUnspecified: boolean };
  readonly access: AccessLevel;
  /** Empty: the platform's own detection decides. */
  readonly startup: string;
  /** Empty: no health check is configured. */
  readonly health: string;
  /**
   * The user-assigned identity: its resource ID (somebody else's, taken as it is) or a name in the project's resource group (made where it is
   * absent). Without it the app has its system-assigned one.
   */
  readonly identity?: string;
  /** The database role, named as the app. */
  readonly role: string;
  readonly linker: string;
  readonly clientType: "python" | "nodejs";
  readonly settings: Readonly<Record<string, string>>;
  /** Files that are packed although they look like keys; paths in `folder`. */
  readonly include: readonly string[];
}

/** What is found out about an app's folder, to fill in what the file leaves open. */
export interface DetectedApp {
  readonly runtime?: string;
  readonly startup?: string;
  readonly health?: string;
}

/** What an environment says to take back an identity that the file gives its app. */
const systemAssigned = "system";

/** Name of the tag on everything this project creates; its value is `Setup.owner`. */
export const ownerTag = "passwordless-pg";

/** Begins the tag with which a project says on somebody else's server that it works there; the project's name follows. */
export const adoptionTagPrefix = `${ownerTag}-`;

/**
 * Checks the file against the schema and Azure's name rules and fills in every default. Pure.
 * Throws one `KnownError` "project/invalid" that lists all problems.
 */
export function createSetup(
  file: unknown,
  context: {
    readonly folder: string;
    /** Replaces the parts of `environments.<name>`. */
    readonly environment?: string | undefined;
    /** Four characters for names that must be globally unique and are not in the file yet. */
    readonly suffix: string;
    readonly detected: Readonly<Record<string, DetectedApp>>;
    readonly validate: (file: unknown) => readonly ErrorObject[];
  },
): Setup {
  const problems = context.validate(file).map(describeSchemaError);
  if (problems.length > 0) throw invalid(problems);
  const merged = withEnvironment(file as ProjectFile, context.environment, problems);
  const location = (merged.location ?? "eastus").replace(/\s+/g, "").toLowerCase();
  const server = {
    name: merged.server?.name ?? `${merged.name}-db-${context.suffix}`,
    version: merged.server?.version ?? "16",
    sku: merged.server?.sku ?? "Standard_B1ms",
    tier: serverTier(merged.server?.sku ?? "Standard_B1ms"),
    storageGb: merged.server?.storageGb ?? 32,
    firewall: merged.server?.firewall ?? ("azure-services" as const),
    unspecified: unspecifiedFields(merged),
  };
  const environmentPart = context.environment ? `-${context.environment}` : "";
  const resourceGroup = merged.resourceGroup ?? `rg-${merged.name}${environmentPart}`;
  const database = merged.database ?? merged.name.replaceAll("-", "_");
  const apps = Object.entries(merged.apps ?? { api: {} }).map(([key, part]) => appSetup(key, part, merged.name, context, problems));

  const check = (where: string, wrong: string | undefined): void => void (wrong && problems.push(`${where}: ${wrong}`));
  check(`resourceGroup "${resourceGroup}"`, checkResourceGroupName(resourceGroup));
  check(`server.name "${server.name}"`, checkServerName(server.name));
  check(`database "${database}"`, checkDatabaseName(database));
  for (const app of apps) {
    check(`apps.${app.key}.name "${app.name}"`, checkSiteName(app.name));
    if (app.identity !== undefined) check(`apps.${app.key}.identity "${app.identity}"`, checkIdentity(app.identity));
    for (const [name, value] of Object.entries(app.settings)) {
      check(`apps.${app.key}.settings.${name}`, checkSettingName(name) ?? checkDatabaseSecret(name, value));
    }
  }
  problems.push(...unequalSharers(apps, resourceGroup));
  for (const name of duplicatesOf(apps.map((app) => app.name.toLowerCase()))) problems.push(`apps: two apps are named "${name}"`);
  if (problems.length > 0) throw invalid(problems);
  return { name: merged.name, owner: `${merged.name}/${server.name}`, location, resourceGroup, server, database, apps };
}

const NO_APP = "says what kind of app it is";

function appSetup(
  key: string,
  part: AppPart,
  project: string,
  context: { folder: string; suffix: string; detected: Readonly<Record<string, DetectedApp>> },
  problems: string[],
): AppSetup {
  const detected = member(context.detected, key) ?? {};
  const runtime = part.runtime ?? detected.runtime;
  if (!runtime) {
    problems.push(`apps.${key}.runtime: nothing in ${part.path ?? "."} ${NO_APP}; set it, for example "python|3.12" or "node|22-lts"`);
  }
  const name = part.name ?? `${project}-${key}-${context.suffix}`;
  const planSku = part.plan ?? "B1";
  const isPython = !runtime?.startsWith("node");
  return {
    key,
    name,
    runtime: (runtime ?? "").replace(/^(python|node)\|/, (kind) => kind.toUpperCase()),
    folder: resolve(context.folder, part.path ?? "."),
    plan: { name: `${name}-plan`, sku: planSku, tier: planTier(planSku), isSkuUnspecified: part.plan === undefined },
    access: part.access ?? "owner",
    startup: part.startup ?? detected.startup ?? "",
    health: part.health ?? detected.health ?? "",
    ...identityOf(part),
    role: name,
    linker: linkerNameFrom(key),
    clientType: isPython ? "python" : "nodejs",
    settings: part.settings ?? {},
    include: part.include ?? [],
  };
}

/** The file with the names that must be globally unique written in, so that they never change again. */
export function withNames(file: ProjectFile, setup: Setup, environment?: string): ProjectFile {
  const server = { ...file.server, name: setup.server.name };
  const apps = Object.fromEntries(setup.apps.map((app) => [app.key, { ...file.apps?.[app.key], name: app.name }]));
  if (!environment) return { ...file, server, apps };
  const own = file.environments?.[environment];
  return {
    ...file,
    environments: {
      ...file.environments,
      [environment]: {
        ...own,
        server: { ...own?.server, name: setup.server.name },
        apps: Object.fromEntries(setup.apps.map((app) => [app.key, { ...own?.apps?.[app.key], name: app.name }])),
      },
    },
  };
}

function withEnvironment(file: ProjectFile, environment: string | undefined, problems: string[]): ProjectFile {
  if (!environment) return file;
  const own = member(file.environments, environment);
  if (!own) {
    problems.push(
      `environments.${environment}: is not in the file (there are: ${Object.keys(file.environments ?? {}).join(", ") || "none"})`,
    );
    return file;
  }
  // An environment shares nothing that is globally unique with the others: their names count for themselves only.
  const appKeys = new Set([...Object.keys(file.apps ?? { api: {} }), ...Object.keys(own.apps ?? {})]);
  const apps = [...appKeys].map((key) => [key, { ...without(member(file.apps, key) ?? {}, "name"), ...member(own.apps, key) }] as const);
  const { resourceGroup: _shared, ...rest } = file;
  return { ...rest, ...own, server: { ...without(file.server ?? {}, "name"), ...own.server }, apps: Object.fromEntries(apps) };
}

/** Only what the object itself holds: `constructor` may be a name, too. */
function member<T>(all: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return all && Object.hasOwn(all, name) ? all[name] : undefined;
}

function without<T extends object, K extends keyof T>(value: T, key: K): Omit<T, K> {
  const { [key]: _left, ...rest } = value;
  return rest;
}

function identityOf({ identity }: AppPart): Pick<AppSetup, "identity"> {
  return identity === undefined || identity.toLowerCase() === systemAssigned ? {} : { identity: identity.replace(/\/+$/, "") };
}

/** Whoever has an identity may sign in as any of its roles: apps that share one must be allowed the same. */
function unequalSharers(apps: readonly AppSetup[], resourceGroup: string): string[] {
  const named = apps.flatMap(({ key, access, identity }) =>
    identity ? [{ key, access, identity: plainly(identity, resourceGroup) }] : [],
  );
  return named.flatMap(({ key, access, identity }, index) => {
    const other = named.slice(0, index).find((one) => one.identity === identity && one.access !== access);
    if (!other) return [];
    return [
      `apps: ${other.key} ("${other.access}") and ${key} ("${access}") share an identity, and each could sign in as the other; give them the same access, or each its own identity`,
    ];
  });
}

/** `group/name` of an identity, to compare. */
function plainly(identity: string, resourceGroup: string): string {
  const parsed = parseResourceId(identity);
  return (parsed ? `${parsed.resourceGroup}/${parsed.path.at(-1)}` : `${resourceGroup}/${identity}`).toLowerCase();
}

function duplicatesOf(names: readonly string[]): Set<string> {
  return new Set(names.filter((name, index) => names.indexOf(name) !== index));
}

function unspecifiedFields({ location, server }: ProjectFile): Setup["server"]["unspecified"] {
  const given = { location, version: server?.version, sku: server?.sku, storageGb: server?.storageGb };
  return (["location", "version", "sku", "storageGb"] as const).filter((field) => given[field] === undefined);
}

function serverTier(sku: string): string {
  if (sku.startsWith("Standard_B")) return "Burstable";
  return sku.startsWith("Standard_E") ? "MemoryOptimized" : "GeneralPurpose";
}

function planTier(sku: string): string {
  if (sku === "F1") return "Free";
  if (sku.startsWith("B")) return "Basic";
  if (sku.startsWith("S")) return "Standard";
  const version = sku.slice(-1);
  return sku.includes("mv") ? `PremiumMV${version}` : `PremiumV${version}`;
}

/** What is shown of all problems, and of one. */
const SHOWN_PROBLEMS = 50;
const SHOWN_LENGTH = 300;

function describeSchemaError(error: ErrorObject): string {
  const where = error.instancePath.slice(1).replaceAll("/", ".") || "the file";
  const { params } = error as { params: Record<string, unknown> };
  if (error.keyword === "additionalProperties") return `${where}: unknown key "${String(params.additionalProperty)}"`;
  if (error.keyword === "required") return `${where}: "${String(params.missingProperty)}" is missing`;
  if (error.keyword === "enum") return `${where}: must be one of ${(params.allowedValues as unknown[]).join(", ")}`;
  if (error.propertyName !== undefined) return `${where}: the name "${error.propertyName}" must match ${String(params.pattern)}`;
  if (error.keyword === "pattern") return `${where}: must match ${String(params.pattern)}`;
  return `${where}: ${error.message ?? "is not as the schema says"}`;
}

function invalid(problems: readonly string[]): KnownError {
  const shown = problems
    .slice(0, SHOWN_PROBLEMS)
    .map((problem) => (problem.length > SHOWN_LENGTH ? `${problem.slice(0, SHOWN_LENGTH)}…` : problem).replaceAll("\n", " "));
  const more = problems.length > SHOWN_PROBLEMS ? [`and ${problems.length - SHOWN_PROBLEMS} more`] : [];
  const list = [...shown, ...more].map((problem) => `  - ${problem}`).join("\n");
  return new KnownError("project/invalid", `the project file has ${problems.length} problem${problems.length === 1 ? "" : "s"}:\n${list}`, {
    hint: problems.some((problem) => problem.includes(NO_APP))
      ? "name the folder of your app, or begin with one of ours: `passwordless-pg init --template fastapi`"
      : "correct passwordless-pg.json; its $schema tells an editor what each part may be",
  });
}
