import type { PublishingKind, WebApp, WebApps } from "../cloud/app-service/web-apps.ts";
import { decide, defineStep, type Step } from "../engine/step.ts";
import type { SiteSetup } from "../project/setup.ts";

/** User name and password at the SCM and FTP endpoints: off. The default differs by subscription policy. */
export const basicPublishing = (
  { label, address: { group, app } }: Pick<SiteSetup, "label" | "address">,
  webApps: WebApps,
  needs: { readonly site: Step<WebApp> },
) =>
  defineStep<Record<PublishingKind, boolean>, typeof needs>({
    name: `basic publishing credentials ${label}`,
    needs,
    lane: `site ${label}`,
    read: () => webApps.getPublishingPolicies(group, app),
    plan: (observed) => decide(observed, { scm: false, ftp: false }),
    apply: async (_change, _needed, observed) => {
      for (const kind of ["scm", "ftp"] as const) {
        if (observed?.[kind] !== false) await webApps.setPublishingPolicy(group, app, kind, false);
      }
    },
  });
