import { createWriteStream, readFileSync, writeFileSync } from "node:fs";
import { copyFile, cp, mkdir, realpath, rm } from "node:fs/promises";
import { dirname, join, resolve, sep } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { StartOutcome } from "../../machines/app/host.ts";
import { type BuildLog, type BuildLogEntry, createBuildLog } from "../../machines/build/log.ts";
import { BuildFailure, buildApp, isBuildWanted } from "../../machines/build/oryx.ts";
import { BadArchive, unzip } from "../../machines/build/unzip.ts";
import { parseRuntime } from "../../machines/runtime.ts";
import type { Platform } from "../../platform.ts";
import { become, type Deployment, isComplete, type Push, RECYCLED, received, terminalPhases } from "./model.ts";

/** What SCM knows of the site it belongs to; asked anew each time. */
export interface ScmSubject {
  readonly siteId: string;
  readonly siteName: string;
  readonly linuxFxVersion: string;
  readonly appSettings: Readonly<Record<string, string>>;
  /** The site's folder: `home`, `releases`, `deployments`, `tmp` are below. */
  readonly folder: string;
  readonly isHttpLogging: boolean;
  readonly isBasicAllowed: boolean;
  readonly publishing: { readonly user: string; readonly password: string };
  readonly lastModified: string;
}

/** The deployments of one site, newest first. */
export interface Deployments {
  list(): readonly Deployment[];
  find(id: string): Deployment | undefined;
  /** The newest as `latest` shows it; counts as a view of the temporary object. */
  latest(): { readonly deployment: Deployment; readonly isTemporary: boolean } | undefined;
  isDeploying(): boolean;
  /** Takes the lock, stores the package and deploys in the background. `undefined` while another deployment holds the lock. */
  push(
    push: Push,
    body: ReadableStream<Uint8Array> | null,
    signal: AbortSignal,
    how?: PackageUse,
  ): Promise<{ readonly id: string; readonly done: Promise<Deployment> } | undefined>;
  log(id: string): readonly BuildLogEntry[] | undefined;
  /** The SCM container restarts: what is in flight dies. */
  interrupt(): void;
  /** Takes up what a `kill -9` left. `started` tells how the site came up. */
  resume(started: Promise<StartOutcome | undefined>): void;
  /** Breaks off what is in flight and waits for its end. */
  close(): Promise<void>;
}

/** How a package is used when it is no zip that replaces all that is there. */
export interface PackageUse {
  /** The files of the active release stay beside the new ones. */
  readonly keepsFiles: boolean;
  /** The package is one file, for this place below `/home/site/wwwroot`. */
  readonly fileName?: string;
}

/** Zip limit of App Service (azure/kudu.md 3.2). */
export const MAX_PACKAGE_BYTES = 2048 * 1024 * 1024;
/** Recorded: 8.4 min from upload to running, of which the build is the greater part. */
const RECORDED_BUILD_MS = 240_000;
const RECORDED_START_MS = 210_000;

/** The 413 of a package over the limit. */
export class PackageTooBig extends Error {}

export function createDeployments(
  platform: Platform,
  subject: () => ScmSubject,
  activate: (folder: string) => Promise<StartOutcome | undefined>,
): Deployments {
  const rows = platform.store.collection<Deployment>("web/deployments");
  const now = (): string => new Date(platform.clock.now()).toISOString();
  const key = (id: string): string => `${subject().siteId}/${id}`;
  const logs = new Map<string, BuildLog>();
  let inFlight: { readonly id: string; readonly abort: AbortController; readonly done: Promise<Deployment> } | undefined;
  let isLocked = false;
  const runtimeWaits = new Set<Promise<void>>();
  const closing = new AbortController();

  const change = (id: string, by: Partial<Deployment>): Deployment => {
    const before = rows.get(key(id));
    if (!before) throw new Error(`deployment ${id} is gone`);
    const after = { ...before, ...by };
    rows.set(key(id), after);
    platform.store.commit();
    return after;
  };
  const logFile = (id: string): string => join(subject().folder, "deployments", `${id}.json`);
  const keepLog = (id: string): void => {
    const log = logs.get(id);
    if (log) writeFileSync(logFile(id), JSON.stringify(log.entries));
    logs.delete(id);
  };
  const deactivateOthers = (id: string): void => {
    for (const other of rows.list(`${subject().siteId}/`)) {
      if (other.id !== id && other.isActive) rows.set(key(other.id), { ...other, isActive: false });
    }
  };
  /** What will be left of a recorded duration that begins now: the work done here in the meantime is part of it. */
  const restOf = (recordedMs: number): (() => number) => {
    const dueAt = platform.clock.now() + platform.operations.paced(recordedMs);
    return () => Math.max(0, dueAt - platform.clock.now());
  };

  const awaitRuntime = (id: string, starting: Promise<StartOutcome | undefined>): void => {
    const wait = (async () => {
      const recorded = restOf(RECORDED_START_MS);
      const outcome = await starting;
      await platform.clock.sleep(recorded(), closing.signal);
      if (outcome && rows.get(key(id))) change(id, become.started(outcome.successful, outcome.failed));
    })()
      .catch((error: unknown) => {
        if (closing.signal.aborted) return;
        platform.log(`deployment ${id}: ${String(error)}`);
        if (rows.get(key(id))) change(id, become.started(0, 1));
      })
      .finally(() => runtimeWaits.delete(wait));
    runtimeWaits.add(wait);
  };

  const deploy = async (id: string, file: string, signal: AbortSignal, how: PackageUse): Promise<Deployment> => {
    const site = subject();
    const log = createBuildLog(platform.clock);
    logs.set(id, log);
    const folder = join(site.folder, "releases", id);
    try {
      const recorded = restOf(RECORDED_BUILD_MS);
      change(id, become.building(id));
      const active = how.keepsFiles ? rows.list(`${site.siteId}/`).find(({ isActive }) => isActive) : undefined;
      if (active) await cp(join(site.folder, "releases", active.id), folder, { recursive: true, verbatimSymlinks: true });
      if (how.fileName !== undefined) await placeFile(file, folder, how.fileName, log);
      else await buildRelease(site, folder, file, log, platform, signal, (progress) => change(id, { progress }));
      await platform.clock.sleep(recorded(), signal);
      signal.throwIfAborted();
      log.say("Triggering recycle (preview mode disabled).");
      log.say(`Deployment successful. deployer = ${rows.get(key(id))?.deployer} deploymentPath = ZipDeploy. Extract zip.`);
      keepLog(id);
      deactivateOthers(id);
      const done = change(id, become.built(now()));
      awaitRuntime(id, activate(folder));
      return done;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      const isKnown = error instanceof BuildFailure || error instanceof BadArchive;
      const text = signal.aborted ? RECYCLED : isKnown ? error.message : "Deployment Failed.";
      if (!signal.aborted && !isKnown) platform.log(`deployment ${id}: ${String(error)}`);
      log.say(signal.aborted ? RECYCLED : `Deployment Failed. ${error instanceof BadArchive ? "Malformed zip: " : ""}${text}`, 2);
      keepLog(id);
      return change(id, signal.aborted ? become.aborted(now(), text) : become.failed(now(), text));
    } finally {
      await rm(file, { force: true });
    }
  };

  return {
    list: () => rows.list(`${subject().siteId}/`).reverse(),
    find: (id) => rows.get(key(id)),
    latest: () => {
      const deployment = rows.list(`${subject().siteId}/`).at(-1);
      if (!deployment) return undefined;
      const isTemporary = !isComplete(deployment) && deployment.tempViews > 0;
      if (isTemporary) rows.set(key(deployment.id), { ...deployment, tempViews: deployment.tempViews - 1 });
      return { deployment, isTemporary };
    },
    isDeploying: () => isLocked,
    push: async (push, body, signal, how = { keepsFiles: false }) => {
      if (isLocked) return undefined;
      isLocked = true;
      try {
        const deployment = received(subject().siteId, push, now());
        const file = join(subject().folder, "tmp", `${deployment.id}.zip`);
        await savePackage(body, file, signal);
        rows.set(key(deployment.id), deployment);
        platform.store.commit();
        const abort = new AbortController();
        const done = deploy(deployment.id, file, abort.signal, how).finally(() => {
          inFlight = undefined;
          isLocked = false;
        });
        done.catch((error: unknown) => platform.log(`deployment ${deployment.id}: ${String(error)}`));
        inFlight = { id: deployment.id, abort, done };
        return { id: deployment.id, done };
      } catch (error) {
        isLocked = false;
        throw error;
      }
    },
    log: (id) => {
      if (!rows.get(key(id))) return undefined;
      const live = logs.get(id);
      if (live) return live.entries;
      try {
        return JSON.parse(readFileSync(logFile(id), "utf8")) as BuildLogEntry[];
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
        throw error;
      }
    },
    interrupt: () => inFlight?.abort.abort(new Error("SCM container restart")),
    resume: (started) => {
      for (const deployment of rows.list(`${subject().siteId}/`)) {
        if (!isComplete(deployment)) {
          const log = createBuildLog(platform.clock);
          log.say(RECYCLED, 2);
          logs.set(deployment.id, log);
          keepLog(deployment.id);
          change(deployment.id, become.aborted(now(), RECYCLED));
        } else if (!terminalPhases.includes(deployment.phase)) awaitRuntime(deployment.id, started);
      }
    },
    close: async () => {
      inFlight?.abort.abort(new Error("local Azure ends"));
      closing.abort(new Error("local Azure ends"));
      await inFlight?.done.catch(() => {});
      await Promise.all(runtimeWaits);
    },
  };
}

async function savePackage(body: ReadableStream<Uint8Array> | null, file: string, signal: AbortSignal): Promise<void> {
  let bytes = 0;
  const bound = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      done(bytes > MAX_PACKAGE_BYTES ? new PackageTooBig() : null, chunk);
    },
  });
  await mkdir(join(file, ".."), { recursive: true });
  try {
    await pipeline(body ? Readable.fromWeb(body as never) : Readable.from([]), bound, createWriteStream(file, { mode: 0o600 }), { signal });
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  }
}

/** One file of a package (`type=static`, `type=startup`) to its place in the release. Nothing is built. */
async function placeFile(file: string, folder: string, fileName: string, log: BuildLog): Promise<void> {
  const target = resolve(folder, fileName);
  if (!target.startsWith(resolve(folder) + sep)) throw new BadArchive(`'${fileName}' is outside of /home/site/wwwroot`);
  await mkdir(dirname(target), { recursive: true });
  const [root, parent] = await Promise.all([realpath(folder), realpath(dirname(target))]); // a link of the release may lead out of it
  if (parent !== root && !parent.startsWith(root + sep)) throw new BadArchive(`'${fileName}' is outside of /home/site/wwwroot`);
  await rm(target, { recursive: true, force: true });
  await copyFile(file, target);
  log.say(`Copying file to /home/site/wwwroot/${fileName}`);
}

/** Unpacks and builds below `folder`, with the log lines of azure/kudu.md 5.4. */
async function buildRelease(
  site: ScmSubject,
  folder: string,
  file: string,
  log: BuildLog,
  platform: Platform,
  signal: AbortSignal,
  progress: (text: string) => void,
): Promise<void> {
  const id = folder.split("/").at(-1) ?? "";
  log.say("Updating submodules.");
  log.say(`Preparing deployment for commit id '${id.slice(0, 10)}'.`);
  log.say("PreDeployment: context.CleanOutputPath False");
  log.say("PreDeployment: context.OutputPath /home/site/wwwroot");
  await unzip(file, folder, signal);
  log.say("Repository path is /tmp/zipdeploy/extracted");
  if (await isBuildWanted(folder, site.appSettings)) {
    const runtime = parseRuntime(site.linuxFxVersion);
    progress("Running oryx build...");
    const detail = log.say("Running oryx build...");
    detail(
      `Command: oryx build /tmp/zipdeploy/extracted -o /home/site/wwwroot --platform ${runtime.stack} --platform-version ${runtime.version} -p virtualenv_name=antenv --log-file /tmp/build-debug.log --compress-destination-dir | tee /tmp/oryx-build.log`,
    );
    await buildApp({
      owner: site.siteId,
      store: platform.store,
      folder,
      runtime,
      appSettings: site.appSettings,
      cacheFolder: platform.home.cache,
      sitesFolder: platform.home.sites,
      signal,
      say: detail,
    });
    log.say("Running post deployment command(s)...");
    log.say("Generating summary of Oryx build");
    log.say("Parsing the build logs");
    log.say("Found 0 issue(s)");
  } else {
    log.say("Generating deployment script.")("Using the package as it is: no build was asked for.");
    log.say("Running deployment command...")("Command: kudusync");
    log.say("Running post deployment command(s)...");
  }
}
