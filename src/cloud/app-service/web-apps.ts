import type { AppServicePlan as Plan, Plans } from "./plans.ts";
import type { SiteConfig } from "./site-config.ts";
import type { PublishingKind as Kind, Site, SiteAdapter, Sites } from "./sites.ts";

// The old words for `cloud.plans` and `cloud.sites.at(address)`: gone when nobody says them any more.

export type AppServicePlan = Plan;
export type WebApp = Site;
export type WebAppConfig = SiteConfig;
export type PublishingKind = Kind;

/** Each operation on one site, with its address as the first two parameters. */
type ByName = {
  readonly [Name in keyof SiteAdapter]: (
    group: string,
    app: string,
    ...given: Parameters<SiteAdapter[Name]>
  ) => ReturnType<SiteAdapter[Name]>;
};

export interface WebApps extends ByName, Pick<Sites, "list" | "checkName"> {
  readonly getPlan: Plans["get"];
  readonly createPlan: Plans["create"];
  readonly scalePlan: Plans["scale"];
  readonly deletePlan: Plans["delete"];
}

export function webApps(plans: Plans, { at, list, checkName }: Sites): WebApps {
  return {
    getPlan: plans.get,
    createPlan: plans.create,
    scalePlan: plans.scale,
    deletePlan: plans.delete,
    list,
    checkName,
    get: (group, app) => at({ group, app }).get(),
    create: (group, app, desired) => at({ group, app }).create(desired),
    update: (group, app, change) => at({ group, app }).update(change),
    delete: (group, app) => at({ group, app }).delete(),
    start: (group, app) => at({ group, app }).start(),
    stop: (group, app) => at({ group, app }).stop(),
    restart: (group, app) => at({ group, app }).restart(),
    getConfig: (group, app) => at({ group, app }).getConfig(),
    updateConfig: (group, app, change) => at({ group, app }).updateConfig(change),
    getSettings: (group, app) => at({ group, app }).getSettings(),
    putSettings: (group, app, settings) => at({ group, app }).putSettings(settings),
    getPublishingPolicies: (group, app) => at({ group, app }).getPublishingPolicies(),
    setPublishingPolicy: (group, app, kind, isAllowed) => at({ group, app }).setPublishingPolicy(kind, isAllowed),
    getLogs: (group, app) => at({ group, app }).getLogs(),
    enableFileSystemLogging: (group, app) => at({ group, app }).enableFileSystemLogging(),
    deploymentStatus: (group, app, deploymentId) => at({ group, app }).deploymentStatus(deploymentId),
  };
}
