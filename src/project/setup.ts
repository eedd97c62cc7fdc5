import type { ErrorObject } from "ajv";
import { parseResourceId } from "../base/resource-id.ts";
import { checkDatabaseSecret } from "./database-secret.ts";
import type { FirewallPolicy, ProjectFile } from "./file.ts";
import { checkDatabaseName, checkIdentity, checkResourceGroupName, checkServerName, checkSettingName, checkSiteName } from "./names.ts";
import { invalidProject, type Problem, schemaProblem } from "./problems.ts";
import { type DetectedApp, type PlanSetup, type SiteSetup, siteSetup } from "./site-setup.ts";

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
    readonly storageGb: number;
    readonly firewall: FirewallPolicy;
    /** What the file leaves open: the default counts for a new server only, one that is there is taken as it is. */
    readonly unspecified: readonly ("location" | "version" | "sku" | "storageGb")[];
  };
  readonly database: string;
  readonly plans: readonly PlanSetup[];
  readonly sites: readonly SiteSetup[];
}

/** An app of the project file: its production site, and its slots. */
interface AppSetup {
  readonly key: string;
  readonly production: SiteSetup;
  readonly slots: readonly SiteSetup[];
}

export function appsOf({ sites }: Pick<Setup, "sites">): AppSetup[] {
  const production = sites.filter(({ address }) => address.slot === undefined);
  return production.map((site) => ({
    key: site.app,
    production: site,
    slots: sites.filter(({ app, address }) => app === site.app && address.slot !== undefined),
  }));
}

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
  const problems = context.validate(file).map(schemaProblem);
  if (problems.length > 0) throw invalidProject(problems);
  const merged = withEnvironment(file as ProjectFile, context.environment, problems);
  const location = (merged.location ?? "eastus").replace(/\s+/g, "").toLowerCase();
  const server = {
    name: merged.server?.name ?? `${merged.name}-db-${context.suffix}`,
    version: merged.server?.version ?? "16",
    sku: merged.server?.sku ?? "Standard_B1ms",
    storageGb: merged.server?.storageGb ?? 32,
    firewall: merged.server?.firewall ?? ("azure-services" as const),
    unspecified: unspecifiedFields(merged),
  };
  const environmentPart = context.environment ? `-${context.environment}` : "";
  const resourceGroup = merged.resourceGroup ?? `rg-${merged.name}${environmentPart}`;
  const database = merged.database ?? merged.name.replaceAll("-", "_");
  const made = Object.entries(merged.apps ?? { api: {} }).map(([key, part]) => {
    const { folder, suffix } = context;
    return siteSetup(key, part, {
      project: merged.name,
      group: resourceGroup,
      folder,
      suffix,
      detected: member(context.detected, key) ?? {},
    });
  });
  const sites = made.map(({ site }) => site);
  problems.push(...made.flatMap((one) => one.problems));
  const setup = {
    ...{ name: merged.name, owner: `${merged.name}/${server.name}`, location, resourceGroup, server, database },
    ...{ plans: made.map(({ plan }) => plan), sites },
  };
  problems.push(...wrongNames(setup), ...unequalSharers(sites, resourceGroup), ...doubledNames(sites));
  if (problems.length > 0) throw invalidProject(problems);
  return setup;
}

/** Azure's name rules, and settings that are not the file's to say. */
function wrongNames({ resourceGroup, server, database, sites }: Setup): Problem[] {
  const problems: Problem[] = [];
  const check = (where: string, wrong: string | undefined): void => void (wrong && problems.push({ text: `${where}: ${wrong}` }));
  check(`resourceGroup "${resourceGroup}"`, checkResourceGroupName(resourceGroup));
  check(`server.name "${server.name}"`, checkServerName(server.name));
  check(`database "${database}"`, checkDatabaseName(database));
  for (const { app, address, identity, settings } of sites) {
    check(`apps.${app}.name "${address.app}"`, checkSiteName(address.app));
    if (identity !== undefined) check(`apps.${app}.identity "${identity}"`, checkIdentity(identity));
    for (const [name, value] of Object.entries(settings)) {
      check(`apps.${app}.settings.${name}`, checkSettingName(name) ?? checkDatabaseSecret(name, value));
    }
  }
  return problems;
}

function doubledNames(sites: readonly SiteSetup[]): Problem[] {
  const names = sites.filter(({ address }) => address.slot === undefined).map(({ address }) => address.app.toLowerCase());
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))].map((name) => ({
    text: `apps: two apps are named "${name}"`,
  }));
}

/** The file with the names that must be globally unique written in, so that they never change again. */
export function withNames(file: ProjectFile, setup: Setup, environment?: string): ProjectFile {
  const server = { ...file.server, name: setup.server.name };
  const named = (apps: ProjectFile["apps"]) =>
    Object.fromEntries(appsOf(setup).map(({ key, production }) => [key, { ...apps?.[key], name: production.address.app }]));
  if (!environment) return { ...file, server, apps: named(file.apps) };
  const own = file.environments?.[environment];
  return {
    ...file,
    environments: {
      ...file.environments,
      [environment]: {
        ...own,
        server: { ...own?.server, name: setup.server.name },
        apps: named(own?.apps),
      },
    },
  };
}

function withEnvironment(file: ProjectFile, environment: string | undefined, problems: Problem[]): ProjectFile {
  if (!environment) return file;
  const own = member(file.environments, environment);
  if (!own) {
    const known = Object.keys(file.environments ?? {}).join(", ") || "none";
    problems.push({ text: `environments.${environment}: is not in the file (there are: ${known})` });
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

/** Whoever has an identity may sign in as any of its roles: apps that share one must be allowed the same. */
function unequalSharers(sites: readonly SiteSetup[], resourceGroup: string): Problem[] {
  const named = sites.flatMap(({ label, access, identity }) =>
    identity ? [{ label, access, identity: plainly(identity, resourceGroup) }] : [],
  );
  return named.flatMap(({ label, access, identity }, index) => {
    const other = named.slice(0, index).find((one) => one.identity === identity && one.access !== access);
    if (!other) return [];
    const both = `${other.label} ("${other.access}") and ${label} ("${access}")`;
    const text = `apps: ${both} share an identity, and each could sign in as the other; give them the same access, or each its own identity`;
    return [{ text }];
  });
}

/** `group/name` of an identity, to compare. */
function plainly(identity: string, resourceGroup: string): string {
  const parsed = parseResourceId(identity);
  return (parsed ? `${parsed.resourceGroup}/${parsed.path.at(-1)}` : `${resourceGroup}/${identity}`).toLowerCase();
}

function unspecifiedFields({ location, server }: ProjectFile): Setup["server"]["unspecified"] {
  const given = { location, version: server?.version, sku: server?.sku, storageGb: server?.storageGb };
  return (["location", "version", "sku", "storageGb"] as const).filter((field) => given[field] === undefined);
}
