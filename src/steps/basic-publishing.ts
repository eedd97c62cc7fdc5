import type { PublishingKind, WebApp, WebApps } from "../cloud/app-service/web-apps.ts";
import { decide, defineStep, type Step } from "../engine/step.ts";

/** User name and password at the SCM and FTP endpoints: off. The default differs by subscription policy. */
export const basicPublishing = (key: string, group: string, webApps: WebApps, needs: { readonly site: Step<WebApp> }) =>
  defineStep<Record<PublishingKind, boolean>, typeof needs>({
    name: `basic publishing credentials ${key}`,
    needs,
    lane: `site ${key}`,
    read: ({ site }) => webApps.getPublishingPolicies(group, site.name),
    plan: (observed) => decide(observed, { scm: false, ftp: false }),
    apply: async (_change, { site }, observed) => {
      for (const kind of ["scm", "ftp"] as const) {
        if (observed?.[kind] !== false) await webApps.setPublishingPolicy(group, site.name, kind, false);
      }
    },
  });
