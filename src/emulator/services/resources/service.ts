import type { Platform, Service } from "../../platform.ts";
import { groupsOf } from "./groups.ts";
import type { Providers } from "./providers.ts";
import { GROUP_DELETE, resourceRoutes } from "./routes.ts";

/** ARM itself: subscriptions, locations, providers, resource groups. `services` are all services, itself included. */
export function createResourcesService(platform: Platform, providers: Providers, services: () => readonly Service[]): Service {
  platform.operations.define(GROUP_DELETE, {
    work: async ({ resourceId }) => {
      // Linkers before their sites, sites before servers: the reverse of the order in which services are built upon each other.
      for (const service of [...services()].reverse()) await service.removeGroup?.(resourceId);
    },
    finish: ({ resourceId }) => void groupsOf(platform).delete(resourceId),
    fail: ({ resourceId }) => {
      const group = groupsOf(platform).get(resourceId);
      if (group) groupsOf(platform).set(resourceId, { ...group, state: "Succeeded" });
    },
  });
  return { namespace: "Microsoft.Resources", apiVersions: API_VERSIONS, routes: resourceRoutes(platform, providers, services) };
}

/** Those of the SDKs, of az and of Terraform in use today (azure-rest-api-specs, specification/resources). */
const API_VERSIONS = [
  "2015-11-01",
  "2016-06-01",
  "2016-09-01",
  "2017-05-10",
  "2018-02-01",
  "2018-05-01",
  "2018-06-01",
  "2019-03-01",
  "2019-05-01",
  "2019-05-10",
  "2019-06-01",
  "2019-07-01",
  "2019-08-01",
  "2019-10-01",
  "2019-11-01",
  "2020-01-01",
  "2020-06-01",
  "2020-08-01",
  "2020-10-01",
  "2021-01-01",
  "2021-04-01",
  "2022-09-01",
  "2022-12-01",
  "2023-07-01",
  "2024-03-01",
  "2024-07-01",
  "2024-08-01",
  "2024-11-01",
  "2025-03-01",
  "2025-04-01",
  "2025-07-01",
];
