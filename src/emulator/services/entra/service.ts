import type { Service } from "../../platform.ts";
import { type Authority, entraRoutes } from "./routes.ts";

/** Entra ID: discovery, keys and the token endpoint, on the same listener as ARM. */
export function createEntraService(authority: Authority): Service {
  return { namespace: "Entra", apiVersions: [], routes: entraRoutes(authority) };
}
