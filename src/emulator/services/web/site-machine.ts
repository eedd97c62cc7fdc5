import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { AppDescription } from "../../machines/app/description.ts";
import { type AppFront, type FrontTarget, type FrontWatch, openFront } from "../../machines/app/front.ts";
import { type AppHost, createAppHost, type StartOutcome } from "../../machines/app/host.ts";
import { type AppLog, createAppLog } from "../../machines/app/log.ts";
import type { Shims } from "../../machines/app/shims.ts";
import type { Platform } from "../../platform.ts";
import { openScmSite, type ScmSite } from "../scm/service.ts";
import type { ScmSubject } from "../scm/subject.ts";
import type { IdentityEndpoint } from "./identity.ts";
import type { Plan, Site } from "./model.ts";
import { publishingPassword } from "./publishing-password.ts";
import { displayLocation, subscriptionOf } from "./wire.ts";

/** What runs for one site: its containers, front end, SCM site and log. */
export interface SiteMachine {
  readonly front: AppFront;
  readonly scm: ScmSite;
  readonly host: AppHost;
  readonly log: AppLog;
  readonly ports: { readonly app: number; readonly scm: number };
  /** Starts the containers anew if the site should run. `undefined` while it is stopped. */
  restartApp(): Promise<StartOutcome | undefined>;
  /** What a write of settings, configuration or identity does: app and SCM containers both restart. */
  recycleAll(): void;
  /** Gives back processes and ports; the files stay. */
  close(): Promise<void>;
}

/** What a machine asks about its site, anew each time. */
export interface SiteSource {
  site(): Site;
  plan(): Plan | undefined;
  /** Makes a release the content of the site. */
  setRelease(folder: string): void;
}

/** Real limit of a container's start, and the one on the clock `fast`. */
const START_LIMIT_MS = 230_000;
const FAST_START_LIMIT_MS = 60_000;

export async function openSiteMachine(
  platform: Platform,
  source: SiteSource,
  identity: IdentityEndpoint,
  shims: Shims,
): Promise<SiteMachine> {
  const { name, folder: folderName, ports } = source.site();
  const folder = join(platform.home.sites, folderName);
  prepareFolder(folder, source.site().release ?? "");
  const isHttpLogging = (): boolean => source.site().logs.httpLogs.fileSystem.enabled;
  const log = createAppLog(() => join(folder, isHttpLogging() ? "home/LogFiles" : "volatile"), platform.clock);
  const host = createAppHost(() => describeApp(platform, source, folder), {
    store: platform.store,
    clock: platform.clock,
    log,
    shims,
    bundleFile: platform.certificates.bundleFile,
    startLimitMs: (seconds) => startLimit(platform, seconds),
    identity: { open: (header) => identity.open(header, source.site().id), close: (header) => identity.closeHeader(header) },
  });
  const front = await openFront(
    {
      pick: () => pick(source, host),
      tls: platform.certificates.issue(["localhost", "127.0.0.1"]),
      watch: watchOf(platform, `site:${name}`),
    },
    ports.app,
  );
  const restartApp = async (): Promise<StartOutcome | undefined> => (source.site().state === "Running" ? host.recycle() : undefined);
  const scm = await openScmSite(platform, {
    log,
    activate: (release) => activate(source, folder, release, restartApp),
    subject: () => describeScm(platform, source.site(), folder),
    ...(ports.scm === undefined ? {} : { port: ports.scm }),
  });
  return {
    ...{ front, scm, host, log, restartApp },
    ports: { app: front.port, scm: scm.port },
    recycleAll: () => {
      scm.recycle();
      restartApp().catch((error: unknown) => platform.log(`site ${source.site().name}: ${String(error)}`));
    },
    close: async () => {
      await scm.close();
      await host.stop();
      await front.close();
      log.close();
    },
  };
}

function prepareFolder(folder: string, release: string): void {
  for (const name of ["home/LogFiles", "home/site", "home/data", "releases", "deployments", "tmp", "volatile"]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  // What a killed local Azure was building or replacing; nothing builds yet.
  for (const other of otherReleases(join(folder, "releases"), release)) rmSync(other, { recursive: true, force: true });
}

/** Where the next request goes. A visitor of a container that is just starting waits for it. */
async function pick(source: SiteSource, host: AppHost): Promise<FrontTarget> {
  if (source.site().state !== "Running") return "stopped";
  const target = host.pick();
  if (target !== "stopped") return target;
  await host.waitUntilSettled();
  const started = host.pick();
  return started === "stopped" ? "down" : started;
}

/** Makes a release the site's content, starts the app from it, and removes what it replaced. */
async function activate(
  source: SiteSource,
  folder: string,
  release: string,
  restartApp: SiteMachine["restartApp"],
): Promise<StartOutcome | undefined> {
  const others = otherReleases(join(folder, "releases"), release);
  source.setRelease(release);
  pointTo(join(folder, "home/site/wwwroot"), release);
  const outcome = await restartApp();
  for (const other of others) await rm(other, { recursive: true, force: true });
  return outcome;
}

/** Faults put on the app's own address, and tests. */
function watchOf({ clock, faults, onTraffic }: Platform, host: string): FrontWatch {
  return {
    arrived: async (method, path, signal) => {
      if ((await onTraffic?.({ phase: "arrived", host, method, path })) === "drop") return { kind: "reset" };
      const fault = faults.take(host, method, path);
      if (fault?.kind !== "stall") return fault;
      await clock.sleep(fault.ms, signal);
      return undefined;
    },
    done: async (method, path) => onTraffic?.({ phase: "done", host, method, path }),
  };
}

function startLimit(platform: Platform, settingSeconds: number | undefined): number {
  if (settingSeconds !== undefined) return Math.min(1800, Math.max(10, settingSeconds)) * 1000;
  return Math.max(FAST_START_LIMIT_MS, platform.operations.scaledMs(START_LIMIT_MS));
}

function describeApp(platform: Platform, source: SiteSource, folder: string): AppDescription {
  const site = source.site();
  const plan = source.plan();
  return {
    siteId: site.id,
    siteName: site.name,
    resourceGroup: site.resourceGroup,
    subscriptionId: subscriptionOf(site.id),
    regionName: displayLocation(site.location),
    sku: plan?.sku.tier ?? "Standard",
    hostName: `localhost:${site.ports.app ?? 0}`,
    linuxFxVersion: site.config.linuxFxVersion,
    appCommandLine: site.config.appCommandLine,
    appSettings: site.appSettings,
    connectionStrings: site.connectionStrings,
    isHttpLogging: site.logs.httpLogs.fileSystem.enabled,
    hasIdentity:
      (site.principalId !== undefined && platform.directory.find(site.principalId) !== undefined) ||
      Object.keys(site.userIdentities ?? {}).length > 0,
    instanceCount: plan?.sku.capacity ?? 1,
    homeFolder: join(folder, "home"),
    binFolder: join(folder, "bin"),
    ...(site.release === undefined ? {} : { appFolder: site.release }),
  };
}

function describeScm(platform: Platform, site: Site, folder: string): ScmSubject {
  return {
    siteId: site.id,
    siteName: site.name,
    linuxFxVersion: site.config.linuxFxVersion,
    appSettings: site.appSettings,
    folder,
    isHttpLogging: site.logs.httpLogs.fileSystem.enabled,
    isBasicAllowed: site.basicPublishing.scm,
    publishing: { user: `$${site.name}`, password: publishingPassword(platform, site) },
    lastModified: site.lastModified,
  };
}

/** Replaces a symbolic link in one step. */
function pointTo(link: string, target: string): void {
  rmSync(`${link}.new`, { force: true });
  symlinkSync(target, `${link}.new`);
  renameSync(`${link}.new`, link);
}

/** What a new release replaces. Listed before its start: during that, the next deployment may build a release of its own. */
function otherReleases(folder: string, active: string): string[] {
  return readdirSync(folder)
    .filter((name) => name !== basename(active))
    .map((name) => join(folder, name));
}
