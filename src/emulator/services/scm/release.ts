import { copyFile, cp, mkdir, realpath, rm } from "node:fs/promises";
import { basename, dirname, resolve, sep } from "node:path";
import type { BuildLog } from "../../machines/build/log.ts";
import { buildApp, isBuildWanted } from "../../machines/build/oryx.ts";
import { BadArchive, unzip } from "../../machines/build/unzip.ts";
import { parseRuntime } from "../../machines/runtime.ts";
import type { Platform } from "../../platform.ts";
import type { PackageUse } from "./package.ts";
import type { ScmSubject } from "./subject.ts";

/** What a release is made from. */
export interface ReleaseJob {
  readonly platform: Platform;
  readonly site: ScmSubject;
  /** Where the release goes, named by its deployment. */
  readonly folder: string;
  /** The package as it was pushed. */
  readonly file: string;
  readonly use: PackageUse;
  /** The folder of the release that is active now. */
  readonly activeFolder: string | undefined;
  readonly log: BuildLog;
  readonly signal: AbortSignal;
  progress(text: string): void;
}

/** Fills the folder of a release. Throws `BadArchive` and `BuildFailure`; rejects with the signal's reason when aborted. */
export async function makeRelease(job: ReleaseJob): Promise<void> {
  const { use, activeFolder, folder } = job;
  if (use.keepsFiles && activeFolder) await cp(activeFolder, folder, { recursive: true, verbatimSymlinks: true });
  if (use.fileName !== undefined) await placeFile(job, use.fileName);
  else await unpackAndBuild(job);
}

/** One file of a package (`type=static`, `type=startup`) to its place in the release. Nothing is built. */
async function placeFile({ folder, file, log }: ReleaseJob, fileName: string): Promise<void> {
  const target = resolve(folder, fileName);
  if (!target.startsWith(resolve(folder) + sep)) throw new BadArchive(`'${fileName}' is outside of /home/site/wwwroot`);
  await mkdir(dirname(target), { recursive: true });
  const [root, parent] = await Promise.all([realpath(folder), realpath(dirname(target))]); // a link of the release may lead out of it
  if (parent !== root && !parent.startsWith(root + sep)) throw new BadArchive(`'${fileName}' is outside of /home/site/wwwroot`);
  await rm(target, { recursive: true, force: true });
  await copyFile(file, target);
  log.say(`Copying file to /home/site/wwwroot/${fileName}`);
}

/** With the log lines of azure/kudu.md 5.4. */
async function unpackAndBuild(job: ReleaseJob): Promise<void> {
  const { folder, file, log, signal, site } = job;
  log.say("Updating submodules.");
  log.say(`Preparing deployment for commit id '${basename(folder).slice(0, 10)}'.`);
  log.say("PreDeployment: context.CleanOutputPath False");
  log.say("PreDeployment: context.OutputPath /home/site/wwwroot");
  await unzip(file, folder, signal);
  log.say("Repository path is /tmp/zipdeploy/extracted");
  if (await isBuildWanted(folder, site.appSettings)) return await build(job);
  log.say("Generating deployment script.")("Using the package as it is: no build was asked for.");
  log.say("Running deployment command...")("Command: kudusync");
  log.say("Running post deployment command(s)...");
}

async function build({ platform, site, folder, log, signal, progress }: ReleaseJob): Promise<void> {
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
}
