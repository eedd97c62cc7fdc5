import { resourceGroupId, resourceId } from "../../../base/resource-id.ts";
import type { BodyShape } from "../../http/body-shape.ts";
import { boundTo, type EmulatorRequest, empty, json, type OnResource, type Route, type RouteOf, route } from "../../http/router.ts";
import type { Platform } from "../../platform.ts";
import { requireGroup, requireKnownGroup } from "../resources/groups.ts";
import { refusals } from "./errors.ts";
import type { Plan } from "./model.ts";
import { changedPlan, newPlan, type PlanBody } from "./plan-changes.ts";
import type { Sites } from "./sites.ts";
import { planToWire, siteToWire, subscriptionOf } from "./wire.ts";

const PLANS = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Web/serverfarms";
const PLAN = `${PLANS}/{plan}`;

/** The members that local Azure reads (azure-rest-api-specs, specification/web). */
const planBody: BodyShape = {
  "properties.reserved": "flag",
  "properties.perSiteScaling": "flag",
  "properties.elasticScaleEnabled": "flag",
  "properties.maximumElasticWorkerCount": "number",
  "properties.zoneRedundant": "flag",
};

/** App Service plans: learn.microsoft.com/rest/api/appservice/app-service-plans. */
export function planRoutes(platform: Platform, sites: Sites): readonly Route[] {
  const toWire = (plan: Plan, form: "put" | "get"): object => planToWire(plan, sites.onPlan(plan.id).length, form);
  const page = (prefix: string): Response =>
    json(200, { value: sites.plans.list(prefix).map((plan) => toWire(plan, "get")), nextLink: null });
  const find = (request: EmulatorRequest): Plan => {
    requireKnownGroup(platform, groupIdOf(request));
    const found = sites.plans.get(planId(request));
    if (!found) throw refusals.notFound("serverFarms", request.params.plan ?? "", request.params.group ?? "");
    return found;
  };
  return [
    ...lifeRoutes(platform, sites, toWire),
    ...boundTo(find, planOperations(platform, sites, toWire)),
    route("GET", PLANS, "specification", (request) => {
      requireKnownGroup(platform, groupIdOf(request));
      return page(`${groupIdOf(request)}/`);
    }),
    route("GET", "/subscriptions/{subscription}/providers/Microsoft.Web/serverfarms", "specification", ({ params }) =>
      page(`/subscriptions/${params.subscription}/`),
    ),
  ];
}

type ToWire = (plan: Plan, form: "put" | "get") => object;

/** How a plan comes and goes: it need not be there. */
function lifeRoutes(platform: Platform, sites: Sites, toWire: ToWire): readonly Route[] {
  return [
    route("PUT", PLAN, "recorded", planBody, (request) => {
      const { name } = requireGroup(platform, groupIdOf(request));
      const id = planId(request);
      const before = sites.plans.get(id);
      const plan = before
        ? changedPlan(before, (request.body ?? {}) as PlanBody)
        : newPlan((request.body ?? {}) as PlanBody, id, name, platform.clock.now());
      sites.plans.set(plan);
      if (before && before.sku.capacity !== plan.sku.capacity) restartAll(platform, sites, plan.id);
      return json(200, toWire(plan, "put"));
    }),
    route("DELETE", PLAN, "recorded", (request) => {
      requireKnownGroup(platform, groupIdOf(request));
      const plan = sites.plans.get(planId(request));
      if (!plan) return empty(204);
      const users = sites.onPlan(plan.id).map(({ name }) => name);
      if (users.length > 0) throw refusals.planInUse(plan.name, users);
      sites.plans.delete(plan.id);
      return empty(200);
    }),
  ];
}

function planOperations(platform: Platform, sites: Sites, toWire: ToWire): readonly RouteOf<OnResource<Plan>>[] {
  const onPlan = route<OnResource<Plan>>;
  return [
    onPlan("GET", PLAN, "recorded", (plan) => json(200, toWire(plan, "get"))),
    onPlan("PATCH", PLAN, "specification", planBody, (before, { body }) => {
      // The SDK's type has no sku here, and the service leaves it alone.
      const { location: _, sku: _sku, ...wanted } = (body ?? {}) as PlanBody;
      const plan = changedPlan(before, wanted);
      sites.plans.set(plan);
      return json(200, toWire(plan, "get"));
    }),
    onPlan("GET", `${PLAN}/sites`, "specification", (plan) => {
      const rows = sites.onPlan(plan.id).map((site) => siteToWire(site, plan, platform.endpoints.tenantId, "get"));
      return json(200, { value: rows, nextLink: null });
    }),
    onPlan("POST", `${PLAN}/restartSites`, "specification", "none", (plan) => {
      restartAll(platform, sites, plan.id);
      return empty(204);
    }),
    onPlan("POST", `${PLAN}/listinstances`, "specification", "none", (plan) => {
      const instances = Array.from({ length: plan.sku.capacity }, (_, at) => ({
        instanceName: `lw${at}sdlwk000${at}`,
        ipAddress: `10.0.0.${at + 4}`,
        status: "Ready",
      }));
      return json(200, { serverFarmName: plan.name, instances, instanceCount: instances.length });
    }),
  ];
}

function groupIdOf({ params }: EmulatorRequest): string {
  return resourceGroupId(params.subscription ?? "", params.group ?? "");
}

function planId(request: EmulatorRequest): string {
  return resourceId(groupIdOf(request), "Microsoft.Web", "serverfarms", request.params.plan ?? "");
}

function restartAll(platform: Platform, sites: Sites, planIdentifier: string): void {
  for (const site of sites.onPlan(planIdentifier)) {
    sites
      .machine(site)
      .restartApp()
      .catch((error: unknown) => platform.log(`site ${site.name} of ${subscriptionOf(site.id)}: ${String(error)}`));
  }
}
