import type { AppServicePlan, WebApp, WebAppConfig, WebApps } from "../cloud/app-service/web-apps.ts";
import { type Change, type Difference, defineStep, type Step } from "../engine/step.ts";
import type { SiteSetup } from "../project/setup.ts";

/** `config/web`: runtime, start command, TLS, FTPS off, health check. */
export const webAppConfiguration = (
  site: Pick<SiteSetup, "label" | "address" | "runtime" | "startup" | "health">,
  webApps: WebApps,
  needs: { readonly site: Step<WebApp>; readonly plan: Step<AppServicePlan> },
) => {
  const desired = desiredConfig(site);
  const { group, app } = site.address;
  return defineStep<WebAppConfig, typeof needs>({
    name: `web app configuration ${site.label}`,
    needs,
    lane: `site ${site.label}`,
    read: () => webApps.getConfig(group, app),
    plan: (observed, { plan }) => planConfig(observed, configForPlan(desired, plan)),
    apply: async (_change, { plan }) => void (await webApps.updateConfig(group, app, configForPlan(desired, plan))),
  });
};

/** What the project asks of a web app's configuration, on a plan that allows it all. */
export function desiredConfig({ runtime, startup, health }: Pick<SiteSetup, "runtime" | "startup" | "health">): Partial<WebAppConfig> {
  return {
    runtime,
    startup,
    alwaysOn: true,
    ftpsState: "Disabled",
    minTlsVersion: "1.2",
    scmMinTlsVersion: "1.2",
    healthCheckPath: health,
  };
}

/** Free and Shared plans refuse Always On; the plan that is there may be another than the file's. */
export function configForPlan(config: Partial<WebAppConfig>, plan: AppServicePlan): Partial<WebAppConfig> {
  return /^(F1|D1)$/i.test(plan.sku) ? { ...config, alwaysOn: false } : config;
}

function planConfig(observed: WebAppConfig | undefined, desired: Partial<WebAppConfig>): Change {
  if (!observed) return { kind: "create" };
  const differences: Difference[] = (Object.keys(desired) as (keyof WebAppConfig)[])
    .filter((field) => !isAsWanted(field, observed[field], desired[field]))
    .map((field) => ({ field, observed: observed[field], desired: desired[field] }));
  return differences.length === 0 ? { kind: "keep" } : { kind: "update", differences };
}

function isAsWanted(field: keyof WebAppConfig, observed: unknown, desired: unknown): boolean {
  if (field === "minTlsVersion" || field === "scmMinTlsVersion") return Number(observed) >= Number(desired); // 1.3 is fine too
  if (field === "runtime") return String(observed).toUpperCase() === String(desired).toUpperCase();
  return observed === desired;
}
