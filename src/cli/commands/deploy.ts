import { KnownError } from "../../base/errors.ts";
import { hosts } from "../../hosts/hosts.ts";
import type { Package } from "../../package/pack.ts";
import { chooseApp } from "../../project/choose-app.ts";
import type { SiteSetup } from "../../project/site-setup.ts";
import { deployedOn } from "../../steps/deploy/package-tags.ts";
import { endStopped } from "../cancellation.ts";
import { openProject } from "../open-project.ts";
import { type PackOptions, packApps } from "../pack-apps.ts";
import { type Session, withChangingSession } from "../session.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";

interface DeployOptions extends PackOptions {
  readonly app?: string;
  readonly force?: boolean;
}

interface Deployed {
  readonly ok: true;
  readonly app: string;
  readonly url: string;
  readonly uploadedBytes: number;
  readonly deploymentId: string | null;
  readonly outcome: "deployed" | "unchanged";
}

export async function deploy(io: Io, options: DeployOptions & GlobalOptions, directory: string): Promise<number> {
  const project = await openProject(io, directory, options);
  const sites = options.app === undefined ? project.setup.sites : [chooseApp(project.setup, options.app)];
  const packages = await packApps(io, sites, options);
  return withChangingSession(io, options, project, "deploy", async (session) => {
    const results: Deployed[] = [];
    const done: string[] = [];
    let unfinished: string[] = [];
    try {
      for (const site of sites) {
        const found = await findDeployment(session, site, packages.get(site.label) as Package);
        if (found.unchanged && !options.force) {
          results.push(found.unchanged);
          continue;
        }
        unfinished = [`deployment ${site.label}`];
        results.push(await deployOne(io, session, site, found));
        done.push(...unfinished.splice(0));
      }
    } catch (error) {
      return endStopped(error, { io, session, command: "deploy", summary: { created: [], updated: done, unfinished } });
    }
    show(io, results);
    return 0;
  });
}

/** What is to be deployed where; `unchanged`: it runs there already. */
async function findDeployment({ cloud, setup }: Session, { address }: SiteSetup, packed: Package) {
  const site = await cloud.sites.at(address).get();
  if (!site)
    throw new KnownError("azure/not-found", `web app ${address.app} does not exist in ${setup.resourceGroup}`, {
      hint: "run `passwordless-pg up`",
    });
  const running = deployedOn(site);
  const isRunning = running?.packageHash === packed.sha256 && site.state === "Running";
  const unchanged: Deployed | undefined = isRunning
    ? { ok: true, app: address.app, url: site.url, uploadedBytes: 0, deploymentId: running.deploymentId || null, outcome: "unchanged" }
    : undefined;
  return { site, packed, unchanged };
}

async function deployOne(
  io: Io,
  { cloud, clock, signal }: Session,
  { label, address, health, host }: SiteSetup,
  { site, packed }: Awaited<ReturnType<typeof findDeployment>>,
): Promise<Deployed> {
  const name = `deployment ${label}`;
  const startedAt = clock.now();
  const { scmSite, site: siteClient } = cloud;
  const onDetail = (text: string): void => io.progress.detail(name, text);
  const context = { adapter: cloud.sites.at(address), scmSite, site: siteClient, clock, signal, onDetail };
  const { uploadedBytes, deploymentId } = await io.progress.during(name, "deploying", () =>
    hosts[host].deploy({ package: async () => packed, health }, site, context),
  );
  io.progress.end(name, "updated", clock.now() - startedAt);
  return { ok: true, app: address.app, url: site.url, uploadedBytes, deploymentId, outcome: "deployed" };
}

function show(io: Io, results: readonly Deployed[]): void {
  if (io.isJson) io.document(results.length === 1 && results[0] ? results[0] : { ok: true, deployments: results });
  else
    for (const { app, url, outcome, uploadedBytes } of results)
      io.result(`${app}: ${outcome === "unchanged" ? "unchanged, nothing uploaded" : `deployed (${uploadedBytes} bytes)`}  ${url}`);
}
