import type { FlexibleServerRegistry, Platform, Service } from "../../platform.ts";
import { POSTGRES_PORT } from "./doors.ts";
import { createFleet } from "./fleet.ts";
import { SYSTEM_DATABASES } from "./model.ts";
import { createRevival } from "./revival.ts";
import { postgresRoutes } from "./routes.ts";
import { forget, openTables, requireIdle, serverGone, serversOf } from "./servers.ts";
import { TYPE } from "./wire.ts";
import { createWrites } from "./writes.ts";

/** Those with flexible servers (azure-rest-api-specs, specification/postgresql); the last three as az 2.8x, az 2.91 and the Python SDK 3.0 send them. */
const API_VERSIONS = [
  "2021-06-01",
  "2021-06-01-preview",
  "2022-01-20-preview",
  "2022-03-08-preview",
  "2022-12-01",
  "2023-03-01-preview",
  "2023-06-01-preview",
  "2023-12-01-preview",
  "2024-03-01-preview",
  "2024-08-01",
  "2024-11-01-preview",
  "2025-01-01-preview",
  "2025-06-01-preview",
  "2025-08-01",
  "2026-01-01-preview",
  "2026-04-01-preview",
  "2026-10-01",
];

/** What a body without a version gets, and this tool's own default. */
const USUAL_MAJOR = 16;

/** Microsoft.DBforPostgreSQL: flexible servers that are real PostgreSQL behind a token gateway. */
export function createPostgresService(platform: Platform): Service & { readonly registry: FlexibleServerRegistry } {
  const tables = openTables(platform);
  const fleet = createFleet(platform, tables.servers, tables.rules);
  const writes = createWrites({ platform, tables, fleet });
  const revival = createRevival(platform, tables.servers, fleet);
  return {
    namespace: "Microsoft.DBforPostgreSQL",
    apiVersions: API_VERSIONS,
    routes: postgresRoutes({ platform, tables, fleet, writes }),
    resources: (groupId) =>
      serversOf(tables, groupId).map(({ id, name, location, tags, sku }) => ({
        id,
        name,
        type: TYPE,
        location,
        sku,
        ...(tags ? { tags } : {}),
      })),
    setTags: (serverId, tags) => {
      const server = tables.servers.get(serverId);
      if (!server) throw serverGone(serverId);
      requireIdle(platform, server);
      tables.servers.set(serverId, { ...server, tags });
    },
    removeGroup: async (groupId) => {
      for (const server of serversOf(tables, groupId)) {
        await fleet.destroy(server);
        forget(tables, server.id);
      }
      platform.store.commit();
    },
    start: async () => {
      // Made ready before the first server asks, so that creating it takes no longer than on any other day.
      fleet.warm(USUAL_MAJOR).catch((error) => platform.log(`postgres: ${error instanceof Error ? error.message : error}`));
      await revival.start();
    },
    ending: () => fleet.ending(),
    stop: async () => {
      revival.stop();
      await fleet.close();
    },
    registry: registry(platform, tables),
  };
}

function registry(platform: Platform, tables: ReturnType<typeof openTables>): FlexibleServerRegistry {
  return {
    find: (serverId) => {
      const server = tables.servers.get(serverId);
      if (!server?.address) return undefined;
      const { id, name, address, publicNetworkAccess } = server;
      const databases = [...SYSTEM_DATABASES, ...tables.databases.list(`${id}/`).map((database) => database.name)];
      return { id, name, host: address, port: POSTGRES_PORT, databases, publicNetworkAccess };
    },
    allowAzureServices: (serverId) => {
      const server = tables.servers.get(serverId);
      const rules = tables.rules.list(`${serverId}/`);
      if (!server || rules.some((rule) => rule.startIpAddress === "0.0.0.0" && rule.endIpAddress === "0.0.0.0")) return;
      const name = `AllowAllAzureServicesAndResourcesWithinAzureIps_${platform.clock.now()}`;
      const id = `${server.id}/firewallRules/${name}`;
      tables.rules.set(id, { id, name, startIpAddress: "0.0.0.0", endIpAddress: "0.0.0.0" });
      platform.store.commit();
    },
  };
}
