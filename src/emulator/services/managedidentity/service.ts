import type { Platform, ResourceSummary, Service } from "../../platform.ts";
import { type Identity, identitiesOf } from "./model.ts";
import { identityRoutes } from "./routes.ts";
import { identityType } from "./wire.ts";

/** Microsoft.ManagedIdentity: user-assigned identities. What they are assigned to is kept by Microsoft.Web. */
export function createManagedIdentityService(platform: Platform): Service {
  const identities = identitiesOf(platform);
  const inGroup = (groupId: string): Identity[] => identities.list(`${groupId}/`);
  return {
    namespace: "Microsoft.ManagedIdentity",
    // azure-rest-api-specs, specification/msi.
    apiVersions: [
      "2015-08-31-preview",
      "2018-11-30",
      "2021-09-30-preview",
      "2022-01-31-preview",
      "2023-01-31",
      "2023-07-31-preview",
      "2024-11-30",
    ],
    routes: identityRoutes(platform, identities),
    resources: (groupId) => inGroup(groupId).map(summary),
    setTags: (id, tags) => {
      const identity = identities.get(id);
      if (identity) identities.set(id, { ...identity, tags });
    },
    removeGroup: async (groupId) => {
      for (const identity of inGroup(groupId)) {
        identities.delete(identity.id);
        platform.directory.remove(identity.principalId);
      }
    },
  };
}

function summary({ id, name, location, tags }: Identity): ResourceSummary {
  return { id, name, type: identityType, location, ...(tags ? { tags } : {}) };
}
