import { parseResourceId } from "../base/resource-id.ts";
import type { SiteAddress } from "../base/site-address.ts";
import type { AppServicePlan } from "../cloud/app-service/plans.ts";
import type { Cloud } from "../cloud/cloud.ts";
import type { ResourceGroup } from "../cloud/resource-groups.ts";
import { defineStep, type Step } from "../engine/step.ts";
import type { PlanSetup } from "../project/site-setup.ts";

interface DesiredPlan extends PlanSetup {
  readonly label: string;
  /** The site, for one that is in a plan of another name. */
  readonly site: SiteAddress;
  readonly location: string;
  readonly tags: Readonly<Record<string, string>>;
}

type Adapters = Pick<Cloud, "plans" | "sites">;

/** The plan of a site; for a site that is there the plan it is in, whatever its name, since moving an app is nobody's wish. */
export const appServicePlan = (desired: DesiredPlan, { plans, sites }: Adapters, needs: { readonly group: Step<ResourceGroup> }) =>
  defineStep<AppServicePlan, typeof needs>({
    name: `App Service plan ${desired.label}`,
    needs,
    isBillable: true,
    read: async ({ group }) => (await plans.get(group.name, desired.name)) ?? planOf({ plans, sites }, desired.site),
    plan: (observed) => {
      if (!observed) return { kind: "create", reason: `${desired.name}: ${desired.sku} in ${desired.location}` };
      if (!observed.isLinux)
        return { kind: "blocked", reason: "it is a Windows plan", hint: "give the app another name, or remove that plan" };
      // A plan of another name is shared or somebody else's: its size is not ours to change.
      if (desired.isSkuUnspecified || observed.name !== desired.name) return { kind: "keep" };
      if (observed.sku.toLowerCase() === desired.sku.toLowerCase()) return { kind: "keep" };
      return { kind: "update", differences: [{ field: "sku", observed: observed.sku, desired: desired.sku }] };
    },
    apply: async (_change, { group }, observed) => {
      const { name, location, sku, tags } = desired;
      if (observed) await plans.scale(group.name, name, { sku });
      else await plans.create(group.name, name, { location, sku, tags });
    },
  });

async function planOf({ plans, sites }: Adapters, site: SiteAddress): Promise<AppServicePlan | undefined> {
  const id = parseResourceId((await sites.at(site).get())?.planId ?? "");
  return id && plans.get(id.resourceGroup, id.path.at(-1) ?? "");
}
