import type { AppServicePlan as WirePlan } from "@azure/arm-appservice";
import { KnownError } from "../../base/errors.ts";
import { memoize } from "../../base/memoize.ts";
import { normalizeLocation } from "../../base/resource-id.ts";
import type { Arm } from "../arm.ts";
import { fromThenablePoller } from "../operations.ts";
import { appServiceClient } from "./app-service-client.ts";

export interface AppServicePlan {
  readonly id: string;
  readonly name: string;
  /** Normalised, `eastus`. */
  readonly location: string;
  /** `B1` */
  readonly sku: string;
  /** `Basic` */
  readonly tier: string;
  /** Instances. */
  readonly capacity: number;
  readonly isLinux: boolean;
  readonly numberOfSites: number;
  readonly tags: Readonly<Record<string, string>>;
}

interface NewPlan {
  readonly location: string;
  readonly sku: string;
  readonly tier?: string;
  readonly capacity?: number;
  readonly tags: Readonly<Record<string, string>>;
}

/** App Service plans of one subscription. */
export interface Plans {
  get(group: string, name: string): Promise<AppServicePlan | undefined>;
  create(group: string, name: string, desired: NewPlan): Promise<AppServicePlan>;
  /** Changes SKU or number of instances: reads the plan and puts it back whole, since PATCH has no SKU. */
  scale(group: string, name: string, change: { readonly sku?: string; readonly capacity?: number }): Promise<AppServicePlan>;
  delete(group: string, name: string): Promise<void>;
}

/** Recorded: 9 s; minutes at the worst. */
const DEADLINE_MS = 15 * 60_000;

/** Tier of a plan SKU; wire words of the App Service notes. */
const tiers: readonly (readonly [pattern: RegExp, tier: string])[] = [
  [/^F1$/i, "Free"],
  [/^D1$/i, "Shared"],
  [/^B\d$/i, "Basic"],
  [/^S\d$/i, "Standard"],
  [/^P\dv2$/i, "PremiumV2"],
  [/^P\dv3$/i, "PremiumV3"],
  [/^P\dmv3$/i, "PremiumMV3"],
  [/^P\dv4$/i, "PremiumV4"],
  [/^P\dmv4$/i, "PremiumMV4"],
  [/^EP\d$/i, "ElasticPremium"],
  [/^Y1$/i, "Dynamic"],
  [/^FC1$/i, "FlexConsumption"],
];

function tierOf(sku: string): string {
  const tier = tiers.find(([pattern]) => pattern.test(sku))?.[1];
  if (tier === undefined) throw new KnownError("azure/invalid", `no App Service plan SKU is named ${sku}`, { hint: "use B1, S1, P0v3, …" });
  return tier;
}

function toPlan(plan: WirePlan): AppServicePlan {
  return {
    id: plan.id ?? "",
    name: plan.name ?? "",
    location: normalizeLocation(plan.location),
    sku: plan.sku?.name ?? "",
    tier: plan.sku?.tier ?? "",
    capacity: plan.sku?.capacity ?? 0,
    isLinux: plan.reserved ?? false,
    numberOfSites: plan.numberOfSites ?? 0,
    tags: plan.tags ?? {},
  };
}

/** `@azure/arm-appservice` 19, api-version 2025-05-01. */
export function plans(arm: Arm): Plans {
  const sdk = memoize(async () => {
    const [connection, operations] = await Promise.all([appServiceClient(arm), import("@azure/arm-appservice/api/appServicePlans")]);
    return { connection, operations };
  });
  const read = (group: string, name: string) =>
    arm.orUndefined(`read the App Service plan ${name}`, async () => {
      const { connection, operations } = await sdk();
      return operations.get(connection, group, name);
    });
  const put = async (what: string, group: string, name: string, plan: WirePlan): Promise<AppServicePlan> => {
    const { connection, operations } = await sdk();
    const begin = () => fromThenablePoller<WirePlan>(() => operations.createOrUpdate(connection, group, name, plan));
    return toPlan(await arm.operate(`${what} the App Service plan ${name}`, begin, { deadlineMs: DEADLINE_MS }));
  };
  return {
    get: async (group, name) => {
      const plan = await read(group, name);
      return plan && toPlan(plan);
    },
    create: (group, name, { location, sku, tier, capacity, tags }) =>
      put("create", group, name, {
        location,
        kind: "linux",
        reserved: true,
        tags: { ...tags },
        sku: { name: sku, tier: tier ?? tierOf(sku), capacity: capacity ?? 1 },
      }),
    scale: async (group, name, { sku, capacity }) => {
      const plan = await read(group, name);
      if (!plan) throw new KnownError("azure/not-found", `there is no App Service plan ${name} in ${group}`);
      const skuName = sku ?? plan.sku?.name ?? "";
      // Size and family belong to the old SKU: left out, Azure works them out.
      const wanted = { name: skuName, tier: tierOf(skuName), capacity: capacity ?? plan.sku?.capacity ?? 1 };
      return put("scale", group, name, { ...plan, sku: wanted });
    },
    delete: async (group, name) => {
      await arm.orUndefined(`delete the App Service plan ${name}`, async () => {
        const { connection, operations } = await sdk();
        await operations.$delete(connection, group, name);
      });
    },
  };
}
