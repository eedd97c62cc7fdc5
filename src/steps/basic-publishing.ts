import type { PublishingKind, Site, SiteAdapter } from "../cloud/app-service/sites.ts";
import { decide, defineStep, type Step } from "../engine/step.ts";

/** User name and password at the SCM and FTP endpoints: off. The default differs by subscription policy. */
export const basicPublishing = (label: string, adapter: SiteAdapter, needs: { readonly site: Step<Site> }) =>
  defineStep<Record<PublishingKind, boolean>, typeof needs>({
    name: `basic publishing credentials ${label}`,
    needs,
    lane: `site ${label}`,
    read: () => adapter.getPublishingPolicies(),
    plan: (observed) => decide(observed, { scm: false, ftp: false }),
    apply: async (_change, _needed, observed) => {
      for (const kind of ["scm", "ftp"] as const) {
        if (observed?.[kind] !== false) await adapter.setPublishingPolicy(kind, false);
      }
    },
  });
