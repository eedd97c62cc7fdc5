import { isSameId } from "../base/resource-id.ts";
import type { AppServicePlan } from "../cloud/app-service/plans.ts";
import type { SiteConfig } from "../cloud/app-service/site-config.ts";
import type { Site, SiteAdapter } from "../cloud/app-service/sites.ts";
import type { ResourceGroup } from "../cloud/resource-groups.ts";
import { type Blocked, type Change, type Difference, defineStep, type Step } from "../engine/step.ts";
import { type AppIdentity, identityVerdict, withEffectiveIdentity } from "./app-identity.ts";
import { configForPlan } from "./web-app-configuration.ts";

export interface DesiredWebApp {
  readonly label: string;
  readonly name: string;
  readonly location: string;
  /** Written at creation; kept right afterwards by the step `web app configuration`. */
  readonly config: Partial<SiteConfig>;
  readonly tags: Record<string, string>;
  /** Is its name free? Asked before it is created. */
  readonly precheck?: () => Promise<Blocked | undefined>;
}

/** The web app with the identity its app signs in with (`withEffectiveIdentity`), HTTPS only. Other identities are left to it. */
export const webApp = (
  desired: DesiredWebApp,
  adapter: SiteAdapter,
  needs: {
    readonly group: Step<ResourceGroup>;
    readonly plan: Step<AppServicePlan>;
    /** Absent: the system-assigned one. */
    readonly identity?: Step<AppIdentity>;
  },
) =>
  defineStep<Site, typeof needs>({
    name: `web app ${desired.label}`,
    needs,
    lane: `site ${desired.label}`,
    isBillable: true,
    ...(desired.precheck && { precheck: desired.precheck }),
    read: async ({ identity }) => {
      const site = await adapter.get();
      return site && withEffectiveIdentity(site, identity);
    },
    plan: (observed, { identity }) => planWebApp(observed, desired, identity),
    apply: async (_change, { plan, identity }, observed) => {
      if (!observed) {
        await adapter.create({
          location: desired.location,
          planId: plan.id,
          config: configForPlan(desired.config, plan),
          ...(identity && { userIdentity: identity.id }),
          settings: { WEBSITE_START_SCM_ON_SITE_CREATION: "1" },
          tags: desired.tags,
        });
        return;
      }
      const hasIdentity = identityVerdict(observed, identity).ok;
      if (!hasIdentity || !observed.httpsOnly) {
        const wanted = identity ? { userIdentity: identity.id } : { systemIdentity: true as const };
        await adapter.update({
          ...(hasIdentity ? {} : wanted),
          ...(observed.httpsOnly ? {} : { httpsOnly: true }),
        });
      }
      if (observed.state === "Stopped") await adapter.start();
    },
  });

function planWebApp(observed: Site | undefined, desired: DesiredWebApp, identity: AppIdentity | undefined): Change {
  if (!observed) return { kind: "create", reason: `${desired.name} (${desired.config.runtime})` };
  const differences: Difference[] = [];
  if (!identityVerdict(observed, identity).ok) differences.push(identityDifference(observed, identity));
  if (!observed.httpsOnly) differences.push({ field: "httpsOnly", observed: false, desired: true });
  if (observed.state === "Stopped") differences.push({ field: "state", observed: observed.state, desired: "Running" });
  return differences.length === 0 ? { kind: "keep" } : { kind: "update", differences };
}

function identityDifference(site: Site, identity: AppIdentity | undefined): Difference {
  if (!identity) return { field: "identity", observed: "None", desired: "SystemAssigned" };
  const { id, name, principalId } = identity;
  const assigned = site.userIdentities.find((one) => isSameId(one.id, id));
  if (!assigned) return { field: "identity", observed: `without ${name}`, desired: `UserAssigned ${name}` };
  return { field: `identity ${name}`, observed: assigned.principalId, desired: principalId ?? "(that of the new identity)" };
}
