import type { ResourceGroup, ResourceGroups } from "../cloud/resource-groups.ts";
import { defineStep } from "../engine/step.ts";

/** The resource group. One that is there is taken as it is, whatever its location and tags. */
export const resourceGroup = (desired: { name: string; location: string; tags: Record<string, string> }, groups: ResourceGroups) =>
  defineStep<ResourceGroup, Record<never, never>>({
    name: "resource group",
    needs: {},
    isBillable: true, // costs nothing itself; all that costs is made in it
    read: () => groups.get(desired.name),
    plan: (observed) => (observed ? { kind: "keep" } : { kind: "create", reason: `${desired.name} in ${desired.location}` }),
    apply: async () => void (await groups.put(desired.name, { location: desired.location, tags: desired.tags })),
  });
