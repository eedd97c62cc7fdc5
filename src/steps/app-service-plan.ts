import type { ResourceGroup } from "../cloud/resource-groups.ts";
import type { AppServicePlan, WebApps } from "../cloud/web-apps.ts";
import { defineStep, type Step } from "../engine/step.ts";

export const appServicePlan = (
  desired: { key: string; name: string; location: string; sku: string; tier: string; tags: Record<string, string> },
  webApps: WebApps,
  needs: { readonly group: Step<ResourceGroup> },
) =>
  defineStep<AppServicePlan, typeof needs>({
    name: `App Service plan ${desired.key}`,
    needs,
    read: ({ group }) => webApps.getPlan(group.name, desired.name),
    plan: (observed) => {
      if (!observed) return { kind: "create", reason: `${desired.name}: ${desired.sku} in ${desired.location}` };
      if (!observed.isLinux)
        return { kind: "blocked", reason: "it is a Windows plan", hint: "give the app another name, or remove that plan" };
      if (observed.sku.toLowerCase() === desired.sku.toLowerCase()) return { kind: "keep" };
      return { kind: "update", differences: [{ field: "sku", observed: observed.sku, desired: desired.sku }] };
    },
    apply: async (_change, { group }, observed) => {
      if (observed) await webApps.scalePlan(group.name, desired.name, { sku: desired.sku });
      else await webApps.createPlan(group.name, desired.name, desired);
    },
  });
