import type { AppServicePlan, WebApp, WebAppConfig, WebApps } from "../cloud/app-service/web-apps.ts";
import { type Change, type Difference, defineStep, type Step } from "../engine/step.ts";

/** `config/web`: runtime, start command, TLS, FTPS off, health check. */
export const webAppConfiguration = (
  key: string,
  desired: Partial<WebAppConfig>,
  group: string,
  webApps: WebApps,
  needs: { readonly site: Step<WebApp>; readonly plan: Step<AppServicePlan> },
) =>
  defineStep<WebAppConfig, typeof needs>({
    name: `web app configuration ${key}`,
    needs,
    lane: `site ${key}`,
    read: ({ site }) => webApps.getConfig(group, site.name),
    plan: (observed, { plan }) => planConfig(observed, fitting(desired, plan)),
    apply: async (_change, { site, plan }) => void (await webApps.updateConfig(group, site.name, fitting(desired, plan))),
  });

/** Free and Shared plans refuse Always On; the plan that is there may be another than the file's. */
export function fitting(config: Partial<WebAppConfig>, plan: AppServicePlan): Partial<WebAppConfig> {
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
