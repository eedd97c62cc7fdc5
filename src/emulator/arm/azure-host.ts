import type { Clock } from "../../base/clock.ts";
import type { TokenClaims } from "../../base/jwt.ts";
import { parseResourceId } from "../../base/resource-id.ts";
import { checkArmBody } from "../http/arm-bodies.ts";
import { type ArmError, armFront } from "../http/arm-error.ts";
import type { Incoming } from "../http/listener.ts";
import { armHeaders, type Host, notImplemented } from "../http/pipeline.ts";
import { createRouter, type EmulatorRequest, type Handler, json, type Match, type Route } from "../http/router.ts";
import { type Access, audiences, type Directory, type Endpoints, type Service, type TokenRefusal, type Tokens } from "../platform.ts";
import { type RequiredRight, requiredRight } from "./required-right.ts";

/** What the main host sends its requests to. */
export interface AzureParts {
  readonly endpoints: Endpoints;
  readonly tokens: Tokens;
  readonly access: Access;
  readonly directory: Pick<Directory, "find">;
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
  const claims = checkToken(parts, incoming);
  const path = `/${incoming.url.pathname.split("/").filter(Boolean).join("/")}`;
  checkSubscription(parts, path);
  const seen = checkRight(parts, claims, incoming.method, path);
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
  if (match.route.method === "DELETE") return withExtensions(parts.services, match, path);
  if (match.route.method === "GET") return seen === "all" ? match : onlySeen(match, seen);
  return withBodyCheck(match, (body) => checkLinked(parts, claims, { method: incoming.method, path, body }));
}

function withBodyCheck(match: Match, check: (body: unknown) => void): Match {
  const handle: Handler = (request) => {
    checkArmBody(match.route.path, request.body);
    check(request.body);
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
    if (response.status === 202) for (const service of services) service.forgetAccess?.(path);
    return response;
  };
  return { ...match, route: { ...match.route, handle } };
}

function checkToken({ endpoints, tokens }: AzureParts, incoming: Incoming): TokenClaims {
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
  if (!("refusal" in checked)) return checked.claims;
  const { code, message } = refusalTexts(checked.refusal, checked.claims?.aud ?? "", endpoints);
  throw unauthorized(endpoints, code, message);
}

/** Which items of a list the caller may see. */
type Seen = "all" | ((id: string) => boolean);

/** Refuses what the caller's roles do not allow. A list at a scope that only holds what it may see is answered in part (inferred). */
function checkRight(parts: AzureParts, { oid = "", ...claims }: TokenClaims, method: string, path: string): Seen {
  const { access, endpoints } = parts;
  const right = requiredRight(method, path);
  const root = `/subscriptions/${endpoints.subscriptionId}`;
  if (!right) return (id) => !isWithinSubscription(id) || access.isAllowedBelow(oid, "Microsoft.Resources/subscriptions/read", id);
  const { action, scope } = right;
  if (access.isAllowed(oid, action, scope)) return "all";
  if (right.isForAnyone && access.isAllowedBelow(oid, action, root)) return "all";
  const isList = method === "GET" && !isSameScope(scope, path);
  if (isList && access.isAllowedBelow(oid, action, scope)) return (id) => access.isAllowed(oid, action, id);
  throw forbidden(parts, { ...claims, oid }, right);
}

function isSameScope(scope: string, path: string): boolean {
  return scope.toLowerCase() === path.toLowerCase();
}

function onlySeen(match: Match, isSeen: (id: string) => boolean): Match {
  const handle: Handler = async (request: EmulatorRequest) => {
    const response = await match.route.handle(request);
    if (response.status !== 200) return response;
    const body = (await response.json()) as { value?: unknown };
    if (!Array.isArray(body.value)) return json(200, body);
    const value = body.value.filter((item: { id?: unknown }) => typeof item.id !== "string" || isSeen(item.id));
    return json(200, { ...body, value });
  };
  return { ...match, route: { ...match.route, handle } };
}

function isWithinSubscription(id: string): boolean {
  return /^\/subscriptions\//i.test(id);
}

interface LinkedBody {
  readonly identity?: { readonly userAssignedIdentities?: Readonly<Record<string, unknown>> | null } | null;
  readonly properties?: { readonly serverFarmId?: unknown; readonly targetService?: { readonly id?: unknown } | null } | null;
}

/** The rights on other resources that a body needs: else a role on one app were a way to every identity, plan and server. */
function linkedRights(body: unknown): readonly RequiredRight[] {
  const { identity, properties } = (body ?? {}) as LinkedBody;
  const plan = properties?.serverFarmId;
  const target = properties?.targetService?.id;
  return [
    ...Object.keys(identity?.userAssignedIdentities ?? {}).map((scope) => ({
      action: "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
      scope,
    })),
    ...(typeof plan === "string" ? [{ action: "Microsoft.Web/serverFarms/join/action", scope: plan }] : []),
    // Service Connector writes firewall rules there on behalf of the caller; which right it asks for first is inferred.
    ...(typeof target === "string" ? [{ action: "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules/write", scope: target }] : []),
  ];
}

function checkLinked(
  { access }: AzureParts,
  { oid = "", appid = "", upn }: TokenClaims,
  { method, path, body }: { readonly method: string; readonly path: string; readonly body: unknown },
): void {
  const missing = linkedRights(body).find(({ action, scope }) => !access.isAllowed(oid, action, scope));
  if (!missing) return;
  const own = requiredRight(method, path);
  throw armFront(
    403,
    "LinkedAuthorizationFailed",
    `The client '${upn ?? appid}' with object id '${oid}' has permission to perform action '${own?.action}' on scope '${own?.scope}'; however, it does not have permission to perform action '${missing.action}' on the linked scope(s) '${missing.scope}' or the linked scope(s) are invalid.`,
  );
}

/** The text as ARM's front end has it (azure/ci-identity.md section 6). */
function forbidden({ directory }: AzureParts, { oid = "", appid, upn }: TokenClaims, { action, scope }: RequiredRight): ArmError {
  const name = upn ?? appid ?? directory.find(oid)?.displayName ?? oid;
  return armFront(
    403,
    "AuthorizationFailed",
    `The client '${name}' with object id '${oid}' does not have authorization to perform action '${action}' over scope '${scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
    { headers: { "x-ms-failure-cause": "gateway" } },
  );
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
