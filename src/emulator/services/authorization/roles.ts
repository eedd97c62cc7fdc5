/** A built-in role: what it allows in ARM. `*` stands for any text, slashes too; letters compare without case. */
export interface BuiltInRole {
  readonly guid: string;
  readonly name: string;
  readonly description: string;
  readonly actions: readonly string[];
  readonly notActions: readonly string[];
}

/** learn.microsoft.com/azure/role-based-access-control/built-in-roles/general, of Contributor's exceptions those that a route here can meet. */
export const builtInRoles: readonly BuiltInRole[] = [
  {
    guid: "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    name: "Owner",
    description: "Grants full access to manage all resources, including the ability to assign roles in Azure RBAC.",
    actions: ["*"],
    notActions: [],
  },
  {
    guid: "b24988ac-6180-42a0-ab88-20f7382dd24c",
    name: "Contributor",
    description: "Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC.",
    actions: ["*"],
    notActions: ["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write", "Microsoft.Authorization/elevateAccess/Action"],
  },
  {
    guid: "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    name: "Reader",
    description: "View all resources, but does not allow you to make any changes.",
    actions: ["*/read"],
    notActions: [],
  },
];

export const owner = builtInRoles[0];

/** By the GUID at the end of a role definition's ID, which comes with the subscription's part or without. */
export function roleOf(roleDefinitionId: string): BuiltInRole | undefined {
  const guid = roleDefinitionId.split("/").at(-1)?.toLowerCase();
  return builtInRoles.find((role) => role.guid === guid);
}

export function allows({ actions, notActions }: BuiltInRole, action: string): boolean {
  const isIn = (patterns: readonly string[]): boolean => patterns.some((pattern) => fits(pattern, action));
  return isIn(actions) && !isIn(notActions);
}

function fits(pattern: string, action: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "i").test(action);
}
