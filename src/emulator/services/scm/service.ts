import type { StartOutcome } from "../../machines/app/host.ts";
import type { AppLog } from "../../machines/app/log.ts";
import type { Platform } from "../../platform.ts";
import { createDeployments, type Deployments } from "./deployments.ts";
import { scmFallback, scmRoutes } from "./routes.ts";
import type { ScmSubject } from "./subject.ts";

/** The SCM (Kudu) site that stands beside every site. */
export interface ScmSite {
  readonly port: number;
  readonly deployments: Deployments;
  /** Its container restarts: log streams end without a word, a deployment in flight dies. */
  recycle(): void;
  close(): Promise<void>;
}

/** Opens the SCM site on its own https port; `port` is used when it is free. */
export async function openScmSite(
  platform: Platform,
  site: {
    readonly port?: number;
    readonly log: AppLog;
    readonly subject: () => ScmSubject;
    /** Makes a release folder the site's content and restarts the app. */
    readonly activate: (folder: string) => Promise<StartOutcome | undefined>;
  },
): Promise<ScmSite> {
  const deployments = createDeployments(platform, site.subject, site.activate);
  let container = new AbortController();
  const host = await platform.hosts.serve({
    name: `scm:${site.subject().siteName}`,
    tlsNames: ["localhost", "127.0.0.1"],
    fallback: scmFallback,
    routes: scmRoutes({
      platform,
      deployments,
      subject: site.subject,
      log: site.log,
      origin: () => `https://localhost:${host.port}`,
      container: () => container.signal,
    }),
    ...(site.port === undefined ? {} : { port: site.port }),
  });
  const recycle = (): void => {
    deployments.interrupt();
    container.abort(new Error("SCM container restart"));
    container = new AbortController();
  };
  return {
    port: host.port,
    deployments,
    recycle,
    close: async () => {
      recycle();
      await deployments.close();
      await host.close();
    },
  };
}
