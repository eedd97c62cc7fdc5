import { isSameId, parseResourceId, resourceGroupId, resourceId } from "../base/resource-id.ts";
import type { Site } from "../cloud/app-service/sites.ts";
import type { Cloud } from "../cloud/cloud.ts";
import type { Setup } from "../project/setup.ts";
import type { SiteSetup } from "../project/site-setup.ts";

/** The user-assigned identity that an app signs in with. Principal and client ID are missing while it does not exist. */
export interface AppIdentity {
  readonly id: string;
  readonly name: string;
  /** Object ID. */
  readonly principalId?: string;
  readonly clientId?: string;
}

/** Resource ID of the user-assigned identity that the project file names for an app; `undefined`: the app has its system-assigned one. */
export function identityIdOf(setup: Setup, subscriptionId: string, { identity }: Pick<SiteSetup, "identity">): string | undefined {
  if (identity === undefined || identity.startsWith("/")) return identity;
  return resourceId(resourceGroupId(subscriptionId, setup.resourceGroup), "Microsoft.ManagedIdentity", "userAssignedIdentities", identity);
}

/** The identity as it is now, for those who have no graph; `undefined` for a system-assigned one. */
export async function readIdentity(
  setup: Setup,
  { managedIdentities, subscriptionId }: Pick<Cloud, "managedIdentities" | "subscriptionId">,
  app: SiteSetup,
): Promise<AppIdentity | undefined> {
  const id = identityIdOf(setup, subscriptionId, app);
  return id === undefined ? undefined : toAppIdentity(id, await managedIdentities.get(id));
}

/** What is chosen, with what Azure says of it. */
export function toAppIdentity(id: string, found: { readonly principalId: string; readonly clientId: string } | undefined): AppIdentity {
  const name = parseResourceId(id)?.path.at(-1) ?? id;
  return found ? { id, name, principalId: found.principalId, clientId: found.clientId } : { id, name };
}

/**
 * The web app as the project's app signs in from it: with a user-assigned identity `principalId` and `clientId` are that one's, as it is
 * now; else `principalId` is that of the system-assigned one and there is no `clientId`.
 */
export function withEffectiveIdentity(site: Site, identity: AppIdentity | undefined): Site {
  if (!identity) return site;
  const { principalId: _system, ...rest } = site;
  const { principalId, clientId } = identity;
  return { ...rest, ...(principalId && { principalId }), ...(clientId && { clientId }) };
}

/** Whether the web app has the identity that its app signs in with, in words; `ok` is false also for one made anew since it was assigned. */
export function identityVerdict(site: Site, identity: AppIdentity | undefined): { readonly ok: boolean; readonly detail: string } {
  if (!identity) {
    const { principalId } = site;
    return { ok: principalId !== undefined, detail: principalId ? `principal ${principalId}` : "the app has no system-assigned identity" };
  }
  const { id, name, principalId } = identity;
  if (!principalId) return { ok: false, detail: `the user-assigned identity ${name} does not exist` };
  const assigned = site.userIdentities.find((one) => isSameId(one.id, id));
  if (!assigned) return { ok: false, detail: `the user-assigned identity ${name} is not assigned to the app` };
  if (assigned.principalId?.toLowerCase() === principalId.toLowerCase()) return { ok: true, detail: `${name}, principal ${principalId}` };
  return {
    ok: false,
    detail: `${name} was made anew: the app has principal ${assigned.principalId ?? "(none)"}, it is ${principalId} now`,
  };
}
