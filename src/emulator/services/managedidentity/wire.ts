import type { Identity } from "./model.ts";

export const identityType = "Microsoft.ManagedIdentity/userAssignedIdentities";

/**
 * An identity as every operation answers it; `resourcegroups` in lower case, as the examples have it
 * (azure-rest-api-specs, specification/msi, 2023-01-31, IdentityCreate.json).
 */
export function identityToWire(
  identity: Identity,
  { clientId, tenantId }: { readonly clientId: string; readonly tenantId: string },
): object {
  return {
    id: identity.id.replace(/\/resourceGroups\//i, "/resourcegroups/"),
    location: identity.location,
    name: identity.name,
    type: identityType,
    tags: identity.tags ?? {},
    properties: { tenantId, principalId: identity.principalId, clientId },
  };
}
