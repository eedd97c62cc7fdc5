import type { AppServicePlan } from "../cloud/app-service/plans.ts";
import type { SiteConfig } from "../cloud/app-service/site-config.ts";
import type { Site, SiteAdapter } from "../cloud/app-service/sites.ts";
import { type Change, type Difference, defineStep, type Step } from "../engine/step.ts";

/** `config/web`: runtime, start command, TLS, FTPS off, health check. */
export const webAppConfiguration = (
  label: string,
  desired: Partial<SiteConfig>,
  adapter: SiteAdapter,
  needs: { readonly site: Step<Site>; readonly plan: Step<AppServicePlan> },
) =>
  defineStep<SiteConfig, typeof needs>({
    name: `web app configuration ${label}`,
    needs,
    lane: `site ${label}`,
    read: () => adapter.getConfig(),
    plan: (observed, { plan }) => planConfig(observed, configForPlan(desired, plan)),
    apply: async (_change, { plan }) => void (await adapter.updateConfig(configForPlan(desired, plan))),
  });

/** Free and Shared plans refuse Always On; the plan that is there may be another than the file's. */
export function configForPlan(config: Partial<SiteConfig>, plan: AppServicePlan): Partial<SiteConfig> {
  return /^(F1|D1)$/i.test(plan.sku) ? { ...config, alwaysOn: false } : config;
}

function planConfig(observed: SiteConfig | undefined, desired: Partial<SiteConfig>): Change {
  if (!observed) return { kind: "create" };
  const differences: Difference[] = (Object.keys(desired) as (keyof SiteConfig)[])
    .filter((field) => !isAsWanted(field, observed[field], desired[field]))
    .map((field) => ({ field, observed: observed[field], desired: desired[field] }));
  return differences.length === 0 ? { kind: "keep" } : { kind: "update", differences };
}

function isAsWanted(field: keyof SiteConfig, observed: unknown, desired: unknown): boolean {
  if (field === "minTlsVersion" || field === "scmMinTlsVersion") return Number(observed) >= Number(desired); // 1.3 is fine too
  if (field === "runtime") return String(observed).toUpperCase() === String(desired).toUpperCase();
  return observed === desired;
}
