import type { BodyShape } from "../../http/body-shape.ts";
import { propertiesOf } from "../../http/properties-of.ts";
import { type EmulatorRequest, json } from "../../http/router.ts";
import { type Administrator, checkedText, type FlexibleServer, invalidParameter } from "./model.ts";
import { onServer, type PostgresDependencies, type ServerOperation } from "./server-operations.ts";
import { childNotFound, requireAccessible, requireIdle } from "./servers.ts";
import { administratorToWire } from "./wire.ts";

/** The members that local Azure reads (azure-rest-api-specs, specification/postgresql). */
const administratorBody: BodyShape = {
  "properties.principalType": "text",
  "properties.principalName": "text",
  "properties.tenantId": "text",
};

/** Entra administrators: learn.microsoft.com/rest/api/postgresql/administrators-microsoft-entra. */
export function administratorOperations({ platform, tables, writes }: PostgresDependencies): readonly ServerOperation[] {
  const ITEM = "/administrators/{objectId}";
  const idOf = (server: FlexibleServer, { params }: EmulatorRequest): string => `${server.id}/administrators/${params.objectId}`;
  return [
    onServer("GET", "/administrators", "recorded", ({ id }) =>
      json(200, { value: tables.administrators.list(`${id}/`).map(administratorToWire) }),
    ),
    onServer("GET", ITEM, "recorded", (server, request) => {
      const found = tables.administrators.get(idOf(server, request));
      if (!found) throw childNotFound("administrators", request.params.objectId ?? "");
      return json(200, administratorToWire(found));
    }),
    onServer("PUT", ITEM, "recorded", administratorBody, (server, request) => {
      const administrator = readAdministrator(idOf(server, request), request, server);
      requireIdle(platform, server);
      requireAccessible(server);
      return writes.accept("administrator-put", server, administrator.id, { administrator }, request.apiVersion);
    }),
    onServer("DELETE", ITEM, "recorded", (server, request) => {
      const administrator = tables.administrators.get(idOf(server, request));
      if (!administrator) return new Response(null, { status: 204 });
      requireIdle(platform, server);
      requireAccessible(server);
      return writes.accept("administrator-delete", server, administrator.id, { administrator }, request.apiVersion);
    }),
  ];
}

function readAdministrator(id: string, request: EmulatorRequest, server: FlexibleServer): Administrator {
  const { objectId = "" } = request.params;
  const { principalType, principalName, tenantId } = propertiesOf<Record<"principalType" | "principalName" | "tenantId", string>>(request);
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
