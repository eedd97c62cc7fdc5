import { resolve } from "node:path";
import type { AccessLevel } from "../base/access-level.ts";
import type { SiteAddress } from "../base/site-address.ts";
import type { AppPart, HostKind } from "./file.ts";
import { linkerNameFrom, planNameFrom, roleNameFrom, siteLabel, siteNameFrom } from "./names.ts";
import type { Problem } from "./problems.ts";

/** One App Service plan. */
export interface PlanSetup {
  readonly name: string;
  readonly sku: string;
  /** The file names no SKU, so a plan that is there keeps its own. */
  readonly isSkuUnspecified: boolean;
}

/** One place where an app's code runs: the production site of an app of the project file; later each of its slots. */
export interface SiteSetup {
  /** Key of the app in the project file. */
  readonly app: string;
  /** Short name in steps, checks and output. */
  readonly label: string;
  readonly address: SiteAddress;
  readonly host: HostKind;
  /** Name of its plan in `Setup.plans`. */
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
   * absent). Without it the site has its system-assigned one.
   */
  readonly identity?: string;
  /** The database role. */
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

/** The production site of an app with its plan, and what is wrong with it. Pure. */
export function siteSetup(
  app: string,
  part: AppPart,
  context: {
    readonly project: string;
    readonly group: string;
    readonly folder: string;
    readonly suffix: string;
    readonly detected: DetectedApp;
  },
): { readonly site: SiteSetup; readonly plan: PlanSetup; readonly problems: readonly Problem[] } {
  const { detected, folder, group, project, suffix } = context;
  const runtime = part.runtime ?? detected.runtime;
  const address = { group, app: part.name ?? siteNameFrom(project, app, suffix) };
  const plan = { name: planNameFrom(address), sku: part.plan ?? "B1", isSkuUnspecified: part.plan === undefined };
  const site = {
    app,
    label: siteLabel(app, address),
    address,
    host: part.host ?? "webapp",
    plan: plan.name,
    runtime: (runtime ?? "").replace(/^(python|node)\|/, (kind) => kind.toUpperCase()),
    folder: resolve(folder, part.path ?? "."),
    access: part.access ?? "owner",
    startup: part.startup ?? detected.startup ?? "",
    health: part.health ?? detected.health ?? "",
    ...identityOf(part),
    role: roleNameFrom(address),
    linker: linkerNameFrom(app),
    clientType: runtime?.startsWith("node") ? ("nodejs" as const) : ("python" as const),
    settings: part.settings ?? {},
    include: part.include ?? [],
  };
  return { site, plan, problems: runtime ? [] : [missingRuntime(app, part.path ?? ".")] };
}

function missingRuntime(app: string, path: string): Problem {
  return {
    text: `apps.${app}.runtime: nothing in ${path} says what kind of app it is; set it, for example "python|3.12" or "node|22-lts"`,
    hint: "name the folder of your app, or begin with one of ours: `passwordless-pg init --template fastapi`",
  };
}

function identityOf({ identity }: AppPart): Pick<SiteSetup, "identity"> {
  return identity === undefined || identity.toLowerCase() === systemAssigned ? {} : { identity: identity.replace(/\/+$/, "") };
}
