import type { Site, SiteAdapter } from "../cloud/app-service/sites.ts";
import { decide, defineStep, type Step } from "../engine/step.ts";

/** File-system logging: without it the log stream carries nothing. */
export const logSettings = (label: string, adapter: SiteAdapter, needs: { readonly site: Step<Site> }) =>
  defineStep<{ readonly isFileSystemLoggingOn: boolean }, typeof needs>({
    name: `log settings ${label}`,
    needs,
    lane: `site ${label}`,
    read: () => adapter.getLogs(),
    plan: (observed) => decide(observed, { isFileSystemLoggingOn: true }),
    apply: () => adapter.enableFileSystemLogging(),
  });
