import { parseResourceId } from "../base/resource-id.ts";
import type { SiteAddress } from "../base/site-address.ts";
import type { AppServicePlan, WebApps } from "../cloud/app-service/web-apps.ts";
import type { ResourceGroup } from "../cloud/resource-groups.ts";
import { defineStep, type Step } from "../engine/step.ts";
import type { PlanSetup } from "../project/setup.ts";

/** The plan of the app; for a web app that is there the plan it is in, whatever its name, since moving an app is nobody's wish. */
export const appServicePlan = (
  desired: PlanSetup & {
    readonly label: string;
    /** The site, which may be in a plan of another name. */
    readonly site: SiteAddress;
    readonly location: string;
    readonly tags: Readonly<Record<string, string>>;
  },
  webApps: WebApps,
  needs: { readonly group: Step<ResourceGroup> },
) =>
  defineStep<AppServicePlan, typeof needs>({
    name: `App Service plan ${desired.label}`,
    needs,
    isBillable: true,
    read: async ({ group }) => (await webApps.getPlan(group.name, desired.name)) ?? planOf(webApps, desired.site),
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

async function planOf(webApps: WebApps, { group, app }: SiteAddress): Promise<AppServicePlan | undefined> {
  const id = parseResourceId((await webApps.get(group, app))?.planId ?? "");
  return id && webApps.getPlan(id.resourceGroup, id.path.at(-1) ?? "");
}
