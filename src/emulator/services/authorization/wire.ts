import type { RoleAssignment } from "./access.ts";
import type { BuiltInRole } from "./roles.ts";

/** The ID of a built-in role as answers about a subscription have it. */
function roleDefinitionId(subscriptionId: string, guid: string): string {
  return `/subscriptions/${subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${guid}`;
}

/** RoleAssignment (azure-rest-api-specs, specification/authorization, 2022-04-01, authorization-RoleAssignmentsCalls.json). */
export function assignmentToWire(assignment: RoleAssignment, subscriptionId: string): object {
  const { id, name, scope, roleGuid, principalId, principalType, description, createdOn, createdBy } = assignment;
  return {
    properties: {
      roleDefinitionId: roleDefinitionId(subscriptionId, roleGuid),
      principalId,
      principalType,
      scope,
      condition: null,
      conditionVersion: null,
      createdOn,
      updatedOn: createdOn,
      createdBy,
      updatedBy: createdBy,
      delegatedManagedIdentityResourceId: null,
      description: description ?? null,
    },
    id,
    type: "Microsoft.Authorization/roleAssignments",
    name,
  };
}

/** RoleDefinition (the same specification, authorization-RoleDefinitionsCalls.json). */
export function roleToWire(role: BuiltInRole, subscriptionId: string): object {
  return {
    properties: {
      roleName: role.name,
      type: "BuiltInRole",
      description: role.description,
      assignableScopes: ["/"],
      permissions: [{ actions: role.actions, notActions: role.notActions, dataActions: [], notDataActions: [] }],
    },
    id: roleDefinitionId(subscriptionId, role.guid),
    type: "Microsoft.Authorization/roleDefinitions",
    name: role.guid,
  };
}
