import { parseResourceId } from "../../../base/resource-id.ts";
import { armError } from "../../http/arm-error.ts";
import { type EmulatorRequest, empty, json, type Route, route } from "../../http/router.ts";
import type { Operation } from "../../operations.ts";
import type { Platform } from "../../platform.ts";
import { acceptedBody, pollBody } from "./wire.ts";

export const NO_CACHE = { "cache-control": "no-cache", pragma: "no-cache", expires: "-1" };

/** Where an operation is polled, in one of its two forms. Newer api-versions sign it. */
export function pollUrl(
  { endpoints, operations }: Pick<Platform, "endpoints" | "operations">,
  form: "azureAsyncOperation" | "operationResults",
  { id, location, resourceId }: Operation,
  apiVersion: string,
): string {
  const subscription = parseResourceId(resourceId)?.subscriptionId ?? "";
  const base = `${endpoints.resourceManager}/subscriptions/${subscription}/providers/Microsoft.DBforPostgreSQL/locations`;
  const url = `${base}/${encodeURIComponent(location)}/${form}/${id}?api-version=${apiVersion}`;
  return apiVersion >= "2024" ? operations.sign(url) : url;
}

const LOCATIONS = "/subscriptions/{subscription}/providers/Microsoft.DBforPostgreSQL/locations/{location}";

export function pollRoutes({ operations }: Pick<Platform, "operations">): readonly Route[] {
  const poll = ({ url, apiVersion, params }: EmulatorRequest): Operation => {
    if (apiVersion >= "2024" && !operations.isSigned(url)) {
      const text = "The polling URL is not the one the operation was given: its signature is missing or wrong."; // inferred
      throw armError(403, "AuthorizationFailed", text);
    }
    const operation = operations.poll(params.operation ?? "");
    if (!operation) throw armError(404, "ResourceNotFound", `The operation '${params.operation}' was not found.`);
    return operation;
  };
  return [
    route("GET", `${LOCATIONS}/azureAsyncOperation/{operation}`, "recorded", (request) => {
      const operation = poll(request);
      return json(200, pollBody(operation), { "retry-after": `${operation.retryAfterSeconds}`, ...NO_CACHE });
    }),
    route("GET", `${LOCATIONS}/operationResults/{operation}`, "recorded", (request) => {
      const operation = poll(request);
      if (operation.status === "InProgress") {
        return json(202, acceptedBody(operation), { location: request.url.href, "retry-after": `${operation.retryAfterSeconds}` }); // inferred
      }
      if (operation.error) throw armError(400, operation.error.code, operation.error.message); // inferred
      if (!/-(start|stop|restart)$/.test(operation.kind)) return empty();
      return json(200, { properties: {}, name: operation.resourceId.split("/").at(-1), type: "PostgreSQL" });
    }),
  ];
}
