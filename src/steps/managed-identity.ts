import type { ManagedIdentities } from "../cloud/managed-identities.ts";
import type { ResourceGroup } from "../cloud/resource-groups.ts";
import { defineStep, type Step } from "../engine/step.ts";
import { type AppIdentity, toAppIdentity } from "./app-identity.ts";

interface DesiredIdentity {
  readonly id: string;
  /** Unique in the graph. */
  readonly label: string;
  /** Given by its resource ID: somebody else's, to be taken as it is. */
  readonly isForeign: boolean;
  readonly location: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** For an identity that the project file names by its resource ID: such a one is never made. */
export const missingIdentityHint =
  "correct its resource ID in the project file, or give a name alone: then it is created in the project's resource group";

/** A user-assigned identity that apps sign in with. Read also while it is absent, so that the rest of the plan can be told. */
export const managedIdentity = (desired: DesiredIdentity, identities: ManagedIdentities, needs: { readonly group?: Step<ResourceGroup> }) =>
  defineStep<AppIdentity, typeof needs>({
    name: `managed identity ${desired.label}`,
    needs,
    read: async () => toAppIdentity(desired.id, await identities.get(desired.id)),
    plan: (observed) => {
      if (observed?.principalId) return { kind: "keep" };
      if (!desired.isForeign) return { kind: "create", reason: desired.label };
      return {
        kind: "blocked",
        reason: `there is no user-assigned identity ${desired.id}`,
        hint: missingIdentityHint,
        code: "azure/not-found",
      };
    },
    apply: async () => {
      await identities.put(desired.id, { location: desired.location, tags: desired.tags });
    },
  });
