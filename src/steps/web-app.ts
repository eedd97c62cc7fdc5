import type { ResourceGroup } from "../cloud/resource-groups.ts";
import type { AppServicePlan, WebApp, WebAppConfig, WebApps } from "../cloud/web-apps.ts";
import { type Change, type Difference, defineStep, type Step } from "../engine/step.ts";
import { fitting } from "./web-app-configuration.ts";

export interface DesiredWebApp {
  readonly key: string;
  readonly name: string;
  readonly location: string;
  /** Written at creation; kept right afterwards by the step `web app configuration`. */
  readonly config: Partial<WebAppConfig>;
  readonly tags: Record<string, string>;
}

/** The web app with its system-assigned identity, HTTPS only. */
export const webApp = (
  desired: DesiredWebApp,
  webApps: WebApps,
  needs: { readonly group: Step<ResourceGroup>; readonly plan: Step<AppServicePlan> },
) =>
  defineStep<WebApp, typeof needs>({
    name: `web app ${desired.key}`,
    needs,
    lane: `site ${desired.key}`,
    read: ({ group }) => webApps.get(group.name, desired.name),
    plan: (observed) => planWebApp(observed, desired),
    apply: async (_change, { group, plan }, observed) => {
      if (!observed) {
        await webApps.create(group.name, desired.name, {
          location: desired.location,
          planId: plan.id,
          config: fitting(desired.config, plan),
          settings: { WEBSITE_START_SCM_ON_SITE_CREATION: "1" },
          tags: desired.tags,
        });
        return;
      }
      if (!observed.principalId || !observed.httpsOnly) {
        await webApps.update(group.name, desired.name, {
          ...(observed.principalId ? {} : { systemIdentity: true as const }),
          ...(observed.httpsOnly ? {} : { httpsOnly: true }),
        });
      }
      if (observed.state === "Stopped") await webApps.start(group.name, desired.name);
    },
  });

function planWebApp(observed: WebApp | undefined, desired: DesiredWebApp): Change {
  if (!observed) return { kind: "create", reason: `${desired.name} (${desired.config.runtime})` };
  const differences: Difference[] = [];
  if (!observed.principalId) differences.push({ field: "identity", observed: "None", desired: "SystemAssigned" });
  if (!observed.httpsOnly) differences.push({ field: "httpsOnly", observed: false, desired: true });
  if (observed.state === "Stopped") differences.push({ field: "state", observed: observed.state, desired: "Running" });
  return differences.length === 0 ? { kind: "keep" } : { kind: "update", differences };
}
