import { resolve } from "node:path";
import type { ErrorObject } from "ajv";
import type { AccessLevel } from "../base/access-level.ts";
import type { SiteAddress } from "../base/site-address.ts";
import { checkDatabaseSecret } from "./database-secret.ts";
import { member, withEnvironment } from "./environments.ts";
import type { AppPart, FirewallPolicy, HostKind, ProjectFile } from "./file.ts";
import {
  checkDatabaseName,
  checkIdentity,
  checkResourceGroupName,
  checkServerName,
  checkSettingName,
  checkSiteName,
  databaseNameFrom,
  linkerNameFrom,
  planNameFrom,
  resourceGroupNameFrom,
  roleNameFrom,
  serverNameFrom,
  siteNameFrom,
} from "./names.ts";
import { invalidProject, type Problem, schemaProblem } from "./problems.ts";
import { unequalSharers } from "./unequal-sharers.ts";

/** Everything wanted, as plain data: defaults taken, names derived and checked. */
export interface Setup {
  readonly name: string;
  /** Value of the ownership tag on everything this project creates; two projects on one server have two. */
  readonly owner: string;
  /** Short name: `eastus`. */
  readonly location: string;
  readonly resourceGroup: string;
  readonly server: ServerSetup;
  readonly database: string;
  readonly plans: readonly PlanSetup[];
  readonly apps: readonly AppSetup[];
}

export interface ServerSetup {
  readonly name: string;
  readonly version: string;
  readonly sku: string;
  readonly storageGb: number;
  readonly firewall: FirewallPolicy;
  /** What the file leaves open: the default counts for a new server only, one that is there is taken as it is. */
  readonly unspecified: readonly ("location" | "version" | "sku" | "storageGb")[];
}

/** An App Service plan of the project's resource group. */
export interface PlanSetup {
  readonly name: string;
  readonly sku: string;
  /** The file names no SKU, so a plan that is there keeps its own. */
  readonly isSkuUnspecified: boolean;
}

/** One app of the project file: its production site, and the deployment slots beside it. */
export interface AppSetup extends Omit<SiteSetup, "label" | "address" | "host" | "plan"> {
  readonly key: string;
  readonly production: SiteSetup;
  readonly slots: readonly SiteSetup[];
  /** Azure's name of the production site, which is asked for more by `production.address`. */
  readonly name: string;
}

/** What runs somewhere under a name of its own: an app's production site or one of its slots. */
export interface SiteSetup {
  /** Names its steps and checks: the app's key. */
  readonly label: string;
  readonly address: SiteAddress;
  readonly host: HostKind;
  /** Name of the App Service plan it is put into. */
  readonly plan: string;
  /** `linuxFxVersion` as Azure writes it: `PYTHON|3.12`. */
  readonly runtime: string;
  /** Absolute. */
  readonly folder: string;
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
  /** The database role it signs in as. */
  readonly role: string;
  readonly linker: string;
  readonly clientType: "python" | "nodejs";
  readonly settings: Readonly<Record<string, string>>;
  /** Files that are packed although they look like keys; paths in `folder`. */
  readonly include: readonly string[];
}

/** All sites of a project: of each app the production site, then its slots. */
export function sitesOf({ apps }: Pick<Setup, "apps">): SiteSetup[] {
  return apps.flatMap(({ production, slots }) => [production, ...slots]);
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

interface SetupContext {
  readonly folder: string;
  /** Replaces the parts of `environments.<name>`. */
  readonly environment?: string | undefined;
  /** Four characters for names that must be globally unique and are not in the file yet. */
  readonly suffix: string;
  readonly detected: Readonly<Record<string, DetectedApp>>;
  readonly validate: (file: unknown) => readonly ErrorObject[];
}

/**
 * Checks the file against the schema and Azure's name rules and fills in every default. Pure.
 * Throws one `KnownError` "project/invalid" that lists all problems.
 */
export function createSetup(file: unknown, context: SetupContext): Setup {
  const problems = context.validate(file).map(schemaProblem);
  if (problems.length > 0) throw invalidProject(problems);
  const merged = withEnvironment(file as ProjectFile, context.environment, problems);
  const { name, database = databaseNameFrom(name) } = merged;
  const server = serverSetup(merged, context.suffix);
  const resourceGroup = merged.resourceGroup ?? resourceGroupNameFrom(name, context.environment);
  const parts = Object.entries(merged.apps ?? { api: {} });
  const apps = parts.map(([key, part]) => appSetup(key, siteSetup(key, part, { ...context, project: name, resourceGroup }, problems)));
  const setup: Setup = {
    name,
    owner: `${name}/${server.name}`,
    location: (merged.location ?? "eastus").replace(/\s+/g, "").toLowerCase(),
    resourceGroup,
    server,
    database,
    plans: apps.map(({ key, production }) => planSetup(production.plan, member(merged.apps, key))),
    apps,
  };
  problems.push(...nameProblems(setup), ...sitesOf(setup).flatMap(siteProblems), ...clashes(setup));
  if (problems.length > 0) throw invalidProject(problems);
  return setup;
}

function serverSetup({ name, location, server = {} }: ProjectFile, suffix: string): ServerSetup {
  const { version = "16", sku = "Standard_B1ms", storageGb = 32, firewall = "azure-services" } = server;
  const given = { location, version: server.version, sku: server.sku, storageGb: server.storageGb };
  const unspecified = (["location", "version", "sku", "storageGb"] as const).filter((field) => given[field] === undefined);
  return { name: server.name ?? serverNameFrom(name, suffix), version, sku, storageGb, firewall, unspecified };
}

function planSetup(name: string, part: AppPart | undefined): PlanSetup {
  return { name, sku: part?.plan ?? "B1", isSkuUnspecified: part?.plan === undefined };
}

function appSetup(key: string, production: SiteSetup): AppSetup {
  const { label: _label, address, host: _host, plan: _plan, ...rest } = production;
  return { key, production, slots: [], name: address.app, ...rest };
}

function siteSetup(
  key: string,
  part: AppPart,
  context: SetupContext & { readonly project: string; readonly resourceGroup: string },
  problems: Problem[],
): SiteSetup {
  const detected = member(context.detected, key) ?? {};
  const runtime = part.runtime ?? detected.runtime;
  if (!runtime) {
    const text = `apps.${key}.runtime: nothing in ${part.path ?? "."} says what kind of app it is; set it, for example "python|3.12" or "node|22-lts"`;
    problems.push({ code: "runtime-unknown", text });
  }
  const address = { group: context.resourceGroup, app: part.name ?? siteNameFrom(context.project, key, context.suffix) };
  return {
    label: key,
    address,
    host: part.host ?? "webapp",
    plan: planNameFrom(address.app),
    runtime: (runtime ?? "").replace(/^(python|node)\|/, (kind) => kind.toUpperCase()),
    folder: resolve(context.folder, part.path ?? "."),
    access: part.access ?? "owner",
    startup: part.startup ?? detected.startup ?? "",
    health: part.health ?? detected.health ?? "",
    ...identityOf(part),
    role: roleNameFrom(address.app),
    linker: linkerNameFrom(key),
    clientType: runtime?.startsWith("node") ? "nodejs" : "python",
    settings: part.settings ?? {},
    include: part.include ?? [],
  };
}

function identityOf({ identity }: AppPart): Pick<SiteSetup, "identity"> {
  return identity === undefined || identity.toLowerCase() === systemAssigned ? {} : { identity: identity.replace(/\/+$/, "") };
}

function nameProblems({ resourceGroup, server, database }: Setup): Problem[] {
  return [
    ...wrong("name-invalid", `resourceGroup "${resourceGroup}"`, checkResourceGroupName(resourceGroup)),
    ...wrong("name-invalid", `server.name "${server.name}"`, checkServerName(server.name)),
    ...wrong("name-invalid", `database "${database}"`, checkDatabaseName(database)),
  ];
}

function siteProblems({ label, address, identity, settings }: SiteSetup): Problem[] {
  return [
    ...wrong("name-invalid", `apps.${label}.name "${address.app}"`, checkSiteName(address.app)),
    ...(identity === undefined ? [] : wrong("name-invalid", `apps.${label}.identity "${identity}"`, checkIdentity(identity))),
    ...Object.entries(settings).flatMap(([name, value]) =>
      wrong("setting-refused", `apps.${label}.settings.${name}`, checkSettingName(name) ?? checkDatabaseSecret(name, value)),
    ),
  ];
}

function wrong(code: Problem["code"], where: string, text: string | undefined): Problem[] {
  return text === undefined ? [] : [{ code, text: `${where}: ${text}` }];
}

function clashes(setup: Setup): Problem[] {
  const names = setup.apps.map(({ production }) => production.address.app.toLowerCase());
  const doubled = new Set(names.filter((name, index) => names.indexOf(name) !== index));
  return [
    ...unequalSharers(sitesOf(setup), setup.resourceGroup),
    ...[...doubled].map((name): Problem => ({ code: "apps-clash", text: `apps: two apps are named "${name}"` })),
  ];
}
