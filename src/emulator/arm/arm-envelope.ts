import type { BodyShape } from "../http/body-shape.ts";

/** What every ARM body has where it has it (azure-rest-api-specs, specification/common-types/resource-management). */
export const armEnvelope: BodyShape = {
  name: "text",
  type: "text",
  kind: "text",
  location: "text",
  managedBy: "text",
  tags: "object",
  "tags.*": "text",
  sku: "object",
  "sku.name": "text",
  "sku.tier": "text",
  "sku.capacity": "number",
  identity: "object",
  "identity.type": "text",
  "identity.userAssignedIdentities": "object",
  "identity.userAssignedIdentities.*": "object",
  properties: "object",
};
