import type { WebApp, WebApps } from "../cloud/app-service/web-apps.ts";
import { decide, defineStep, type Step } from "../engine/step.ts";
import type { SiteSetup } from "../project/setup.ts";

/** File-system logging: without it the log stream carries nothing. */
export const logSettings = (
  { label, address: { group, app } }: Pick<SiteSetup, "label" | "address">,
  webApps: WebApps,
  needs: { readonly site: Step<WebApp> },
) =>
  defineStep<{ readonly isFileSystemLoggingOn: boolean }, typeof needs>({
    name: `log settings ${label}`,
    needs,
    lane: `site ${label}`,
    read: () => webApps.getLogs(group, app),
    plan: (observed) => decide(observed, { isFileSystemLoggingOn: true }),
    apply: () => webApps.enableFileSystemLogging(group, app),
  });
