import { KnownError } from "../../base/errors.ts";
import type { Package } from "../../package/pack.ts";
import { chooseApp } from "../../project/choose-app.ts";
import type { AppSetup } from "../../project/setup.ts";
import { deployedOn, deploy as deployPackage } from "../../steps/deployment.ts";
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
  const apps = options.app === undefined ? project.setup.apps : [chooseApp(project.setup, options.app)];
  const packages = await packApps(io, apps, options);
  return withChangingSession(io, options, project, "deploy", async (session) => {
    const results: Deployed[] = [];
    const done: string[] = [];
    let unfinished: string[] = [];
    try {
      for (const app of apps) {
        const found = await findDeployment(session, app, packages.get(app.key) as Package);
        if (found.unchanged && !options.force) {
          results.push(found.unchanged);
          continue;
        }
        unfinished = [`deployment ${app.key}`];
        results.push(await deployOne(io, session, app, found));
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
async function findDeployment({ cloud, setup }: Session, app: AppSetup, packed: Package) {
  const site = await cloud.webApps.get(setup.resourceGroup, app.name);
  if (!site)
    throw new KnownError("azure/not-found", `web app ${app.name} does not exist in ${setup.resourceGroup}`, {
      hint: "run `passwordless-pg up`",
    });
  const running = deployedOn(site);
  const isRunning = running?.packageHash === packed.sha256 && site.state === "Running";
  const unchanged: Deployed | undefined = isRunning
    ? { ok: true, app: app.name, url: site.url, uploadedBytes: 0, deploymentId: running.deploymentId || null, outcome: "unchanged" }
    : undefined;
  return { site, packed, unchanged };
}

async function deployOne(
  io: Io,
  { cloud, setup, clock, signal }: Session,
  { key, name: app, health }: AppSetup,
  { site, packed }: Awaited<ReturnType<typeof findDeployment>>,
): Promise<Deployed> {
  const name = `deployment ${key}`;
  const startedAt = clock.now();
  const { webApps, scmSite, site: siteClient } = cloud;
  const onDetail = (text: string): void => io.progress.detail(name, text);
  const context = { webApps, group: setup.resourceGroup, scmSite, site: siteClient, clock, signal, onDetail };
  const { uploadedBytes, deploymentId } = await io.progress.during(name, "deploying", () =>
    deployPackage({ key, package: async () => packed, health }, context, site),
  );
  io.progress.end(name, "updated", clock.now() - startedAt);
  return { ok: true, app, url: site.url, uploadedBytes, deploymentId, outcome: "deployed" };
}

function show(io: Io, results: readonly Deployed[]): void {
  if (io.isJson) io.document(results.length === 1 && results[0] ? results[0] : { ok: true, deployments: results });
  else
    for (const { app, url, outcome, uploadedBytes } of results)
      io.result(`${app}: ${outcome === "unchanged" ? "unchanged, nothing uploaded" : `deployed (${uploadedBytes} bytes)`}  ${url}`);
}
