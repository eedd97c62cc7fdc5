import { randomUUID } from "node:crypto";
import type { Incoming } from "../http/listener.ts";
import { isRead } from "../http/router.ts";

/** The request IDs that ARM puts on every answer. */
export function armHeaders(incoming: Incoming): Record<string, string> {
  const id = randomUUID();
  const clientId = incoming.headers.get("x-ms-client-request-id");
  const budget = isRead(incoming.method) ? "reads" : incoming.method === "DELETE" ? "deletes" : "writes";
  return {
    "cache-control": "no-cache",
    pragma: "no-cache",
    expires: "-1",
    [`x-ms-ratelimit-remaining-subscription-${budget}`]: isRead(incoming.method) ? "11999" : budget === "deletes" ? "14999" : "1199",
    "x-ms-request-id": id,
    "x-ms-correlation-request-id": incoming.headers.get("x-ms-correlation-request-id") ?? id,
    "x-ms-routing-request-id": `LOCAL:${new Date().toISOString().replace(/[-:]|\.\d+/g, "")}:${id}`,
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    ...(clientId && incoming.headers.get("x-ms-return-client-request-id") === "true" ? { "x-ms-client-request-id": clientId } : {}),
  };
}
