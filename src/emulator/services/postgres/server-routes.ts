import { randomUUID } from "node:crypto";
import { resourceGroupId } from "../../../base/resource-id.ts";
import { armError } from "../../http/arm-error.ts";
import type { BodyShape } from "../../http/body-shape.ts";
import { type EmulatorRequest, json, type Route, route } from "../../http/router.ts";
import { scramVerifier } from "../../machines/postgres/login.ts";
import { requireGroup } from "../resources/groups.ts";
import { requireLocation } from "../resources/locations.ts";
import { changedServer, type FlexibleServer, invalidParameter, newServer, type ServerBody } from "./model.ts";
import { onServer, type PostgresDependencies, SERVER, SERVERS, type ServerOperation } from "./server-operations.ts";
import { requireIdle, serverIdOf, serversOf } from "./servers.ts";
import { serverToWire, TYPE } from "./wire.ts";

/** The members that local Azure reads (azure-rest-api-specs, specification/postgresql). */
const serverBody: BodyShape = {
  "properties.version": "text",
  "properties.administratorLogin": "text",
  "properties.administratorLoginPassword": "text",
  "properties.createMode": "text",
  "properties.availabilityZone": "text",
  "properties.storage": "object",
  "properties.storage.storageSizeGB": "number",
  "properties.storage.autoGrow": "text",
  "properties.backup": "object",
  "properties.backup.backupRetentionDays": "number",
  "properties.backup.geoRedundantBackup": "text",
  "properties.highAvailability": "object",
  "properties.highAvailability.mode": "text",
  "properties.network": "object",
  "properties.network.publicNetworkAccess": "text",
  "properties.maintenanceWindow": "object",
  "properties.authConfig": "object",
  "properties.authConfig.activeDirectoryAuth": "text",
  "properties.authConfig.passwordAuth": "text",
  "properties.authConfig.tenantId": "text",
};

/** How servers come and go, and their list: the server need not be there. */
export function serverRoutes(dependencies: PostgresDependencies): readonly Route[] {
  const { platform, tables, fleet, writes } = dependencies;
  return [
    route("PUT", SERVER, "recorded", serverBody, (request) => {
      const known = tables.servers.get(serverIdOf(request));
      return known ? updateServer(dependencies, known, request) : createFlexibleServer(dependencies, request);
    }),
    route("DELETE", SERVER, "recorded", (request) => {
      const id = serverIdOf(request);
      requireGroup(platform, id);
      const server = tables.servers.get(id);
      if (!server) return new Response(null, { status: 204 });
      requireIdle(platform, server);
      return writes.accept("server-delete", server, id, {}, request.apiVersion);
    }),
    route("GET", SERVERS, "recorded", ({ params, apiVersion }) => {
      const groupId = resourceGroupId(params.subscription ?? "", params.group ?? "");
      requireGroup(platform, groupId);
      const servers = serversOf(tables, groupId);
      return json(200, { value: servers.map((server) => serverToWire(server, apiVersion, fleet.minorVersion(server))) });
    }),
  ];
}

/** Operations on a server that is there: learn.microsoft.com/rest/api/postgresql/servers. */
export function serverOperations(dependencies: PostgresDependencies): readonly ServerOperation[] {
  const { platform, fleet, writes } = dependencies;
  const act =
    (kind: "server-start" | "server-stop" | "server-restart") =>
    (server: FlexibleServer, { apiVersion }: EmulatorRequest): Response => {
      requireIdle(platform, server);
      return writes.accept(kind, server, server.id, { before: server.state }, apiVersion);
    };
  return [
    onServer("GET", "", "recorded", (server, { apiVersion }) => json(200, serverToWire(server, apiVersion, fleet.minorVersion(server)))),
    onServer("PATCH", "", "recorded", serverBody, (server, request) => updateServer(dependencies, server, request)),
    onServer("POST", "/start", "recorded", "none", act("server-start")),
    onServer("POST", "/stop", "recorded", "none", act("server-stop")),
    onServer("POST", "/restart", "recorded", "none", act("server-restart")),
  ];
}

async function updateServer(
  { platform, writes }: PostgresDependencies,
  server: FlexibleServer,
  { method, params, body: given, apiVersion }: EmulatorRequest,
): Promise<Response> {
  requireIdle(platform, server);
  const body = (given ?? {}) as ServerBody;
  requireServable(body);
  if (method === "PUT") requireSameLocation(server, body, params.group ?? "");
  const next = await withVerifier(changedServer(server, body), body);
  if (next.version !== server.version) {
    throw armError(501, "NotImplementedByLocalAzure", "Local Azure does no upgrade of a server to another major version.");
  }
  requireLogin(next);
  // Documented: another size restarts the server, and so does switching Entra on (a library is loaded).
  const needsRestart = next.sku.name !== server.sku.name || next.auth.activeDirectoryAuth !== server.auth.activeDirectoryAuth;
  return writes.accept("server-update", server, server.id, { next, needsRestart }, apiVersion);
}

async function createFlexibleServer({ platform, tables, writes }: PostgresDependencies, request: EmulatorRequest): Promise<Response> {
  const id = serverIdOf(request);
  const name = request.params.server ?? "";
  requireGroup(platform, id);
  if (tables.servers.list().some((server) => server.name === name)) {
    throw armError(409, "ServerNameAlreadyExists", "Specified server name is already used.");
  }
  const body = (request.body ?? {}) as ServerBody;
  requireServable(body);
  if (body.location) requireLocation(body.location, TYPE);
  const createdAt = new Date(platform.clock.now()).toISOString();
  const wanted = newServer(id, name, body, platform.endpoints.tenantId, createdAt);
  const server = { ...(await withVerifier(wanted, body)), generation: randomUUID() };
  requireLogin(server);
  tables.servers.set(id, server);
  return writes.accept("server-create", server, id, {}, request.apiVersion);
}

function requireSameLocation(server: FlexibleServer, body: ServerBody, group: string): void {
  const location = body.location?.replace(/\s+/g, "").toLowerCase();
  if (!location || location === server.location) return;
  throw armError(
    409,
    "InvalidResourceLocation",
    `The resource '${server.name}' already exists in location '${server.location}' in resource group '${group}'. A resource with the same name cannot be created in location '${location}'. Please select a new resource name.`,
  );
}

/** What the body of a server may ask for and local Azure has no machine for: said, not left out in silence. */
function requireServable({ identity, properties }: ServerBody): void {
  const mode = properties?.createMode ?? "Default";
  if (!["default", "create", "update"].includes(mode.toLowerCase())) {
    throw armError(501, "NotImplementedByLocalAzure", `Local Azure makes no server from another one (createMode ${mode}).`);
  }
  if (identity?.type && identity.type.toLowerCase() !== "none") {
    throw armError(501, "NotImplementedByLocalAzure", "Local Azure gives no identity to a flexible server.");
  }
}

async function withVerifier(server: FlexibleServer, body: ServerBody): Promise<FlexibleServer> {
  const password = body.properties?.administratorLoginPassword;
  return password ? { ...server, administratorVerifier: await scramVerifier(password) } : server;
}

function requireLogin(server: FlexibleServer): void {
  if (server.auth.passwordAuth === "Disabled" || (server.administratorLogin && server.administratorVerifier)) return;
  throw invalidParameter("Invalid value given for parameter administratorLogin. Specify a valid parameter value."); // text inferred
}
