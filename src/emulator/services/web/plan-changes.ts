import { normalizeLocation } from "../../../base/resource-id.ts";
import { requireLocation } from "../resources/locations.ts";
import { refusals } from "./errors.ts";
import { maximumWorkers, normalizeSku, type Plan } from "./model.ts";

/** Any member may be null, as an absent one. */
export interface PlanBody {
  readonly location?: string | null;
  readonly tags?: Readonly<Record<string, string>> | null;
  readonly sku?: { readonly name?: string; readonly tier?: string; readonly capacity?: number };
  readonly properties?: {
    readonly reserved?: boolean;
    readonly perSiteScaling?: boolean;
    readonly elasticScaleEnabled?: boolean;
    readonly maximumElasticWorkerCount?: number;
    readonly zoneRedundant?: boolean;
  };
}

/** A plan as a PUT on a free name makes it; `now` in epoch milliseconds. Throws Microsoft.Web's refusals. */
export function newPlan(body: PlanBody, id: string, resourceGroup: string, now: number): Plan {
  if (!body.location) throw refusals.invalid("Location");
  const blank: Plan = {
    id,
    name: id.split("/").at(-1) ?? "",
    resourceGroup,
    location: body.location,
    sku: { name: "F1", tier: "Free", size: "F1", family: "F", capacity: 1 },
    isReserved: false,
    number: 10_000 + Math.floor(now % 90_000),
    isPerSiteScaling: false,
    isElasticScaleEnabled: false,
    maximumElasticWorkerCount: 1,
    isZoneRedundant: false,
    createdTime: new Date(now).toISOString().replace("Z", "0000"),
  };
  return changedPlan(blank, body);
}

/** The plan after a write. Members left out stay. Throws Microsoft.Web's refusals. */
export function changedPlan(before: Plan, { tags, ...body }: PlanBody): Plan {
  const location = body.location ?? before.location;
  const wanted = body.properties ?? {};
  requireLocation(location, "Microsoft.Web/serverfarms");
  if (normalizeLocation(location) !== normalizeLocation(before.location)) throw refusals.invalid("Location");
  const sku = normalizeSku(body.sku?.name ?? before.sku.name, body.sku?.capacity ?? before.sku.capacity);
  if (!sku) throw refusals.invalid("Sku");
  if (sku.capacity < 1 || sku.capacity > maximumWorkers(sku)) throw refusals.invalid("Sku.Capacity");
  return {
    ...before,
    location,
    sku,
    isReserved: wanted.reserved ?? before.isReserved,
    isPerSiteScaling: wanted.perSiteScaling ?? before.isPerSiteScaling,
    isElasticScaleEnabled: wanted.elasticScaleEnabled ?? before.isElasticScaleEnabled,
    maximumElasticWorkerCount: wanted.maximumElasticWorkerCount ?? before.maximumElasticWorkerCount,
    isZoneRedundant: wanted.zoneRedundant ?? before.isZoneRedundant,
    ...(tags ? { tags } : {}),
  };
}
