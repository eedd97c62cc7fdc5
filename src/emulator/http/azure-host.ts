import type { Clock } from "../../base/clock.ts";
import { parseResourceId } from "../../base/resource-id.ts";
import { audiences, type Endpoints, type Service, type TokenRefusal, type Tokens } from "../platform.ts";
import { checkArmBody } from "./arm-bodies.ts";
import { type ArmError, armFront } from "./arm-error.ts";
import type { Incoming } from "./listener.ts";
import { armHeaders, type Host, notImplemented } from "./pipeline.ts";
import { createRouter, type Handler, type Match, type Route } from "./router.ts";

/** What the main host sends its requests to. */
export interface AzureParts {
  readonly endpoints: Endpoints;
  readonly tokens: Tokens;
  /** ARM's services; those with no api-versions are Entra. */
  readonly services: readonly Service[];
  /** `/_local/…`: the control API. Checks its own key. */
  readonly control: readonly Route[];
  /** Answered without a token: `/metadata/endpoints`. */
  readonly open: readonly Route[];
  isRegistered(namespace: string): boolean;
  readonly clock: Clock;
}

/** The main host: ARM, Entra and the control API on one listener, told apart by the first word of the path. */
export function createAzureHost(parts: AzureParts): Host {
  const arm = createRouter(parts.services.filter(isArm).flatMap(({ routes }) => routes));
  const entra = createRouter(parts.services.filter((service) => !isArm(service)).flatMap(({ routes }) => routes));
  const control = createRouter(parts.control);
  const open = createRouter(parts.open);
  return {
    name: "azure",
    find: (incoming) => {
      const { pathname } = incoming.url;
      const bare = control.find(incoming.method, pathname) ?? open.find(incoming.method, pathname);
      if (bare) return bare;
      if (isArmPath(pathname)) return findArm(parts, incoming, () => arm.find(incoming.method, pathname));
      const match = entra.find(incoming.method, pathname);
      if (match) return match;
      throw notImplemented(incoming, "Azure Resource Manager or Entra");
    },
    headers: (incoming): Record<string, string> => (isArmPath(incoming.url.pathname) ? armHeaders(incoming) : {}),
  };
}

function isArm(service: Service): boolean {
  return service.apiVersions.length > 0;
}

function isArmPath(path: string): boolean {
  return /^\/+(subscriptions|tenants|providers)(\/|$)/i.test(path);
}

function findArm(parts: AzureParts, incoming: Incoming, find: () => Match | undefined): Match {
  checkToken(parts, incoming);
  const path = `/${incoming.url.pathname.split("/").filter(Boolean).join("/")}`;
  checkSubscription(parts, path);
  const version = incoming.url.searchParams.get("api-version") ?? "";
  if (version === "") {
    throw armFront(400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.");
  }
  const match = find();
  if (!match) throw notImplemented(incoming, "Azure Resource Manager");
  const service = parts.services.find(({ routes }) => routes.includes(match.route));
  if (service) {
    checkVersion(service, path, version, parts.clock.now());
    checkRegistered(parts, service);
  }
  return match.route.method === "DELETE" ? withExtensions(parts.services, match, path) : withBodyCheck(match);
}

function withBodyCheck(match: Match): Match {
  const handle: Handler = (request) => {
    checkArmBody(match.route.path, request.body);
    return match.route.handle(request);
  };
  return { ...match, route: { ...match.route, handle } };
}

/** ARM deletes extension resources together with the resource they stand on. */
function withExtensions(services: readonly Service[], match: Match, path: string): Match {
  const handle: Handler = async (request) => {
    const response = await match.route.handle(request);
    // 202 leaves the resource where it is for now; those of local Azure that carry extensions are deleted at once.
    if (response.status === 200 || response.status === 204) for (const service of services) service.removeExtensions?.(path);
    return response;
  };
  return { ...match, route: { ...match.route, handle } };
}

function checkToken({ endpoints, tokens }: AzureParts, incoming: Incoming): void {
  const header = incoming.headers.get("authorization");
  if (!header) throw unauthorized(endpoints, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.");
  const token = /^Bearer\s+(\S+)$/i.exec(header)?.[1];
  if (!token)
    throw unauthorized(
      endpoints,
      "AuthenticationFailedInvalidHeader",
      "Authentication failed. The 'Authorization' header is provided in an invalid format.",
    );
  const checked = tokens.verify(token, [...audiences.resourceManager, endpoints.resourceManager]);
  if (!("refusal" in checked)) return;
  const { code, message } = refusalTexts(checked.refusal, checked.claims?.aud ?? "", endpoints);
  throw unauthorized(endpoints, code, message);
}

/** ARM's texts for refused tokens; `signature` and `not-yet-valid` are worded after it, not recorded. */
function refusalTexts(refusal: TokenRefusal, audience: string, { tenantId }: Endpoints): { code: string; message: string } {
  const texts: Record<TokenRefusal, { code: string; message: string }> = {
    malformed: { code: "InvalidAuthenticationToken", message: "The access token is invalid." },
    signature: { code: "InvalidAuthenticationToken", message: "The access token is from an untrusted issuer: its signature is not valid." },
    "not-yet-valid": { code: "InvalidAuthenticationToken", message: "The access token is not valid yet." },
    expired: { code: "ExpiredAuthenticationToken", message: "The access token expiry UTC time has passed." },
    audience: {
      code: "InvalidAuthenticationTokenAudience",
      message: `The access token has been obtained for wrong audience or resource '${audience}'. It should exactly match with one of the allowed audiences '${audiences.resourceManager.map((allowed) => `${allowed}/`).join("','")}'.`,
    },
    tenant: {
      code: "InvalidAuthenticationTokenTenant",
      message: `The access token is from the wrong issuer. It must match the tenant 'https://sts.windows.net/${tenantId}/' associated with this subscription.`,
    },
  };
  return texts[refusal];
}

function unauthorized({ authority, tenantId }: Endpoints, code: string, message: string): ArmError {
  // The audience in it is the token's own word; a header takes ASCII and no line break.
  const words = message.slice(0, 1_000).replace(/[^ -~]|"/g, "?");
  const challenge = `Bearer authorization_uri="${authority}/${tenantId}", error="invalid_token", error_description="${words}"`;
  return armFront(401, code, message, { headers: { "www-authenticate": challenge } });
}

function checkSubscription({ endpoints }: AzureParts, path: string): void {
  const subscription = /^\/subscriptions\/([^/]+)/i.exec(path)?.[1];
  if (subscription === undefined || subscription.toLowerCase() === endpoints.subscriptionId) return;
  throw armFront(404, "SubscriptionNotFound", `The subscription '${subscription}' could not be found.`);
}

function checkVersion(service: Service, path: string, version: string, now: number): void {
  if (service.apiVersions.includes(version) || service.hiddenApiVersions?.includes(version)) return;
  if (isNewerThanKnown(service, version, now)) return;
  const supported = service.apiVersions.join(", ");
  const type = parseResourceId(path)?.path.filter((_, index) => index % 2 === 0) ?? [];
  if (type.length === 0) {
    throw armFront(
      400,
      "InvalidApiVersionParameter",
      `The api-version '${version}' is invalid. The supported versions are '${supported}'.`,
    );
  }
  throw armFront(
    400,
    "NoRegisteredProviderFound",
    `No registered resource provider found for location 'global' and API version '${version}' for type '${type.join("/")}'. The supported api-versions are '${supported}'. The supported locations are ''.`,
  );
}

/**
 * SDKs go on to new api-versions every few months. One that is younger than all known here and not of the future may well exist in Azure:
 * it is answered in the shape of the newest known. Versions that only look like one stay refused.
 */
function isNewerThanKnown(service: Service, version: string, now: number): boolean {
  if (!/^\d{4}-\d\d-\d\d(-preview)?$/.test(version)) return false;
  const date = version.slice(0, 10);
  return date <= new Date(now).toISOString().slice(0, 10) && service.apiVersions.every((known) => known.slice(0, 10) < date);
}

function checkRegistered(parts: AzureParts, service: Service): void {
  if (parts.isRegistered(service.namespace)) return;
  throw armFront(
    409,
    "MissingSubscriptionRegistration",
    `The subscription is not registered to use namespace '${service.namespace}'. See https://aka.ms/rps-not-found for how to register subscriptions.`,
    {
      fields: {
        details: [
          {
            code: "MissingSubscriptionRegistration",
            target: service.namespace,
            message: `The subscription is not registered to use namespace '${service.namespace}'. See https://aka.ms/rps-not-found for how to register subscriptions.`,
          },
        ],
      },
    },
  );
}
