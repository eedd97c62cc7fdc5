import type { Access, Directory } from "../../platform.ts";
import type { Collection, Store } from "../../store.ts";
import { allows, type BuiltInRole, owner, roleOf } from "./roles.ts";

/** A role assignment as it is kept, by its resource ID. */
export interface RoleAssignment {
  readonly id: string;
  readonly name: string;
  /** Resource ID of the subscription, a resource group or a resource. */
  readonly scope: string;
  readonly roleGuid: string;
  readonly principalId: string;
  readonly principalType: string;
  readonly description?: string;
  /** ISO date. */
  readonly createdOn: string;
  /** Object ID of who made it. */
  readonly createdBy: string;
}

export function assignmentsOf({ store }: { readonly store: Store }): Collection<RoleAssignment> {
  return store.collection<RoleAssignment>("authorization/assignments");
}

/**
 * What principals may do in ARM. The users and the application of the tenant own the subscription, as whoever made it does on Azure; a managed
 * identity may do nothing until a role is assigned to it, or to a group that it is in.
 */
export function createAccess(store: Store, directory: Directory): Access {
  const assignments = assignmentsOf({ store });
  const rolesOf = (objectId: string, isAt: (scope: string) => boolean): readonly BuiltInRole[] => {
    const principal = directory.find(objectId);
    if (!principal) return [];
    if (principal.managedIdentityOf === undefined) return owner ? [owner] : [];
    const ids = [objectId, ...directory.groupsOf(objectId)].map((id) => id.toLowerCase());
    const own = assignments.list().filter(({ principalId, scope }) => ids.includes(principalId.toLowerCase()) && isAt(scope));
    return own.flatMap(({ roleGuid }) => roleOf(roleGuid) ?? []);
  };
  return {
    isAllowed: (objectId, action, scope) => rolesOf(objectId, (at) => isWithin(scope, at)).some((role) => allows(role, action)),
    isAllowedBelow: (objectId, action, scope) => rolesOf(objectId, (at) => isWithin(at, scope)).some((role) => allows(role, action)),
  };
}

/** Is `id` the scope itself or below it? */
export function isWithin(id: string, scope: string): boolean {
  const [inner, outer] = [id, scope].map((text) => text.replace(/\/+$/, "").toLowerCase());
  return inner === outer || (inner?.startsWith(`${outer}/`) ?? false);
}
