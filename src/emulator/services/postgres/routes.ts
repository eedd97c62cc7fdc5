import { type EmulatorRequest, json, type Route, route } from "../../http/router.ts";
import { requireProviderLocation } from "../resources/locations.ts";
import { administratorOperations } from "./administrator-routes.ts";
import { databaseOperations } from "./database-routes.ts";
import { firewallRuleOperations } from "./firewall-rule-routes.ts";
import { isServerName, SERVER_NAME_RULE } from "./model.ts";
import { parameterOperations } from "./parameter-routes.ts";
import { boundToServers, onServer, type PostgresDependencies, type ServerOperation } from "./server-operations.ts";
import { serverOperations, serverRoutes } from "./server-routes.ts";
import { serversOf } from "./servers.ts";
import { capabilitiesToWire, oldCapabilitiesToWire, serverToWire, TYPE } from "./wire.ts";

const PROVIDER = "/subscriptions/{subscription}/providers/Microsoft.DBforPostgreSQL";

/** Flexible servers: learn.microsoft.com/rest/api/postgresql. */
export function postgresRoutes(dependencies: PostgresDependencies): readonly Route[] {
  return [
    ...regionRoutes(dependencies),
    ...serverRoutes(dependencies),
    ...boundToServers(dependencies, [
      ...serverOperations(dependencies),
      ...administratorOperations(dependencies),
      ...firewallRuleOperations(dependencies),
      ...parameterOperations(dependencies),
      ...databaseOperations(dependencies),
      onServer("GET", "/capabilities", "specification", () => json(200, { value: [capabilitiesToWire()] })),
      ...absentOperations(),
    ]),
    ...dependencies.writes.routes,
  ];
}

/** Lists of what no server of local Azure can have: az and the portal ask for them. */
function absentOperations(): readonly ServerOperation[] {
  const kinds = ["backups", "replicas", "virtualendpoints", "privateEndpointConnections", "privateLinkResources", "logFiles"];
  return kinds.map((kind) => onServer("GET", `/${kind}`, "specification", () => json(200, { value: [] })));
}

function regionRoutes({ tables }: PostgresDependencies): readonly Route[] {
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
