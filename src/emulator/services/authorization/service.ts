import type { Platform, Service } from "../../platform.ts";
import { assignmentsOf, isWithin } from "./access.ts";
import { authorizationRoutes } from "./routes.ts";

/** Microsoft.Authorization: roles of principals at a scope. What they allow is judged where a request comes in. */
export function createAuthorizationService(platform: Platform, services: () => readonly Service[]): Service {
  const assignments = assignmentsOf(platform);
  const forget = (scope: string): void => {
    for (const { id, scope: at } of assignments.list()) if (isWithin(at, scope)) assignments.delete(id);
  };
  return {
    namespace: "Microsoft.Authorization",
    // azure-rest-api-specs, specification/authorization; the older ones as az and the SDKs ask.
    apiVersions: [
      "2015-07-01",
      "2018-01-01-preview",
      "2018-07-01",
      "2018-09-01-preview",
      "2020-04-01-preview",
      "2020-08-01-preview",
      "2020-10-01-preview",
      "2021-04-01-preview",
      "2022-04-01",
    ],
    routes: authorizationRoutes(platform, services),
    removeGroup: async (groupId) => forget(groupId),
    removeExtensions: forget,
    forgetAccess: forget,
  };
}
