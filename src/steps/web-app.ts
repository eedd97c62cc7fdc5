import { isSameId } from "../base/resource-id.ts";
import type { AppServicePlan, WebApp, WebApps } from "../cloud/app-service/web-apps.ts";
import type { ResourceGroup } from "../cloud/resource-groups.ts";
import { type Change, type Difference, defineStep, type Refusal, type Step } from "../engine/step.ts";
import type { SiteSetup } from "../project/setup.ts";
import { type AppIdentity, identityVerdict, withEffectiveIdentity } from "./app-identity.ts";
import { configForPlan, desiredConfig } from "./web-app-configuration.ts";

export interface DesiredWebApp {
  readonly site: Pick<SiteSetup, "label" | "address" | "runtime" | "startup" | "health">;
  readonly location: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** The web app with the identity its app signs in with (`withEffectiveIdentity`), HTTPS only. Other identities are left to it. */
export const webApp = (
  desired: DesiredWebApp,
  webApps: WebApps,
  needs: {
    readonly group: Step<ResourceGroup>;
    readonly plan: Step<AppServicePlan>;
    /** Absent: the system-assigned one. */
    readonly identity?: Step<AppIdentity>;
  },
  precheck: () => Promise<Refusal | undefined>,
) =>
  defineStep<WebApp, typeof needs>({
    name: `web app ${desired.site.label}`,
    needs,
    lane: `site ${desired.site.label}`,
    isBillable: true,
    precheck,
    read: async ({ identity }) => {
      const site = await webApps.get(desired.site.address.group, desired.site.address.app);
      return site && withEffectiveIdentity(site, identity);
    },
    plan: (observed, { identity }) => planWebApp(observed, desired, identity),
    apply: async (_change, { plan, identity }, observed) => {
      const { group, app } = desired.site.address;
      if (!observed) {
        await webApps.create(group, app, {
          location: desired.location,
          planId: plan.id,
          config: configForPlan(desiredConfig(desired.site), plan), // kept right afterwards by the step `web app configuration`
          ...(identity && { userIdentity: identity.id }),
          settings: { WEBSITE_START_SCM_ON_SITE_CREATION: "1" },
          tags: desired.tags,
        });
        return;
      }
      const hasIdentity = identityVerdict(observed, identity).ok;
      if (!hasIdentity || !observed.httpsOnly) {
        const wanted = identity ? { userIdentity: identity.id } : { systemIdentity: true as const };
        await webApps.update(group, app, {
          ...(hasIdentity ? {} : wanted),
          ...(observed.httpsOnly ? {} : { httpsOnly: true }),
        });
      }
      if (observed.state === "Stopped") await webApps.start(group, app);
    },
  });

function planWebApp(observed: WebApp | undefined, desired: DesiredWebApp, identity: AppIdentity | undefined): Change {
  if (!observed) return { kind: "create", reason: `${desired.site.address.app} (${desired.site.runtime})` };
  const differences: Difference[] = [];
  if (!identityVerdict(observed, identity).ok) differences.push(identityDifference(observed, identity));
  if (!observed.httpsOnly) differences.push({ field: "httpsOnly", observed: false, desired: true });
  if (observed.state === "Stopped") differences.push({ field: "state", observed: observed.state, desired: "Running" });
  return differences.length === 0 ? { kind: "keep" } : { kind: "update", differences };
}

function identityDifference(site: WebApp, identity: AppIdentity | undefined): Difference {
  if (!identity) return { field: "identity", observed: "None", desired: "SystemAssigned" };
  const { id, name, principalId } = identity;
  const assigned = site.userIdentities.find((one) => isSameId(one.id, id));
  if (!assigned) return { field: "identity", observed: `without ${name}`, desired: `UserAssigned ${name}` };
  return { field: `identity ${name}`, observed: assigned.principalId, desired: principalId ?? "(that of the new identity)" };
}
