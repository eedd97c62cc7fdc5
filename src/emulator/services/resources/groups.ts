import { parseResourceId, resourceGroupId } from "../../../base/resource-id.ts";
import { armError } from "../../http/arm-error.ts";
import type { Platform } from "../../platform.ts";
import type { Collection } from "../../store.ts";

export interface ResourceGroup {
  readonly id: string;
  readonly name: string;
  readonly location: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly managedBy?: string;
  readonly state: "Succeeded" | "Deleting";
}

/** Resource groups by resource ID. */
export function groupsOf(platform: Pick<Platform, "store">): Collection<ResourceGroup> {
  return platform.store.collection<ResourceGroup>("resource-groups");
}

/**
 * The resource group that holds `id` (a group's own ID or that of something in it).
 * Throws ARM's 404 `ResourceGroupNotFound` when there is none, and 409 `ResourceGroupBeingDeleted` while it is going away.
 */
export function requireGroup(platform: Pick<Platform, "store">, id: string): ResourceGroup {
  const group = requireKnownGroup(platform, id);
  if (group.state === "Deleting") {
    throw armError(
      409,
      "ResourceGroupBeingDeleted",
      `The resource group '${group.name}' is in deprovisioning state and cannot perform this operation.`,
    );
  }
  return group;
}

/** As `requireGroup`, for reads: a group that is being deleted can still be seen. */
export function requireKnownGroup(platform: Pick<Platform, "store">, id: string): ResourceGroup {
  const parsed = parseResourceId(id);
  const group = parsed && groupsOf(platform).get(resourceGroupId(parsed.subscriptionId, parsed.resourceGroup));
  if (group) return group;
  throw armError(404, "ResourceGroupNotFound", `Resource group '${parsed?.resourceGroup ?? id}' could not be found.`);
}
