import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { type EmulatorRequest, json, type Route, route } from "../../http/router.ts";
import { audiences, type DirectoryPrincipal, type Endpoints } from "../../platform.ts";
import type { Collection } from "../../store.ts";
import { entraError } from "./errors.ts";
import type { EntraTokens } from "./tokens.ts";

/** What the token endpoint needs to know. */
export interface Authority {
  readonly endpoints: Endpoints;
  readonly tokens: EntraTokens;
  readonly user: DirectoryPrincipal;
  readonly userPassword: string;
  readonly app: DirectoryPrincipal;
  readonly clientSecret: string;
  /** Seconds. */
  readonly lifetimeSeconds: number;
  /** By SHA-256 of the opaque token. Users only: an app gets none. */
  readonly refreshTokens: Collection<{ readonly objectId: string }>;
  find(objectId: string): DirectoryPrincipal | undefined;
}

/** Paths any Entra client asks for. `{tenant}` is the tenant ID; `common` and `organizations` stand for it where users sign in. */
export function entraRoutes(authority: Authority): readonly Route[] {
  const discovery = ({ params }: EmulatorRequest, version: "" | "/v2.0"): Response => {
    checkTenant(authority, params.tenant ?? "");
    return json(200, openidConfiguration(authority.endpoints, version));
  };
  const keys = () => json(200, authority.tokens.keys);
  return [
    route("GET", "/{tenant}/v2.0/.well-known/openid-configuration", "documentation", (request) => discovery(request, "/v2.0")),
    route("GET", "/{tenant}/.well-known/openid-configuration", "documentation", (request) => discovery(request, "")),
    route("GET", "/common/discovery/instance", "documentation", ({ url }) => json(200, instances(authority.endpoints, url))),
    route("GET", "/{tenant}/discovery/v2.0/keys", "documentation", keys),
    route("GET", "/{tenant}/discovery/keys", "documentation", keys),
    route("POST", "/{tenant}/oauth2/v2.0/token", "documentation", "raw", (request) => token(authority, request, "v2")),
    route("POST", "/{tenant}/oauth2/token", "documentation", "raw", (request) => token(authority, request, "v1")),
  ];
}

function openidConfiguration({ authority, tenantId }: Endpoints, version: "" | "/v2.0"): object {
  const base = `${authority}/${tenantId}`;
  return {
    token_endpoint: `${base}/oauth2${version}/token`,
    token_endpoint_auth_methods_supported: ["client_secret_post", "private_key_jwt", "client_secret_basic"],
    jwks_uri: `${base}/discovery${version || "/v2.0"}/keys`,
    response_modes_supported: ["query", "fragment", "form_post"],
    subject_types_supported: ["pairwise"],
    id_token_signing_alg_values_supported: ["RS256"],
    response_types_supported: ["code", "id_token", "code id_token", "id_token token"],
    scopes_supported: ["openid", "profile", "email", "offline_access"],
    issuer: version ? `${base}/v2.0` : `https://sts.windows.net/${tenantId}/`,
    authorization_endpoint: `${base}/oauth2${version}/authorize`,
    device_authorization_endpoint: `${base}/oauth2${version}/devicecode`,
    end_session_endpoint: `${base}/oauth2${version}/logout`,
    claims_supported: ["sub", "iss", "aud", "exp", "iat", "nonce", "name", "ver", "at_hash", "email"],
    tenant_region_scope: null,
    cloud_instance_name: "localhost",
    cloud_graph_host_name: "graph.windows.net",
    msgraph_host: "graph.microsoft.com",
  };
}

function instances({ authority, tenantId }: Endpoints, url: URL): object {
  const { host } = new URL(authority);
  const isV2 = (url.searchParams.get("authorization_endpoint") ?? "").includes("/v2.0/");
  return {
    tenant_discovery_endpoint: `${authority}/${tenantId}${isV2 ? "/v2.0" : ""}/.well-known/openid-configuration`,
    "api-version": "1.1",
    metadata: [{ preferred_network: host, preferred_cache: host, aliases: [host] }],
  };
}

function checkTenant({ endpoints }: Authority, tenant: string): void {
  const wanted = tenant.toLowerCase();
  if ([endpoints.tenantId, "common", "organizations"].includes(wanted)) return;
  throw entraError(
    400,
    "invalid_request",
    90002,
    `Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.`,
  );
}

async function token(authority: Authority, request: EmulatorRequest, version: "v1" | "v2"): Promise<Response> {
  checkTenant(authority, request.params.tenant ?? "");
  const form = await readForm(request);
  const grant = form.get("grant_type") ?? "";
  const grants: Record<string, () => { principal: DirectoryPrincipal; isRefreshable: boolean }> = {
    client_credentials: () => ({ principal: clientOf(authority, form), isRefreshable: false }),
    password: () => ({ principal: userByPassword(authority, form), isRefreshable: true }),
    refresh_token: () => ({ principal: userByRefresh(authority, form), isRefreshable: true }),
  };
  const does = Object.hasOwn(grants, grant) ? grants[grant] : undefined;
  if (!does) {
    throw grant === ""
      ? entraError(400, "invalid_request", 900144, "The request body must contain the following parameter: 'grant_type'.")
      : entraError(
          400,
          "unsupported_grant_type",
          70003,
          `The app requested an unsupported grant type '${grant}'. Local Azure knows client_credentials, password and refresh_token.`,
        );
  }
  const { principal, isRefreshable } = does();
  const audience = audienceOf(authority, form, version);
  return issue(authority, { principal, audience, isRefreshable, form, version });
}

function issue(
  authority: Authority,
  given: { principal: DirectoryPrincipal; audience: string; isRefreshable: boolean; form: URLSearchParams; version: "v1" | "v2" },
): Response {
  const { principal, audience, form, version } = given;
  const minted = authority.tokens.mint(principal, audience);
  const expiresIn = authority.lifetimeSeconds;
  const scopes = (form.get("scope") ?? "").split(" ");
  const isRefreshable = given.isRefreshable && (version === "v1" || scopes.includes("offline_access"));
  const shared = {
    token_type: "Bearer",
    access_token: minted.token,
    ...(isRefreshable ? { refresh_token: refreshFor(authority, principal) } : {}),
  };
  const body =
    version === "v2"
      ? { ...shared, ...(principal.type === "User" ? { scope: form.get("scope") } : {}), expires_in: expiresIn, ext_expires_in: expiresIn }
      : {
          ...shared,
          expires_in: String(expiresIn),
          ext_expires_in: String(expiresIn),
          expires_on: String(minted.expiresOn),
          not_before: String(minted.expiresOn - expiresIn),
          resource: audience,
        };
  return json(200, body, { "cache-control": "no-store, no-cache", pragma: "no-cache" });
}

/** The form, with the client's name and secret from the `Authorization: Basic` header when they come there. */
async function readForm(request: EmulatorRequest): Promise<URLSearchParams> {
  const form = new URLSearchParams(await readText(request.stream));
  const basic = /^Basic (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  if (basic) {
    const [id = "", secret = ""] = Buffer.from(basic, "base64").toString("utf8").split(":");
    form.set("client_id", decoded(id));
    form.set("client_secret", decoded(secret));
  }
  return form;
}

/** Far above what any grant needs: the greatest is a client assertion of some KB. */
const FORM_LIMIT_BYTES = 256 * 1024;

async function readText(stream: ReadableStream<Uint8Array> | null): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of stream ?? []) {
    size += part.byteLength;
    if (size > FORM_LIMIT_BYTES) throw entraError(413, "invalid_request", 90100, "The request body is too large."); // inferred
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

/** Broken percent-encoding stays as it came: a name or secret that then fits nothing. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function clientOf(authority: Authority, form: URLSearchParams): DirectoryPrincipal {
  const clientId = form.get("client_id") ?? "";
  if (clientId === "")
    throw entraError(400, "invalid_request", 900144, "The request body must contain the following parameter: 'client_id'.");
  if (clientId.toLowerCase() !== authority.app.appId) {
    throw entraError(
      400,
      "unauthorized_client",
      700016,
      `Application with identifier '${clientId}' was not found in the directory 'Local Azure'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.`,
    );
  }
  const secret = form.get("client_secret");
  if (secret === null) {
    throw entraError(
      401,
      "invalid_client",
      7000216,
      "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
    );
  }
  if (!isSame(secret, authority.clientSecret)) {
    throw entraError(
      401,
      "invalid_client",
      7000215,
      `Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '${clientId}'.`,
    );
  }
  return authority.app;
}

function userByPassword(authority: Authority, form: URLSearchParams): DirectoryPrincipal {
  const name = form.get("username") ?? "";
  if (name.toLowerCase() !== authority.user.userPrincipalName) {
    throw entraError(
      400,
      "invalid_grant",
      50034,
      `The user account {EUII Hidden} does not exist in the ${authority.endpoints.tenantId} directory. To sign into this application, the account must be added to the directory.`,
    );
  }
  if (!isSame(form.get("password") ?? "", authority.userPassword)) {
    throw entraError(400, "invalid_grant", 50126, "Error validating credentials due to invalid username or password.");
  }
  return authority.user;
}

function userByRefresh(authority: Authority, form: URLSearchParams): DirectoryPrincipal {
  const kept = authority.refreshTokens.get(hash(form.get("refresh_token") ?? ""));
  const user = kept && authority.find(kept.objectId);
  if (!user) {
    throw entraError(400, "invalid_grant", 70000, "Provided grant is invalid or malformed.");
  }
  return user;
}

function refreshFor(authority: Authority, principal: DirectoryPrincipal): string {
  const opaque = `1.${randomBytes(48).toString("base64url")}`;
  authority.refreshTokens.set(hash(opaque), { objectId: principal.objectId });
  return opaque;
}

const KNOWN_AUDIENCES: ReadonlySet<string> = new Set([
  ...Object.values(audiences).flat(),
  "https://management.core.windows.net",
  "https://graph.microsoft.com",
]);

/** `scope` of v2 is the resource with `/.default` (or a delegated permission) at its end; `resource` of v1 is the audience itself. */
function audienceOf(authority: Authority, form: URLSearchParams, version: "v1" | "v2"): string {
  if (version === "v1") return known(authority, form.get("resource") ?? "");
  const scopes = (form.get("scope") ?? "")
    .split(" ")
    .filter((scope) => !["", "openid", "profile", "offline_access", "email"].includes(scope));
  const [scope, second] = scopes;
  if (!scope) throw entraError(400, "invalid_request", 900144, "The request body must contain the following parameter: 'scope'.");
  const split = scope.lastIndexOf("/");
  const permission = scope.slice(split + 1);
  if (form.get("grant_type") === "client_credentials" && (permission !== ".default" || second)) {
    throw entraError(
      400,
      "invalid_scope",
      1002012,
      `The provided value for scope ${scopes.join(" ")} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).`,
    );
  }
  if (split < "https://x".length) {
    throw entraError(
      400,
      "invalid_scope",
      70011,
      `The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope ${scope} is not valid.`,
    );
  }
  return known(authority, scope.slice(0, split));
}

function known({ endpoints }: Authority, audience: string): string {
  const plain = audience.replace(/\/+$/, "");
  // The older SDKs ask for a token for the endpoint they were given.
  if (KNOWN_AUDIENCES.has(plain) || plain === endpoints.resourceManager) return audience;
  throw entraError(
    400,
    "invalid_resource",
    500011,
    `The resource principal named ${audience} was not found in the tenant named ${endpoints.tenantId}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.`,
  );
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function isSame(given: string, wanted: string): boolean {
  return timingSafeEqual(Buffer.from(hash(given)), Buffer.from(hash(wanted)));
}
