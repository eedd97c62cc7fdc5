import { KnownError } from "../../base/errors.ts";
import type { Package } from "../../package/pack.ts";
import type { SiteSetup } from "../../project/site-setup.ts";
import { deployedOn, deploy as deployPackage } from "../../steps/deployment.ts";
import { endStopped } from "../cancellation.ts";
import type { GlobalOptions, Io } from "../io.ts";
import { createProgressView, type ProgressView } from "../output/progress.ts";
import { type PackOptions, packApps } from "../pack-apps.ts";
import { chooseApp, openProject, type Session, withChangingSession } from "../session.ts";

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
  const project = await openProject(io, directory, options, false);
  const apps = options.app === undefined ? project.setup.sites : [chooseApp(project.setup, options.app)];
  const packages = await packApps(io, apps, options);
  const view = createProgressView(io);
  try {
    return await withChangingSession(io, options, project, "deploy", async (session) => {
      const results: Deployed[] = [];
      const begun: string[] = [];
      try {
        for (const app of apps)
          results.push(await deployOne(io, session, app, packages.get(app.label) as Package, options.force === true, view, begun));
      } catch (error) {
        view.close();
        const done = results.filter(({ outcome }) => outcome === "deployed").length;
        const doings = { made: [], changed: begun.slice(0, done), unfinished: begun.slice(done) };
        return endStopped(error, { io, session, command: "deploy", doings });
      }
      view.close();
      if (io.isJson) {
        const [only, ...others] = results;
        io.result(JSON.stringify(others.length === 0 ? only : { ok: true, deployments: results }, undefined, 2));
      } else {
        for (const { app, url, outcome, uploadedBytes } of results) {
          io.result(`${app}: ${outcome === "unchanged" ? "unchanged, nothing uploaded" : `deployed (${uploadedBytes} bytes)`}  ${url}`);
        }
      }
      return 0;
    });
  } finally {
    view.close();
  }
}

async function deployOne(
  io: Io,
  session: Session,
  app: SiteSetup,
  packed: Package,
  isForced: boolean,
  view: ProgressView,
  /** Gets the deployment's name as soon as Azure is asked to change anything. */
  begun: string[],
): Promise<Deployed> {
  const { cloud, setup, clock } = session;
  const group = setup.resourceGroup;
  const name = `deployment ${app.label}`;
  const site = await cloud.webApps.get(group, app.address.app);
  if (!site)
    throw new KnownError("azure/not-found", `web app ${app.address.app} does not exist in ${group}`, { hint: "run `passwordless-pg up`" });
  const running = deployedOn(site);
  if (!isForced && running && running.packageHash === packed.sha256 && site.state === "Running") {
    return {
      ok: true,
      app: app.address.app,
      url: site.url,
      uploadedBytes: 0,
      deploymentId: running.deploymentId || null,
      outcome: "unchanged",
    };
  }
  const startedAt = clock.now();
  view.begin(name, "deploying");
  begun.push(name);
  const deployed = await deployPackage(
    { key: app.label, package: async () => packed, health: app.health },
    {
      webApps: cloud.webApps,
      group,
      scmSite: cloud.scmSite,
      site: cloud.site,
      clock,
      signal: io.signal,
      onDetail: (text) => view.detail(name, text),
    },
    site,
  );
  view.end(name, "updated", clock.now() - startedAt);
  return {
    ok: true,
    app: app.address.app,
    url: site.url,
    uploadedBytes: deployed.uploadedBytes,
    deploymentId: deployed.deploymentId,
    outcome: "deployed",
  };
}
