import { normalizeLocation, resourceGroupId, resourceId } from "../../../base/resource-id.ts";
import type { BodyShape } from "../../http/body-shape.ts";
import { type EmulatorRequest, empty, json, type Route, route } from "../../http/router.ts";
import type { Platform } from "../../platform.ts";
import { requireGroup, requireKnownGroup } from "../resources/groups.ts";
import { requireLocation } from "../resources/locations.ts";
import { refusals } from "./errors.ts";
import { maximumWorkers, normalizeSku, type Plan } from "./model.ts";
import type { Sites } from "./sites.ts";
import { planToWire, siteToWire, subscriptionOf } from "./wire.ts";

const PLANS = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Web/serverfarms";
const PLAN = `${PLANS}/{plan}`;

interface PlanBody {
  readonly location?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly sku?: { readonly name?: string; readonly tier?: string; readonly capacity?: number };
  readonly properties?: {
    readonly reserved?: boolean;
    readonly perSiteScaling?: boolean;
    readonly elasticScaleEnabled?: boolean;
    readonly maximumElasticWorkerCount?: number;
    readonly zoneRedundant?: boolean;
  };
}

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
  const wire = (plan: Plan, form: "put" | "get"): object => planToWire(plan, sites.onPlan(plan.id).length, form);
  const find = (request: EmulatorRequest): Plan => {
    const { group = "", plan = "" } = request.params;
    requireKnownGroup(platform, groupIdOf(request));
    const found = sites.plans.get(planId(request));
    if (!found) throw refusals.notFound("serverFarms", plan, group);
    return found;
  };
  return [
    route("PUT", PLAN, "recorded", planBody, (request) => {
      const group = requireGroup(platform, groupIdOf(request));
      const id = planId(request);
      const before = sites.plans.get(id);
      const plan = planFrom(request.body as PlanBody, id, group.name, before, platform);
      sites.plans.set(plan);
      if (before && before.sku.capacity !== plan.sku.capacity) restartAll(platform, sites, plan.id);
      return json(200, wire(plan, "put"));
    }),
    route("GET", PLAN, "recorded", (request) => json(200, wire(find(request), "get"))),
    route("PATCH", PLAN, "specification", planBody, (request) => {
      const before = find(request);
      const body = (request.body ?? {}) as PlanBody;
      // The SDK's type has no sku here, and the service leaves it alone.
      const plan = planFrom({ ...body, location: before.location, sku: before.sku }, before.id, before.resourceGroup, before, platform);
      sites.plans.set(plan);
      return json(200, wire(plan, "get"));
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
    route("GET", PLANS, "specification", (request) => {
      requireKnownGroup(platform, groupIdOf(request));
      const rows = sites.plans.list(`${groupIdOf(request)}/`);
      return json(200, { value: rows.map((plan) => wire(plan, "get")), nextLink: null });
    }),
    route("GET", "/subscriptions/{subscription}/providers/Microsoft.Web/serverfarms", "specification", (request) => {
      const rows = sites.plans.list(`/subscriptions/${request.params.subscription}/`);
      return json(200, { value: rows.map((plan) => wire(plan, "get")), nextLink: null });
    }),
    route("GET", `${PLAN}/sites`, "specification", (request) => {
      const plan = find(request);
      const rows = sites.onPlan(plan.id).map((site) => siteToWire(site, plan, platform.endpoints.tenantId, "get"));
      return json(200, { value: rows, nextLink: null });
    }),
    route("POST", `${PLAN}/restartSites`, "specification", "none", (request) => {
      restartAll(platform, sites, find(request).id);
      return empty(204);
    }),
    route("POST", `${PLAN}/listinstances`, "specification", "none", (request) => {
      const plan = find(request);
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

function planFrom(body: PlanBody | undefined, id: string, group: string, before: Plan | undefined, platform: Platform): Plan {
  const location = body?.location ?? before?.location;
  if (!location) throw refusals.invalid("Location");
  requireLocation(location, "Microsoft.Web/serverfarms");
  if (before && normalizeLocation(location) !== normalizeLocation(before.location)) throw refusals.invalid("Location");
  const sku = normalizeSku(body?.sku?.name ?? before?.sku.name ?? "F1", body?.sku?.capacity ?? before?.sku.capacity ?? 1);
  if (!sku) throw refusals.invalid("Sku");
  if (sku.capacity < 1 || sku.capacity > maximumWorkers(sku)) throw refusals.invalid("Sku.Capacity");
  const wanted = body?.properties ?? {};
  return {
    id: before?.id ?? id,
    name: before?.name ?? id.split("/").at(-1) ?? "",
    resourceGroup: before?.resourceGroup ?? group,
    location,
    sku,
    isReserved: wanted.reserved ?? before?.isReserved ?? false,
    number: before?.number ?? 10_000 + Math.floor(platform.clock.now() % 90_000),
    isPerSiteScaling: wanted.perSiteScaling ?? before?.isPerSiteScaling ?? false,
    isElasticScaleEnabled: wanted.elasticScaleEnabled ?? before?.isElasticScaleEnabled ?? false,
    maximumElasticWorkerCount: wanted.maximumElasticWorkerCount ?? before?.maximumElasticWorkerCount ?? 1,
    isZoneRedundant: wanted.zoneRedundant ?? before?.isZoneRedundant ?? false,
    createdTime: before?.createdTime ?? new Date(platform.clock.now()).toISOString().replace("Z", "0000"),
    ...(body?.tags ? { tags: body.tags } : before?.tags ? { tags: before.tags } : {}),
  };
}

function restartAll(platform: Platform, sites: Sites, planIdentifier: string): void {
  for (const site of sites.onPlan(planIdentifier)) {
    sites
      .machine(site)
      .restartApp()
      .catch((error: unknown) => platform.log(`site ${site.name} of ${subscriptionOf(site.id)}: ${String(error)}`));
  }
}
