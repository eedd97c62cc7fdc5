import type { WebApp, WebApps } from "../cloud/app-service/web-apps.ts";
import { decide, defineStep, type Step } from "../engine/step.ts";

/** File-system logging: without it the log stream carries nothing. */
export const logSettings = (key: string, group: string, webApps: WebApps, needs: { readonly site: Step<WebApp> }) =>
  defineStep<{ readonly isFileSystemLoggingOn: boolean }, typeof needs>({
    name: `log settings ${key}`,
    needs,
    lane: `site ${key}`,
    read: ({ site }) => webApps.getLogs(group, site.name),
    plan: (observed) => decide(observed, { isFileSystemLoggingOn: true }),
    apply: (_change, { site }) => webApps.enableFileSystemLogging(group, site.name),
  });
