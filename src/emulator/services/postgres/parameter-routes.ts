import { armError } from "../../http/arm-error.ts";
import type { BodyShape } from "../../http/body-shape.ts";
import { propertiesOf } from "../../http/properties-of.ts";
import { type EmulatorRequest, json } from "../../http/router.ts";
import { checkedText, type FlexibleServer } from "./model.ts";
import { listParameters, type Parameter } from "./parameters.ts";
import { onServer, type PostgresDependencies, type ServerOperation } from "./server-operations.ts";
import { childNotFound, requireIdle } from "./servers.ts";
import { parameterToWire } from "./wire.ts";

/** The members that local Azure reads (azure-rest-api-specs, specification/postgresql). */
const parameterBody: BodyShape = { "properties.value": "scalar", "properties.source": "text" };

/** Server parameters, `configurations` on the wire: learn.microsoft.com/rest/api/postgresql/configurations. */
export function parameterOperations({ platform, fleet, writes }: PostgresDependencies): readonly ServerOperation[] {
  const ITEM = "/configurations/{name}";
  const list = async (server: FlexibleServer): Promise<readonly Parameter[]> => {
    const machine = fleet.machine(server);
    // Known: a GET while the server is created answers a plain 500.
    if (!machine) throw armError(500, "InternalServerError", "An unexpected error occured while processing the request.");
    return listParameters(server, machine, Number(server.version));
  };
  const find = async (server: FlexibleServer, { params: { name = "" } }: EmulatorRequest): Promise<Parameter> => {
    const found = (await list(server)).find((parameter) => parameter.name.toLowerCase() === name.toLowerCase());
    if (!found) throw childNotFound("configurations", name);
    return found;
  };
  const change = async (server: FlexibleServer, request: EmulatorRequest): Promise<Response> => {
    requireIdle(platform, server);
    const parameter = await find(server, request);
    const { value, source } = propertiesOf<{ value: string; source: string }>(request);
    const isReset = source === "system-default" && (!value || value === parameter.defaultValue); // inferred from the CLI's help
    const text = checkedText(`${value ?? ""}`, "value"); // inferred: other bad values are only found out by the operation
    const payload = isReset ? { parameter } : { parameter, value: parameter.dataType === "Boolean" ? text.toLowerCase() : text };
    return writes.accept("configuration-set", server, `${server.id}/configurations/${parameter.name}`, payload, request.apiVersion);
  };
  return [
    onServer("GET", "/configurations", "recorded", async (server) =>
      json(200, { value: (await list(server)).map((parameter) => parameterToWire(server, parameter)) }),
    ),
    onServer("GET", ITEM, "recorded", async (server, request) => json(200, parameterToWire(server, await find(server, request)))),
    onServer("PATCH", ITEM, "recorded", parameterBody, change),
    onServer("PUT", ITEM, "specification", parameterBody, change),
  ];
}
