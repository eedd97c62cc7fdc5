import type { AccessToken, TokenCredential } from "@azure/core-auth";
import type { HttpClient } from "@azure/core-rest-pipeline";
import { cancelled, orCancelled } from "../base/cancellation.ts";
import { systemClock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import { readClaims, type TokenClaims } from "../base/jwt.ts";
import { parseResourceId } from "../base/resource-id.ts";
import { retry } from "../base/retry.ts";
import { withTimeout } from "../base/with-timeout.ts";
import type { Environment } from "./environment.ts";
import { isSignInBroken, signedOut } from "./errors.ts";
import { hints } from "./hints.ts";
import { ANSWER_BYTES, boundedHttpClient } from "./http-client.ts";
import { withTimeLimit } from "./time-limit.ts";

/** The signed-in principal, read from the claims of its own ARM token; no Graph call. */
export interface Caller {
  readonly objectId: string;
  readonly tenantId: string;
  /**
   * UPN of a user. Of a managed identity the name of its resource, which is its display name; of another service principal the display name
   * when its token has one, else its application ID: v1 tokens of service principals carry no display name, and an administrator's name may
   * be chosen freely with the object ID (inferred: only the object ID is compared at login).
   */
  readonly name: string;
  readonly type: "User" | "ServicePrincipal";
  /** Object IDs, in lower case, of the groups its token names; empty when the token names none, which says nothing. */
  readonly groups: readonly string[];
}

/** Sign-in settings that the command line gives; everything else comes from the chain's own sources. */
export interface SignInSettings {
  readonly tenantId?: string;
  readonly clientId?: string;
  /** With `tenantId` and `clientId`: sign in as this service principal and nothing else (local Azure). */
  readonly clientSecret?: string;
}

/**
 * A credential for the environment; nothing is asked of the network yet. The chain: environment variables (read by @azure/identity),
 * workload identity, managed identity, Azure CLI, Azure Developer CLI; or exactly the given service principal.
 * The signal (Ctrl-C) ends every wait for a token, and the calls under way. The tokens of a credential `like` this one are used too.
 */
export async function signIn(
  environment: Environment,
  settings: SignInSettings,
  signal?: AbortSignal,
  like?: TokenCredential,
): Promise<TokenCredential> {
  const identity = await import("@azure/identity");
  const { tenantId, clientId, clientSecret } = settings;
  const common = {
    httpClient: boundedClient(signal, environment.limits?.authorityCallMs ?? AUTHORITY_CALL_MS),
    authorityHost: environment.authorityHost,
    ...(environment.hasOwnAuthority && { disableInstanceDiscovery: true }),
    ...(environment.caPem && { tlsOptions: { ca: environment.caPem } }),
  };
  if (clientSecret !== undefined) {
    if (!tenantId || !clientId) throw new KnownError("usage/invalid", "a client secret needs a tenant ID and a client ID beside it");
    return remembering(new identity.ClientSecretCredential(tenantId, clientId, clientSecret, common), signal, like);
  }
  const tenant = tenantId === undefined ? {} : { tenantId };
  const client = clientId === undefined ? {} : { clientId };
  const chain: TokenCredential[] = [
    new identity.EnvironmentCredential(common),
    workloadIdentity(() => new identity.WorkloadIdentityCredential({ ...common, ...tenant, ...client })),
    new identity.AzureCliCredential(tenant),
    new identity.AzureDeveloperCliCredential(tenant),
    // Last: away from Azure its probe of the metadata endpoint is the slowest way to learn that it is absent.
    new identity.ManagedIdentityCredential({ ...common, ...client }),
  ];
  return remembering(new identity.ChainedTokenCredential(...chain), signal, like);
}

/** Longest time one call to the authority may take; its answers are recorded to come within a second. */
const AUTHORITY_CALL_MS = 30_000;

/** MSAL knows neither a time limit nor a way to stop a call: an authority that takes a call and never answers would hold the process. */
function boundedClient(signal: AbortSignal | undefined, limitMs: number): HttpClient {
  const client = boundedHttpClient(ANSWER_BYTES.authority);
  return {
    sendRequest: (request) => withTimeLimit(request, limitMs, [signal, ownSignal(request.abortSignal)], () => client.sendRequest(request)),
  };
}

function ownSignal(signal: unknown): AbortSignal | undefined {
  return signal instanceof AbortSignal ? signal : undefined;
}

/** How long before its end a token is replaced; a login or a call under way must not meet an expired one. */
const RENEW_BEFORE_MS = 5 * 60_000;

const memories = new WeakMap<TokenCredential, Map<string, AccessToken>>();

/** Azure refused a token as expired before its time (a revoked one, clocks that differ): the next is asked for anew. */
export function forgetTokens(credential: TokenCredential): void {
  memories.get(credential)?.clear();
}

/**
 * Keeps one token per scope, in memory only, and asks once when several clients want it at the same time: the Azure CLI credential starts
 * a process for every request, and each SDK client would ask for itself.
 */
export function remembering(credential: TokenCredential, signal?: AbortSignal, like?: TokenCredential): TokenCredential {
  const tokens = (like && memories.get(like)) ?? new Map<string, AccessToken>();
  const pending = new Map<string, Promise<AccessToken | null>>();
  const itself: TokenCredential = {
    getToken: async (scopes, options) => {
      // A claims challenge says that the token at hand will not do.
      if (options?.claims !== undefined) return credential.getToken(scopes, options);
      const key = [scopes, options?.tenantId ?? ""].flat().join(" ");
      const known = tokens.get(key);
      if (known && known.expiresOnTimestamp - Date.now() > RENEW_BEFORE_MS) return known;
      return ask(key, () => credential.getToken(scopes, options));
    },
  };
  memories.set(itself, tokens);
  return itself;

  function ask(key: string, request: () => Promise<AccessToken | null>): Promise<AccessToken | null> {
    const asking = pending.get(key);
    if (asking) return asking;
    const answer = tried(request, signal)
      .then((token) => {
        if (token) tokens.set(key, token);
        return token;
      })
      .finally(() => pending.delete(key));
    pending.set(key, answer);
    return answer;
  }
}

/** A person may have to type a code or wait for a slow `az`; an authority that never answers must still not hold the run. */
const SIGN_IN_MS = 3 * 60_000;

const SIGN_IN_PAUSES_MS = [500, 2_000];

/** A sign-in that breaks on its way is tried again; a refusal is not. */
function tried(request: () => Promise<AccessToken | null>, signal = new AbortController().signal): Promise<AccessToken | null> {
  const late = (): never => {
    throw new Error(`no token within ${SIGN_IN_MS / 1000} s`);
  };
  return retry(() => orCancelled(signal, withTimeout(request(), SIGN_IN_MS, late)), {
    clock: systemClock,
    signal,
    pauseMs: ({ error, tries }) => (isSignInBroken(error) ? SIGN_IN_PAUSES_MS[tries - 1] : undefined),
  });
}

/** The constructor throws where the variables of workload identity are missing; in a chain that means: not this one. */
function workloadIdentity(create: () => TokenCredential): TokenCredential {
  let made: TokenCredential | undefined;
  return {
    getToken: async (scopes, options) => {
      const { CredentialUnavailableError } = await import("@azure/identity");
      try {
        made ??= create();
      } catch (error) {
        throw new CredentialUnavailableError(error instanceof Error ? error.message : String(error));
      }
      return made.getToken(scopes, options);
    },
  };
}

function callerOf(claims: TokenClaims): Caller | undefined {
  const { oid, tid } = claims;
  if (!oid || !tid) return undefined;
  const application = claims.appid ?? claims.azp;
  // v1 user tokens often have no `idtyp`; a person always has a UPN or a unique name, an application never.
  const user = claims.upn ?? claims.unique_name ?? claims.preferred_username;
  const isApplication = claims.idtyp === undefined ? user === undefined : claims.idtyp === "app";
  // A guest's unique_name is `live.com#ana@example.com` in v1 tokens: the part before `#` names the identity provider (inferred).
  const name = isApplication ? (claims.app_displayname ?? resourceNameOf(claims) ?? application) : user?.replace(/^[\w.]+#(?=[^#]+@)/, "");
  if (!name) return undefined;
  return {
    objectId: oid,
    tenantId: tid,
    name,
    type: isApplication ? "ServicePrincipal" : "User",
    groups: (claims.groups ?? []).map((id) => id.toLowerCase()),
  };
}

/** `shop-id` of a user-assigned identity, `shop-api` or `shop-api/slots/staging` of a web app (App Service notes: that is the display name). */
function resourceNameOf({ xms_mirid }: TokenClaims): string | undefined {
  const name = parseResourceId(xms_mirid ?? "")
    ?.path.slice(1)
    .join("/");
  return name === "" ? undefined : name;
}

/** A token for one scope. Throws `auth/signed-out`. */
export async function accessToken(credential: TokenCredential, scope: string, signal?: AbortSignal): Promise<AccessToken> {
  let token: AccessToken | null;
  try {
    token = await credential.getToken(scope, signal ? { abortSignal: signal } : {});
  } catch (error) {
    throw signal?.aborted
      ? cancelled(signal)
      : error instanceof KnownError && error.code === "cancelled"
        ? error
        : signedOut("no access token", error);
  }
  if (!token) throw signedOut("no access token", "the credential gave none");
  return token;
}

/** Who the credential is. Throws `auth/signed-out` with the command that signs in. */
export async function whoAmI(credential: TokenCredential, environment: Environment): Promise<Caller> {
  const { token } = await accessToken(credential, environment.scopes.resourceManager);
  const claims = readClaims(token);
  const caller = claims && callerOf(claims);
  if (!caller) throw new KnownError("auth/signed-out", "the access token does not say who is signed in", { hint: hints.signIn });
  return caller;
}
