import { join } from "node:path";
import { writeShims } from "../../machines/app/shims.ts";
import { sweepProcesses } from "../../machines/process.ts";
import type { Platform, ResourceSummary, Service, SiteRegistry } from "../../platform.ts";
import { type IdentityEndpoint, openIdentityEndpoint } from "./identity.ts";
import { planRoutes } from "./plan-routes.ts";
import { siteRoutes } from "./site-routes.ts";
import { createSites, type Sites } from "./sites.ts";
import { subscriptionRoutes } from "./subscription-routes.ts";

/** azure-rest-api-specs, specification/web; the older ones are what older SDKs and Terraform send. */
const API_VERSIONS = [
  "2018-02-01",
  "2018-11-01",
  "2019-08-01",
  "2020-06-01",
  "2020-09-01",
  "2020-10-01",
  "2020-12-01",
  "2021-01-01",
  "2021-01-15",
  "2021-02-01",
  "2021-03-01",
  "2022-03-01",
  "2022-09-01",
  "2023-01-01",
  "2023-12-01",
  "2024-04-01",
  "2024-11-01",
  "2025-03-01",
  "2025-05-01",
];

/** Microsoft.Web: plans, sites, their SCM sites, containers and the managed identity endpoint. */
export function createWebService(platform: Platform): Service & SiteRegistry {
  let endpoint: IdentityEndpoint | undefined;
  const identity = (): IdentityEndpoint => {
    if (!endpoint) throw new Error("Microsoft.Web was not started");
    return endpoint;
  };
  const shims = writeShims(join(platform.home.sites, ".shims"));
  const sites = createSites(platform, identity, shims);
  return {
    namespace: "Microsoft.Web",
    apiVersions: API_VERSIONS,
    routes: [...planRoutes(platform, sites), ...siteRoutes(platform, sites), ...subscriptionRoutes(sites)],
    find: sites.find,
    changeAppSettings: sites.changeAppSettings,
    enableSystemIdentity: sites.enableSystemIdentity,
    assignIdentity: sites.assignIdentity,
    resources: (groupId) => summaries(sites, groupId),
    setTags: (id, tags) => {
      const plan = sites.plans.get(id);
      if (plan) sites.plans.set({ ...plan, tags });
      else sites.update(id, { tags }, false);
    },
    removeGroup: async (groupId) => {
      for (const site of sites.list(`${groupId}/`)) await sites.delete(site.id);
      for (const plan of sites.plans.list(`${groupId}/`)) sites.plans.delete(plan.id);
    },
    start: async () => {
      const swept = sweepProcesses(platform.store, "/providers/Microsoft.Web/");
      if (swept.length > 0) platform.log(`ended ${swept.length} app process(es) of a local Azure that was killed`);
      endpoint = await openIdentityEndpoint(platform, sites.principalsOf);
      await sites.start();
    },
    stop: async () => {
      await sites.stop();
      await endpoint?.close();
      endpoint = undefined;
    },
  };
}

function summaries(sites: Sites, groupId: string): readonly ResourceSummary[] {
  const plans = sites.plans.list(`${groupId}/`).map(({ id, name, location, tags, sku, isReserved }) => ({
    id,
    name,
    type: "Microsoft.Web/serverFarms",
    location,
    sku,
    kind: isReserved ? "linux" : "app",
    ...(tags ? { tags } : {}),
  }));
  const apps = sites.list(`${groupId}/`).map(({ id, name, location, tags, kind }) => ({
    id,
    name,
    type: "Microsoft.Web/sites",
    location,
    kind,
    ...(tags ? { tags } : {}),
  }));
  return [...plans, ...apps];
}
