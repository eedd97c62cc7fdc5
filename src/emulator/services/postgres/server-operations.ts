import { boundTo, type OnResource, type Route, type RouteOf, route } from "../../http/router.ts";
import type { Platform } from "../../platform.ts";
import type { Fleet } from "./fleet.ts";
import type { FlexibleServer } from "./model.ts";
import { requireServer, type Tables } from "./servers.ts";
import type { Writes } from "./writes.ts";

export const SERVERS = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.DBforPostgreSQL/flexibleServers";
export const SERVER = `${SERVERS}/{server}`;

/** What the routes stand on. */
export interface PostgresDependencies {
  readonly platform: Platform;
  readonly tables: Tables;
  readonly fleet: Fleet;
  readonly writes: Writes;
}

export type ServerOperation = RouteOf<OnResource<FlexibleServer>>;

/** A row of a table of operations on a server that is there: `path` is what comes behind the server's own. */
export const onServer = route<OnResource<FlexibleServer>>;

/** The routes of operations on servers: each finds its server first, or answers ARM's 404. */
export function boundToServers({ platform, tables }: PostgresDependencies, operations: readonly ServerOperation[]): readonly Route[] {
  const bound = boundTo((request) => requireServer(platform, tables, request), operations);
  return bound.map((operation) => ({ ...operation, path: `${SERVER}${operation.path}` }));
}
