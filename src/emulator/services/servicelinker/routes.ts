import { armError } from "../../http/arm-error.ts";
import { propertiesOf } from "../../http/properties-of.ts";
import { type EmulatorRequest, json, type Route, route } from "../../http/router.ts";
import type { Operation } from "../../operations.ts";
import type { Platform } from "../../platform.ts";
import type { LinkerPayload } from "./linker-work.ts";
import type { Creator, LinkerAddress, Linkers } from "./linkers.ts";
import type { Linker } from "./model.ts";
import {
  etagOf,
  isSignedVersion,
  linkerFromWire,
  linkerToWire,
  operationName,
  propertiesToBody,
  STATUS_API_VERSION,
  settingsToWire,
  statusToWire,
} from "./wire.ts";

const LINKERS = "/{scope...}/providers/Microsoft.ServiceLinker/linkers";
const LINKER = `${LINKERS}/{linker}`;
const STATUS = "/subscriptions/{subscription}/providers/Microsoft.ServiceLinker/locations/{location}/operationStatuses/{operation}";
const HUB = { "x-ms-providerhub-traffic": "True" };

export function linkerRoutes(platform: Platform, linkers: Linkers): readonly Route[] {
  const { operations, endpoints } = platform;
  const statusPath = (operation: Operation): string =>
    `/subscriptions/${endpoints.subscriptionId}/providers/Microsoft.ServiceLinker/locations/${operation.location.toUpperCase().replaceAll(" ", "")}/operationStatuses/${operationName(operation)}`;
  const statusUrl = (operation: Operation, apiVersion: string): string => {
    const url = `${endpoints.resourceManager}${statusPath(operation)}`;
    return isSignedVersion(apiVersion) ? operations.sign(`${url}?api-version=${STATUS_API_VERSION}`) : `${url}?api-version=${apiVersion}`;
  };
  const accepted = (operation: Operation, apiVersion: string, headers: Record<string, string>): Response => {
    const url = statusUrl(operation, apiVersion);
    return json(202, null, { ...HUB, ...headers, "azure-asyncoperation": url, location: url });
  };
  const put = (request: EmulatorRequest, body: unknown): Response => {
    const { apiVersion } = request;
    const wanted = linkerFromWire(body, apiVersion);
    const { linker, operation } = linkers.put(addressOf(request), wanted, creatorOf(request), apiVersion);
    // 201 for a replacement, too (recorded).
    return json(201, linkerToWire(linker, apiVersion, "put"), {
      ...HUB,
      etag: etagOf(linker.modifiedAt),
      "azure-asyncoperation": statusUrl(operation, apiVersion),
    });
  };
  const required = (request: EmulatorRequest): Linker => {
    const linker = linkers.get(addressOf(request));
    if (linker) return linker;
    throw armError(404, "ResourceNotFound", `The linker '${nameOf(request)}' is not found.`); // text inferred
  };
  return [
    route("GET", LINKERS, "recorded", (request) =>
      json(200, { value: linkers.list(scopeOf(request)).map((linker) => linkerToWire(linker, request.apiVersion, "get")) }, HUB),
    ),
    route("GET", LINKER, "recorded", (request) => {
      const linker = required(request);
      return json(200, linkerToWire(linker, request.apiVersion, "get"), { ...HUB, etag: etagOf(linker.modifiedAt) });
    }),
    route("PUT", LINKER, "recorded", {}, (request) => put(request, request.body)),
    route("PATCH", LINKER, "specification", {}, (request) => {
      return put(request, { properties: { ...propertiesToBody(required(request)), ...propertiesOf(request) } });
    }),
    route("DELETE", LINKER, "recorded", (request) => {
      const linker = linkers.get(addressOf(request));
      if (!linker) return new Response(null, { status: 204, headers: HUB });
      const operation = linkers.delete(linker, request.apiVersion);
      return accepted(operation, request.apiVersion, { etag: etagOf(operation.startTime) });
    }),
    route("POST", `${LINKER}/validateLinker`, "recorded", "none", (request) =>
      accepted(linkers.validate(required(request), request.apiVersion), request.apiVersion, {}),
    ),
    route("POST", `${LINKER}/listConfigurations`, "recorded", "none", (request) =>
      json(200, settingsToWire(required(request).settings, request.apiVersion), HUB),
    ),
    route("GET", STATUS, "recorded", (request) => {
      const id = request.params.operation?.split("*")[0] ?? "";
      const known = operations.peek(id);
      if (!known?.kind.startsWith("servicelinker/")) throw armError(404, "ResourceNotFound", "The operation status is not found.");
      const { apiVersion } = known.payload as LinkerPayload;
      if (isSignedVersion(apiVersion) && !operations.isSigned(request.url)) {
        throw armError(403, "AuthorizationFailed", "The signature of the operation status URL is not valid."); // inferred
      }
      const operation = operations.poll(id) ?? known;
      return json(200, statusToWire(operation, statusPath(operation), apiVersion), {
        etag: etagOf(operation.endTime ?? operation.startTime),
      });
    }),
  ];
}

/** With one slash in front, however many came: the SDK sends two when it is given one. */
function scopeOf({ params }: EmulatorRequest): string {
  return `/${(params.scope ?? "").split("/").filter(Boolean).join("/")}`;
}

function addressOf(request: EmulatorRequest): LinkerAddress {
  return { sourceId: scopeOf(request), name: nameOf(request) };
}

/** Letters, digits, `.` and `_` only: no hyphen (azure-cli). Code and text of the refusal are inferred. */
function nameOf({ params }: EmulatorRequest): string {
  const name = params.linker ?? "";
  if (/^[A-Za-z0-9._]+$/.test(name)) return name;
  throw armError(400, "InvalidResourceName", `The linker name '${name}' is not valid: it can only have letters, digits, '.' and '_'.`);
}

function creatorOf({ caller }: EmulatorRequest): Creator {
  return caller?.upn ? { name: caller.upn, type: "User" } : { name: caller?.appid ?? "", type: "Application" };
}
