import { parseResourceId } from "../base/resource-id.ts";
import type { AppServicePlan, WebApps } from "../cloud/app-service/web-apps.ts";
import type { ResourceGroup } from "../cloud/resource-groups.ts";
import { defineStep, type Step } from "../engine/step.ts";

/** The plan of the app; for a web app that is there the plan it is in, whatever its name, since moving an app is nobody's wish. */
export const appServicePlan = (
  desired: {
    key: string;
    name: string;
    /** The web app, for one that is in a plan of another name. */
    site: string;
    location: string;
    sku: string;
    tier: string;
    /** The file names no SKU: a plan that is there keeps its own. */
    isSkuUnspecified: boolean;
    tags: Record<string, string>;
  },
  webApps: WebApps,
  needs: { readonly group: Step<ResourceGroup> },
) =>
  defineStep<AppServicePlan, typeof needs>({
    name: `App Service plan ${desired.key}`,
    needs,
    isBillable: true,
    read: async ({ group }) => (await webApps.getPlan(group.name, desired.name)) ?? planOf(webApps, group.name, desired.site),
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
      if (observed) await webApps.scalePlan(group.name, desired.name, { sku: desired.sku });
      else await webApps.createPlan(group.name, desired.name, desired);
    },
  });

async function planOf(webApps: WebApps, group: string, site: string): Promise<AppServicePlan | undefined> {
  const id = parseResourceId((await webApps.get(group, site))?.planId ?? "");
  return id && webApps.getPlan(id.resourceGroup, id.path.at(-1) ?? "");
}
