import type { Platform, Service } from "../../platform.ts";
import type { LinkerDependencies } from "./linker-work.ts";
import { createLinkers } from "./linkers.ts";
import { linkerRoutes } from "./routes.ts";
import { STATUS_API_VERSION } from "./wire.ts";

/** Service Connector: links from sites to databases of flexible servers. */
export function createServiceLinkerService(platform: Platform, dependencies: LinkerDependencies): Service {
  const linkers = createLinkers(platform, dependencies);
  return {
    namespace: "Microsoft.ServiceLinker",
    apiVersions: ["2022-05-01", "2022-11-01-preview", "2023-04-01-preview", "2024-04-01", "2024-07-01-preview"],
    hiddenApiVersions: [STATUS_API_VERSION],
    routes: linkerRoutes(platform, linkers),
    removeGroup: async (groupId) => linkers.removeBelow(groupId),
    removeExtensions: linkers.removeBelow,
  };
}
