import { isSameId } from "../base/resource-id.ts";
import type { Site } from "../cloud/app-service/sites.ts";
import { isInTransition, type Linker, type Linkers } from "../cloud/linkers.ts";
import type { Database } from "../cloud/server-children.ts";
import { type AnyStep, type Change, type Difference, defineStep, type Step } from "../engine/step.ts";

interface DesiredConnection {
  readonly label: string;
  readonly name: string;
  readonly userName: string;
  readonly clientType: string;
  /** Service Connector must not open the server to all of Azure, which it does by itself. */
  readonly leavesFirewall: boolean;
  /** Of the user-assigned identity, where the app has one. */
  readonly identitySubscriptionId?: string;
}

/** The Service Connector linker from the web app to the database. It names the role and writes settings; it makes no role and no grant. */
export const serviceConnection = (
  desired: DesiredConnection,
  linkers: Linkers,
  /** The firewall first: Service Connector opens a server that does not let Azure in by a rule of its own. */
  needs: { readonly site: Step<Site>; readonly database: Step<Database>; readonly firewall: AnyStep },
) =>
  defineStep<Linker, typeof needs>({
    name: `service connection ${desired.label}`,
    needs,
    lane: `site ${desired.label}`,
    read: ({ site }) => linkers.get(site.id, desired.name),
    plan: (observed, needed) => planConnection(desired, observed, needed),
    apply: async (_change, needed) => {
      const { site, database } = needed;
      // Service Connector refuses a write while it is at work for a run that was killed, or for another one.
      const current = await linkers.settled(site.id, desired.name);
      if (planConnection(desired, current, needed).kind === "keep") return;
      const { userName, clientType, leavesFirewall, identitySubscriptionId: subscriptionId } = desired;
      await linkers.put(site.id, desired.name, {
        targetId: database.id,
        userName,
        clientType,
        leavesFirewall,
        ...(subscriptionId !== undefined && { identity: { clientId: site.clientId ?? "", subscriptionId } }),
      });
    },
  });

/** How Service Connector calls the app's kind of identity. */
export function authTypeOf(isUserAssigned: boolean): string {
  return isUserAssigned ? "userAssignedIdentity" : "systemAssignedIdentity";
}

function planConnection(
  desired: DesiredConnection,
  observed: Linker | undefined,
  { site, database }: { readonly site: Site; readonly database: Database },
): Change {
  if (!observed) return { kind: "create", reason: desired.name };
  const differences: Difference[] = [];
  const differ = (field: string, is: unknown, wanted: unknown): void =>
    void (is !== wanted && differences.push({ field, observed: is, desired: wanted }));
  if (!isSameId(observed.targetId, database.id)) differ("target", observed.targetId, database.id);
  const hasOwn = desired.identitySubscriptionId !== undefined;
  differ("authType", observed.authType, authTypeOf(hasOwn));
  if (hasOwn) differ("clientId", observed.clientId, site.clientId ?? "(that of the new identity)");
  differ("userName", observed.userName, desired.userName);
  differ("clientType", observed.clientType, desired.clientType);
  // The other way round nothing is amiss: the firewall's own step lets Azure in.
  if (desired.leavesFirewall && observed.opensFirewall) differ("publicNetworkSolution", "enable", "optOut");
  if (observed.provisioningState === "Failed" || isInTransition(observed)) {
    differ("provisioningState", observed.provisioningState, "Succeeded");
  }
  return differences.length === 0 ? { kind: "keep" } : { kind: "update", differences };
}
