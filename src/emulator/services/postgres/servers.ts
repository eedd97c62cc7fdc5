import { isSameId, resourceGroupId } from "../../../base/resource-id.ts";
import { armError } from "../../http/arm-error.ts";
import type { EmulatorRequest } from "../../http/router.ts";
import type { Platform } from "../../platform.ts";
import type { Collection } from "../../store.ts";
import { requireKnownGroup } from "../resources/groups.ts";
import type { Administrator, Database, FirewallRule, FlexibleServer } from "./model.ts";
import { afterServerEvent, type ServerEvent } from "./server-state.ts";
import { TYPE } from "./wire.ts";

/** All that this provider remembers, by resource ID. */
export interface Tables {
  readonly servers: Collection<FlexibleServer>;
  readonly administrators: Collection<Administrator>;
  readonly rules: Collection<FirewallRule>;
  readonly databases: Collection<Database>;
}

export function openTables({ store }: Pick<Platform, "store">): Tables {
  return {
    servers: store.collection("postgres-servers"),
    administrators: store.collection("postgres-administrators"),
    rules: store.collection("postgres-firewall-rules"),
    databases: store.collection("postgres-databases"),
  };
}

/** A server, told apart from an earlier or later one of the same name. Servers of older versions have no generation. */
export type ServerKey = Pick<FlexibleServer, "id" | "generation">;

function isSameServer(one: ServerKey, other: ServerKey): boolean {
  return isSameId(one.id, other.id) && one.generation === other.generation;
}

/** The row of this very server; not that of a later one with its name. */
export function findServer(servers: Collection<FlexibleServer>, key: ServerKey): FlexibleServer | undefined {
  const server = servers.get(key.id);
  return server && isSameServer(server, key) ? server : undefined;
}

/** Changes the row of a server that is still there. */
export function changeServer(
  servers: Collection<FlexibleServer>,
  key: ServerKey,
  change: (server: FlexibleServer) => FlexibleServer,
): void {
  const server = findServer(servers, key);
  if (server) servers.set(server.id, change(server));
}

/** Something happened to a server, if it is still there. Throws when it cannot happen in the server's state. */
export function applyServerEvent(servers: Collection<FlexibleServer>, key: ServerKey, event: ServerEvent): void {
  changeServer(servers, key, (server) => afterServerEvent(server, event));
}

/** The ID of the server a request's path names, spelled as Azure spells it. */
export function serverIdOf({ params }: EmulatorRequest): string {
  return `${resourceGroupId(params.subscription ?? "", params.group ?? "")}/providers/${TYPE}/${params.server}`;
}

/** The server of a request's path. Throws ARM's 404 for group or server. */
export function requireServer(platform: Platform, tables: Tables, request: EmulatorRequest): FlexibleServer {
  const id = serverIdOf(request);
  requireKnownGroup(platform, id);
  const server = tables.servers.get(id);
  if (server) return server;
  const { server: name, group } = request.params;
  throw armError(
    404,
    "ResourceNotFound",
    `The Resource '${TYPE}/${name}' under resource group '${group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
  );
}

/** For work that comes too late: the server was deleted meanwhile. */
export function serverGone(id: string) {
  return armError(404, "ResourceNotFound", `The Resource '${TYPE}/${id.split("/").at(-1)}' was not found.`); // text inferred
}

/** 404 as the provider itself says it, for children. */
export function childNotFound(kind: string, name: string) {
  return armError(404, "ResourceNotFound", `The requested resource of type '${TYPE}/${kind}' with name '${name}' was not found.`);
}

/** Azure does one write at a time on a server, its children included. */
export function requireIdle(platform: Pick<Platform, "operations">, server: FlexibleServer): void {
  if (platform.operations.running(server.id).length === 0) return;
  throw armError(
    409,
    "ServerIsBusy",
    `Cannot complete operation while server '${server.name}' is busy processing another operation. Try again later.`,
  );
}

export function requireAccessible(server: FlexibleServer): void {
  if (server.state === "Ready") return;
  throw armError(
    409,
    "AadAuthOperationCannotBePerformedWhenServerIsNotAccessible",
    `The server '${server.name}' is not in an accessible state to perform Azure AD Principal operation. Please make sure the server is accessible before executing Azure AD Principal operations.`,
  );
}

/** Servers of one group, in any case of its ID. */
export function serversOf(tables: Tables, groupId: string): FlexibleServer[] {
  return tables.servers.list(`${groupId}/`);
}

/** Forgets a server and its children. */
export function forget(tables: Tables, serverId: string): void {
  tables.servers.delete(serverId);
  for (const table of [tables.administrators, tables.rules, tables.databases] as const) {
    for (const { id } of table.list(`${serverId}/`)) table.delete(id);
  }
}
