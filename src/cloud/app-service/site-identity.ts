import type { Site as WireSite } from "@azure/arm-appservice";
import { isSameId } from "../../base/resource-id.ts";

export interface IdentityChange {
  /** Turns the system-assigned identity on; user-assigned ones stay. */
  readonly systemIdentity?: true;
  /** Assigns the user-assigned identity with this resource ID; the other identities stay. */
  readonly userIdentity?: string;
}

interface IdentityBody {
  readonly type: string;
  readonly userAssignedIdentities?: Readonly<Record<string, object | null>>;
}

/** What PATCH is told: every identity that is to be there, since naming one alone may take the others away; `null` takes one away. */
function identityBody(hasSystem: boolean, assigned: readonly string[], without?: string): IdentityBody {
  const type = [hasSystem && "SystemAssigned", assigned.length > 0 && "UserAssigned"].filter((word) => word !== false).join(", ");
  if (assigned.length === 0) return { type: type || "None" };
  const gone = without === undefined ? {} : { [without]: null };
  return { type, userAssignedIdentities: { ...Object.fromEntries(assigned.map((id) => [id, {}])), ...gone } };
}

/**
 * The bodies that give a site the wanted identities beside those it has. One that is assigned already is taken away first: it was made
 * anew since, and naming it again may leave the site with the old one (inferred).
 */
export function identityBodies(site: WireSite | undefined, { systemIdentity, userIdentity }: IdentityChange): IdentityBody[] {
  if (!systemIdentity && userIdentity === undefined) return [];
  const hadSystem = /SystemAssigned/i.test(site?.identity?.type ?? "");
  const assigned = Object.keys(site?.identity?.userAssignedIdentities ?? {});
  const stale = userIdentity === undefined ? undefined : assigned.find((id) => isSameId(id, userIdentity));
  const others = assigned.filter((id) => id !== stale);
  const whole = identityBody(hadSystem || systemIdentity === true, userIdentity === undefined ? others : [...others, userIdentity]);
  return stale === undefined ? [whole] : [identityBody(hadSystem, others, stale), whole];
}
