import { randomUUID } from "node:crypto";
import { isSameId, resourceGroupId } from "../../../base/resource-id.ts";
import { armFront } from "../../http/arm-error.ts";
import type { BodyShape } from "../../http/body-shape.ts";
import { type EmulatorRequest, empty, json, type Route, route } from "../../http/router.ts";
import { scramVerifier } from "../../machines/postgres/login.ts";
import type { Platform } from "../../platform.ts";
import { requireGroup } from "../resources/groups.ts";
import { requireLocation, requireProviderLocation } from "../resources/locations.ts";
import type { Fleet } from "./fleet.ts";
import {
  type Administrator,
  changedServer,
  checkedText,
  type Database,
  type FlexibleServer,
  invalidParameter,
  isServerName,
  newFirewallRule,
  newServer,
  SERVER_NAME_RULE,
  type ServerBody,
  SYSTEM_DATABASES,
} from "./model.ts";
import { listParameters, type Parameter } from "./parameters.ts";
import { childNotFound, requireAccessible, requireIdle, requireServer, serverIdOf, serversOf, type Tables } from "./servers.ts";
import {
  administratorToWire,
  capabilitiesToWire,
  databaseToWire,
  firewallRuleToWire,
  oldCapabilitiesToWire,
  serverToWire,
  TYPE,
} from "./wire.ts";
import type { Writes } from "./writes.ts";

const PROVIDER = "/subscriptions/{subscription}/providers/Microsoft.DBforPostgreSQL";
const GROUP = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.DBforPostgreSQL/flexibleServers";
const SERVER = `${GROUP}/{server}`;

/** The members that local Azure reads of each body (azure-rest-api-specs, specification/postgresql). */
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
const administratorBody: BodyShape = {
  "properties.principalType": "text",
  "properties.principalName": "text",
  "properties.tenantId": "text",
};
const firewallRuleBody: BodyShape = { "properties.startIpAddress": "text", "properties.endIpAddress": "text" };
const configurationBody: BodyShape = { "properties.value": "scalar", "properties.source": "text" };
const databaseBody: BodyShape = { "properties.charset": "text", "properties.collation": "text" };

/** What the routes stand on. */
export interface PostgresDependencies {
  readonly platform: Platform;
  readonly tables: Tables;
  readonly fleet: Fleet;
  readonly writes: Writes;
}

export function postgresRoutes(dependencies: PostgresDependencies): readonly Route[] {
  return [
    ...regionRoutes(dependencies),
    ...serverRoutes(dependencies),
    ...administratorRoutes(dependencies),
    ...firewallRoutes(dependencies),
    ...configurationRoutes(dependencies),
    ...databaseRoutes(dependencies),
    ...absentRoutes(dependencies),
    ...dependencies.writes.routes,
  ];
}

/** Lists of what no server of local Azure can have: az and the portal ask for them. */
function absentRoutes({ platform, tables }: PostgresDependencies): readonly Route[] {
  const kinds = ["backups", "replicas", "virtualendpoints", "privateEndpointConnections", "privateLinkResources", "logFiles"];
  return kinds.map((kind) =>
    route("GET", `${SERVER}/${kind}`, "specification", (request) => {
      requireServer(platform, tables, request);
      return json(200, { value: [] });
    }),
  );
}

function regionRoutes({ platform, tables }: PostgresDependencies): readonly Route[] {
  const checkName = ({ body }: EmulatorRequest): Response => {
    const { name = "", type = TYPE } = (body ?? {}) as { name?: string; type?: string };
    const refusal = !isServerName(name)
      ? { reason: "Invalid", message: SERVER_NAME_RULE }
      : tables.servers.list().some((server) => server.name === name)
        ? { reason: "AlreadyExists", message: "Specified server name is already used." }
        : undefined;
    return json(200, refusal ? { name, type, nameAvailable: false, ...refusal } : { name, type, nameAvailable: true, message: "" });
  };
  const usages = ({ params }: EmulatorRequest): Response =>
    json(200, {
      value: [
        {
          name: { value: "cores", localizedValue: "Total Regional vCores" },
          currentValue: tables.servers.list().length,
          limit: 350,
          unit: "Count",
          id: `/subscriptions/${params.subscription}/providers/Microsoft.DBforPostgreSQL/locations/${params.location}/resourceType/flexibleServers/usages/cores`,
        },
      ],
    });
  return [
    route("POST", `${PROVIDER}/locations/{location}/checkNameAvailability`, "recorded", {}, checkName),
    route("POST", `${PROVIDER}/checkNameAvailability`, "specification", {}, checkName),
    route("GET", `${PROVIDER}/locations/{location}/capabilities`, "recorded", ({ params, apiVersion }) => {
      requireProviderLocation(params.location ?? "", "locations/capabilities", apiVersion);
      return json(200, { value: [apiVersion < "2023" ? oldCapabilitiesToWire() : capabilitiesToWire()] });
    }),
    route("GET", `${SERVER}/capabilities`, "specification", (request) => {
      requireServer(platform, tables, request);
      return json(200, { value: [capabilitiesToWire()] });
    }),
    route("GET", `${PROVIDER}/locations/{location}/resourceType/flexibleServers/usages`, "specification", usages),
    route("POST", "/providers/Microsoft.DBforPostgreSQL/getPrivateDnsZoneSuffix", "specification", "none", () =>
      json(200, "private.postgres.database.azure.com"),
    ),
    route("GET", `${PROVIDER}/flexibleServers`, "specification", ({ params, apiVersion }) =>
      json(200, {
        value: serversOf(tables, `/subscriptions/${params.subscription}`).map((server) => serverToWire(server, apiVersion, "")),
      }),
    ),
  ];
}

function serverRoutes({ platform, tables, fleet, writes }: PostgresDependencies): readonly Route[] {
  const toWire = (server: FlexibleServer, apiVersion: string): object => serverToWire(server, apiVersion, fleet.minorVersion(server));

  const update = async (server: FlexibleServer, request: EmulatorRequest, mayMove: boolean): Promise<Response> => {
    requireIdle(platform, server);
    const body = (request.body ?? {}) as ServerBody;
    requireServable(body);
    if (mayMove) requireSameLocation(server, body, request.params.group ?? "");
    const next = await withVerifier(changedServer(server, body), body);
    if (next.version !== server.version) {
      throw armFront(501, "NotImplementedByLocalAzure", "Local Azure does no upgrade of a server to another major version.");
    }
    requireLogin(next);
    // Documented: another size restarts the server, and so does switching Entra on (a library is loaded).
    const needsRestart = next.sku.name !== server.sku.name || next.auth.activeDirectoryAuth !== server.auth.activeDirectoryAuth;
    return writes.accept("server-update", server, server.id, { next, needsRestart }, request.apiVersion);
  };

  const create = async (request: EmulatorRequest): Promise<Response> => {
    const id = serverIdOf(request);
    const name = request.params.server ?? "";
    requireGroup(platform, id);
    if (tables.servers.list().some((server) => server.name === name)) {
      throw armFront(409, "ServerNameAlreadyExists", "Specified server name is already used.");
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
  };

  const act =
    (kind: "server-start" | "server-stop" | "server-restart") =>
    (request: EmulatorRequest): Response => {
      const server = requireServer(platform, tables, request);
      requireIdle(platform, server);
      return writes.accept(kind, server, server.id, { before: server.state }, request.apiVersion);
    };

  return [
    route("PUT", SERVER, "recorded", serverBody, async (request) => {
      const known = tables.servers.get(serverIdOf(request));
      return known ? update(known, request, true) : create(request);
    }),
    route("GET", SERVER, "recorded", (request) => json(200, toWire(requireServer(platform, tables, request), request.apiVersion))),
    route("PATCH", SERVER, "recorded", serverBody, async (request) => update(requireServer(platform, tables, request), request, false)),
    route("DELETE", SERVER, "recorded", (request) => {
      const id = serverIdOf(request);
      requireGroup(platform, id);
      const server = tables.servers.get(id);
      if (!server) return new Response(null, { status: 204 });
      requireIdle(platform, server);
      return writes.accept("server-delete", server, id, {}, request.apiVersion);
    }),
    route("GET", GROUP, "recorded", (request) => {
      const groupId = resourceGroupId(request.params.subscription ?? "", request.params.group ?? "");
      requireGroup(platform, groupId);
      return json(200, { value: serversOf(tables, groupId).map((server) => toWire(server, request.apiVersion)) });
    }),
    route("POST", `${SERVER}/start`, "recorded", "none", act("server-start")),
    route("POST", `${SERVER}/stop`, "recorded", "none", act("server-stop")),
    route("POST", `${SERVER}/restart`, "recorded", "none", act("server-restart")),
  ];
}

function requireSameLocation(server: FlexibleServer, body: ServerBody, group: string): void {
  const location = body.location?.replace(/\s+/g, "").toLowerCase();
  if (!location || location === server.location) return;
  throw armFront(
    409,
    "InvalidResourceLocation",
    `The resource '${server.name}' already exists in location '${server.location}' in resource group '${group}'. A resource with the same name cannot be created in location '${location}'. Please select a new resource name.`,
  );
}

/** What the body of a server may ask for and local Azure has no machine for: said, not left out in silence. */
function requireServable({ identity, properties }: ServerBody): void {
  const mode = properties?.createMode ?? "Default";
  if (!["default", "create", "update"].includes(mode.toLowerCase())) {
    throw armFront(501, "NotImplementedByLocalAzure", `Local Azure makes no server from another one (createMode ${mode}).`);
  }
  if (identity?.type && identity.type.toLowerCase() !== "none") {
    throw armFront(501, "NotImplementedByLocalAzure", "Local Azure gives no identity to a flexible server.");
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

function administratorRoutes({ platform, tables, writes }: PostgresDependencies): readonly Route[] {
  const ITEM = `${SERVER}/administrators/{objectId}`;
  const idOf = (server: FlexibleServer, request: EmulatorRequest): string => `${server.id}/administrators/${request.params.objectId}`;
  return [
    route("GET", `${SERVER}/administrators`, "recorded", (request) => {
      const server = requireServer(platform, tables, request);
      return json(200, { value: tables.administrators.list(`${server.id}/`).map(administratorToWire) });
    }),
    route("GET", ITEM, "recorded", (request) => {
      const found = tables.administrators.get(idOf(requireServer(platform, tables, request), request));
      if (!found) throw childNotFound("administrators", request.params.objectId ?? "");
      return json(200, administratorToWire(found));
    }),
    route("PUT", ITEM, "recorded", administratorBody, (request) => {
      const server = requireServer(platform, tables, request);
      const administrator = readAdministrator(idOf(server, request), request, server);
      requireIdle(platform, server);
      requireAccessible(server);
      return writes.accept("administrator-put", server, administrator.id, { administrator }, request.apiVersion);
    }),
    route("DELETE", ITEM, "recorded", (request) => {
      const server = requireServer(platform, tables, request);
      const administrator = tables.administrators.get(idOf(server, request));
      if (!administrator) return new Response(null, { status: 204 });
      requireIdle(platform, server);
      requireAccessible(server);
      return writes.accept("administrator-delete", server, administrator.id, { administrator }, request.apiVersion);
    }),
  ];
}

function readAdministrator(id: string, { params, body }: EmulatorRequest, server: FlexibleServer): Administrator {
  const objectId = params.objectId ?? "";
  const { principalType, principalName, tenantId } = ((body ?? {}) as { properties?: Partial<Record<string, string>> }).properties ?? {};
  const type = (["User", "Group", "ServicePrincipal"] as const).find((word) => word === principalType);
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(objectId)) {
    throw invalidParameter("Invalid value given for parameter objectId. Specify a valid parameter value."); // text inferred
  }
  if (!type || !principalName) {
    throw invalidParameter(
      `Invalid value given for parameter ${type ? "principalName" : "principalType"}. Specify a valid parameter value.`,
    );
  }
  if (server.auth.activeDirectoryAuth === "Disabled") {
    throw invalidParameter("Microsoft Entra authentication is not enabled on the server."); // not found anywhere: invented
  }
  return {
    id,
    objectId,
    principalType: type,
    principalName: checkedText(principalName, "principalName"),
    tenantId: checkedText(tenantId || server.auth.tenantId, "tenantId"),
  };
}

function firewallRoutes({ platform, tables, writes }: PostgresDependencies): readonly Route[] {
  const ITEM = `${SERVER}/firewallRules/{rule}`;
  const idOf = (server: FlexibleServer, request: EmulatorRequest): string => `${server.id}/firewallRules/${request.params.rule}`;
  return [
    route("GET", `${SERVER}/firewallRules`, "recorded", (request) => {
      const server = requireServer(platform, tables, request);
      return json(200, { value: tables.rules.list(`${server.id}/`).map(firewallRuleToWire) });
    }),
    route("GET", ITEM, "recorded", (request) => {
      const found = tables.rules.get(idOf(requireServer(platform, tables, request), request));
      if (!found) throw childNotFound("firewallRules", request.params.rule ?? "");
      return json(200, firewallRuleToWire(found));
    }),
    route("PUT", ITEM, "recorded", firewallRuleBody, (request) => {
      const server = requireServer(platform, tables, request);
      const rule = newFirewallRule(idOf(server, request), request.params.rule ?? "", (request.body ?? {}) as object);
      requireIdle(platform, server);
      return writes.accept("firewall-put", server, rule.id, { rule }, request.apiVersion);
    }),
    route("DELETE", ITEM, "recorded", (request) => {
      const server = requireServer(platform, tables, request);
      // Before the search: a rule that is still being made must not count as absent (inferred: one operation at a time on a server).
      requireIdle(platform, server);
      const rule = tables.rules.get(idOf(server, request));
      if (!rule) return new Response(null, { status: 204 });
      return writes.accept("firewall-delete", server, rule.id, { ruleId: rule.id }, request.apiVersion);
    }),
  ];
}

function configurationRoutes({ platform, tables, fleet, writes }: PostgresDependencies): readonly Route[] {
  const ITEM = `${SERVER}/configurations/{name}`;
  const read = async (server: FlexibleServer): Promise<readonly Parameter[]> => {
    const machine = fleet.machine(server);
    // Known: a GET while the server is created answers a plain 500.
    if (!machine) throw armFront(500, "InternalServerError", "An unexpected error occured while processing the request.");
    return listParameters(server, machine, Number(server.version));
  };
  const find = async (server: FlexibleServer, name: string): Promise<Parameter> => {
    const found = (await read(server)).find((parameter) => isSameId(parameter.name, name));
    if (!found) throw childNotFound("configurations", name);
    return found;
  };
  const toWire = (server: FlexibleServer, { name, ...properties }: Parameter): object => ({
    properties,
    id: `${server.id}/configurations/${name}`,
    name,
    type: `${TYPE}/configurations`,
  });
  const change = async (request: EmulatorRequest): Promise<Response> => {
    const server = requireServer(platform, tables, request);
    requireIdle(platform, server);
    const parameter = await find(server, request.params.name ?? "");
    const { value, source } = ((request.body ?? {}) as { properties?: { value?: string; source?: string } }).properties ?? {};
    const isReset = source === "system-default" && (!value || value === parameter.defaultValue); // inferred from the CLI's help
    const text = checkedText(`${value ?? ""}`, "value"); // inferred: other bad values are only found out by the operation
    const payload = isReset ? { parameter } : { parameter, value: parameter.dataType === "Boolean" ? text.toLowerCase() : text };
    return writes.accept("configuration-set", server, `${server.id}/configurations/${parameter.name}`, payload, request.apiVersion);
  };
  return [
    route("GET", `${SERVER}/configurations`, "recorded", async (request) => {
      const server = requireServer(platform, tables, request);
      return json(200, { value: (await read(server)).map((parameter) => toWire(server, parameter)) });
    }),
    route("GET", ITEM, "recorded", async (request) => {
      const server = requireServer(platform, tables, request);
      return json(200, toWire(server, await find(server, request.params.name ?? "")));
    }),
    route("PATCH", ITEM, "recorded", configurationBody, change),
    route("PUT", ITEM, "specification", configurationBody, change),
  ];
}

function databaseRoutes({ platform, tables, fleet, writes }: PostgresDependencies): readonly Route[] {
  const ITEM = `${SERVER}/databases/{database}`;
  const idOf = (server: FlexibleServer, name: string): string => `${server.id}/databases/${name}`;
  /** What is there in truth, made by whichever door; while the server is stopped, what ARM made. */
  const list = async (server: FlexibleServer): Promise<readonly Database[]> => {
    const stored = tables.databases.list(`${server.id}/`);
    const machine = fleet.machine(server);
    const rows = await machine?.administer("SELECT datname FROM pg_catalog.pg_database WHERE NOT datistemplate ORDER BY oid");
    const names = rows?.map(({ datname }) => String(datname)) ?? [...SYSTEM_DATABASES, ...stored.map(({ name }) => name)];
    return names.map(
      (name) => stored.find((known) => known.name === name) ?? { id: idOf(server, name), name, charset: "UTF8", collation: "en_US.utf8" },
    );
  };
  const find = async (server: FlexibleServer, name: string): Promise<Database | undefined> =>
    (await list(server)).find((database) => database.name === name);
  return [
    route("GET", `${SERVER}/databases`, "recorded", async (request) => {
      const server = requireServer(platform, tables, request);
      return json(200, { value: (await list(server)).map(databaseToWire) });
    }),
    route("GET", ITEM, "recorded", async (request) => {
      const found = await find(requireServer(platform, tables, request), request.params.database ?? "");
      if (!found) throw childNotFound("databases", request.params.database ?? "");
      return json(200, databaseToWire(found));
    }),
    route("PUT", ITEM, "recorded", databaseBody, (request) => {
      const server = requireServer(platform, tables, request);
      const name = checkedText(request.params.database ?? "", "databaseName");
      if (name === "" || Buffer.byteLength(name) > 63)
        throw invalidParameter("Invalid value given for parameter databaseName. Specify a valid parameter value.");
      const { charset = "UTF8", collation = "en_US.utf8" } =
        ((request.body ?? {}) as { properties?: { charset?: string; collation?: string } }).properties ?? {};
      requireIdle(platform, server);
      const database = { id: idOf(server, name), name, charset: charset.toUpperCase(), collation };
      return writes.accept("database-put", server, database.id, { database }, request.apiVersion);
    }),
    route("DELETE", ITEM, "recorded", async (request) => {
      const server = requireServer(platform, tables, request);
      const database = await find(server, request.params.database ?? "");
      if (!database) return empty(204);
      if ((SYSTEM_DATABASES as readonly string[]).includes(database.name)) {
        throw invalidParameter(`The system database '${database.name}' cannot be dropped.`); // text inferred
      }
      requireIdle(platform, server);
      return writes.accept("database-delete", server, database.id, { database }, request.apiVersion);
    }),
  ];
}
