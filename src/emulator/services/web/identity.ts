import { isSameId } from "../../../base/resource-id.ts";
import { type ArmError, armError } from "../../http/arm-error.ts";
import { type EmulatorRequest, json, type Route, route } from "../../http/router.ts";
import { audiences, type DirectoryPrincipal, type Platform } from "../../platform.ts";
import type { SitePrincipals } from "./model.ts";

/** The managed identity endpoint of all sites, on one plain HTTP listener of 127.0.0.1. */
export interface IdentityEndpoint {
  /** Lets an instance in with its header; answers the URL for `IDENTITY_ENDPOINT`. */
  open(header: string, siteId: string): string;
  closeHeader(header: string): void;
  /** A recreated identity must not be served the old one's tokens. */
  forget(principalId: string): void;
  close(): Promise<void>;
}

/** The platform hands out a cached token until this little is left of it (or half of a short life). */
const RENEW_BEFORE_SECONDS = 300;

/** @param principalsOf the identities of a site that still exist */
export async function openIdentityEndpoint(
  platform: Platform,
  principalsOf: (siteId: string) => SitePrincipals,
): Promise<IdentityEndpoint> {
  const sites = new Map<string, string>();
  const cache = new Map<string, { token: string; expiresOn: number; renewAt: number }>();

  const tokenFor = (principal: DirectoryPrincipal, resource: string): { token: string; expiresOn: number } => {
    const key = `${principal.objectId} ${resource}`;
    const now = platform.clock.now() / 1000;
    const cached = cache.get(key);
    if (cached && now < cached.renewAt) return cached;
    const minted = platform.tokens.mint(principal, resource);
    const life = minted.expiresOn - now;
    cache.set(key, { ...minted, renewAt: minted.expiresOn - Math.min(RENEW_BEFORE_SECONDS, life / 2) });
    return minted;
  };

  const handle = (request: EmulatorRequest): Response => {
    const version = request.url.searchParams.get("api-version") ?? "";
    const isOld = version === "2017-09-01";
    if (!isOld && version !== "2019-08-01") throw refusal(400, `The api-version '${version}' is not supported.`);
    const header = request.headers.get(isOld ? "secret" : "x-identity-header");
    const siteId = header === null ? undefined : sites.get(header);
    if (siteId === undefined)
      throw refusal(401, header === null ? "X-IDENTITY-HEADER is missing." : "X-IDENTITY-HEADER is not the one of this app.");
    const principal = choose(principalsOf(siteId), request.url.searchParams);
    const resource = request.url.searchParams.get("resource") ?? "";
    if (resource === "") throw refusal(400, "The query parameter 'resource' is missing.");
    if (!isKnownAudience(resource)) {
      throw refusal(
        400,
        `AADSTS500011: The resource principal named ${resource} was not found in the tenant named ${platform.endpoints.tenantId}.`,
      );
    }
    const { token, expiresOn } = tokenFor(principal, resource);
    return json(200, {
      access_token: token,
      expires_on: isOld ? oldDate(expiresOn) : String(Math.floor(expiresOn)),
      resource,
      token_type: "Bearer",
      ...(isOld || !principal.appId ? {} : { client_id: principal.appId }),
    });
  };

  const routes: readonly Route[] = [route("GET", "/msi/token", "documentation", handle)];
  const ports = platform.store.collection<{ port: number }>("web/identity-endpoint");
  const known = ports.get("port")?.port;
  const host = await platform.hosts.serve({ name: "identity", routes, ...(known === undefined ? {} : { port: known }) });
  ports.set("port", { port: host.port });
  return {
    open: (header, siteId) => {
      sites.set(header, siteId);
      return `http://127.0.0.1:${host.port}/msi/token`;
    },
    closeHeader: (header) => void sites.delete(header),
    forget: (principalId) => {
      for (const key of cache.keys()) if (key.startsWith(`${principalId} `)) cache.delete(key);
    },
    close: () => host.close(),
  };
}

/**
 * The identity that the query names; without a name the system-assigned one, whatever user-assigned ones there are. Both texts as MSAL's tests
 * and many public threads have them; the second for an app without any identity is inferred.
 */
function choose({ system, assigned }: SitePrincipals, query: URLSearchParams): DirectoryPrincipal {
  const clientId = query.get("client_id") ?? query.get("clientid");
  const objectId = query.get("principal_id") ?? query.get("object_id");
  const resource = query.get("mi_res_id");
  if (clientId === null && objectId === null && resource === null) {
    if (system) return system;
    throw refusal(400, "Unable to load the proper Managed Identity.");
  }
  const isNamed = (principal: DirectoryPrincipal): boolean =>
    (clientId === null || clientId.toLowerCase() === principal.appId?.toLowerCase()) &&
    (objectId === null || objectId.toLowerCase() === principal.objectId.toLowerCase()) &&
    (resource === null || (principal !== system && isSameId(resource, principal.managedIdentityOf ?? "")));
  const found = [...assigned, ...(system ? [system] : [])].find(isNamed);
  if (found) return found;
  throw refusal(400, "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.");
}

function isKnownAudience(resource: string): boolean {
  const plain = resource.replace(/\/+$/, "");
  return Object.values(audiences).some((values) => (values as readonly string[]).includes(plain));
}

/** `{statusCode,message}`: the form msal reads; bodies of the real endpoint are not established (azure/appservice.md section 7). */
function refusal(statusCode: number, message: string): ArmError {
  return armError(statusCode, "IdentityEndpoint", message, { body: { statusCode, message } });
}

/** The date text of api-version 2017-09-01: `09/14/2017 00:00:00 PM +00:00`. */
function oldDate(expiresOn: number): string {
  const [date = "", time = ""] = new Date(expiresOn * 1000).toISOString().slice(0, 19).split("T");
  const [year, month, day] = date.split("-");
  return `${month}/${day}/${year} ${time} +00:00`;
}
