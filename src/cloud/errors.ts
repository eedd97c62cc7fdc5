import { type ErrorCode, KnownError } from "../base/errors.ts";
import { redact } from "../base/secrets.ts";
import { isBrokenConnection } from "../base/transient.ts";
import { hints } from "./hints.ts";

/** What an Azure service said when it refused: its own code and words, without headers, queries or tokens. */
export interface AzureFailure {
  /** HTTP status of the refusal; 200 for a failure reported inside an operation's status. */
  readonly status: number | undefined;
  readonly code: string;
  readonly message: string;
  /** Microsoft.Web's own number, `54001`. */
  readonly extendedCode?: string;
}

interface Advice {
  readonly code: ErrorCode;
  readonly hint?: string;
}

/** Azure's code → ours and what to do. Codes and texts: PostgreSQL, App Service and Service Connector error notes; most specific first. */
const advice: Readonly<Record<string, Advice>> = {
  ServerNameAlreadyExists: {
    code: "azure/name-taken",
    hint: "choose another server name; names of deleted servers stay reserved for a while",
  },
  "Conflict/54001": { code: "azure/name-taken", hint: "choose another app name: it is unique over all of Azure" },
  InvalidResourceLocation: {
    code: "azure/conflict",
    hint: "use the location the resource was first made in, or another name; a failed create can leave such a name behind",
  },
  LocationIsOfferRestricted: {
    code: "azure/region-closed",
    hint: hints.regionClosed,
  },
  ParameterOutOfRange: {
    code: "azure/sku-unavailable",
    hint: "the version or SKU is not offered to this subscription in this location: choose another location, SKU or version",
  },
  LinuxDynamicWorkersNotAllowedInResourceGroup: { code: "azure/region-closed", hint: "use a new resource group or another location" },
  "BadRequest/01007": { code: "azure/invalid", hint: "check the runtime, as in `python|3.12`; the plan must be a Linux plan" },
  "Conflict/59301": { code: "azure/quota", hint: "the free plans of this subscription are used up: choose the plan SKU B1" },
  "429/51025": { code: "azure/busy", hint: "App Service throttles plan writes: wait some minutes and run the command again" },
  SubscriptionIsOverQuotaForSku: { code: "azure/quota", hint: hints.quota },
  InternalSubscriptionIsOverQuotaForSku: { code: "azure/quota", hint: hints.quota },
  QuotaExceeded: { code: "azure/quota", hint: hints.quota },
  SkuNotAvailable: { code: "azure/sku-unavailable", hint: "choose another SKU or location" },
  RequestDisallowedByPolicy: { code: "azure/policy", hint: "an Azure Policy of the subscription forbids this; the cause names it" },
  RequestDisallowedByAzure: { code: "azure/policy", hint: "choose another location: this subscription may not use it" },
  AuthorizationFailed: { code: "azure/denied", hint: "ask for the role Contributor on the resource group, then run the command again" },
  LinkedAuthorizationFailed: { code: "azure/denied", hint: "ask for the role Contributor on the linked resource too" },
  UnauthorizedResourceAccess: { code: "azure/denied", hint: "ask for the role Contributor on the database server too" },
  InvalidAuthenticationToken: { code: "auth/signed-out", hint: hints.signInAgain },
  InvalidAuthenticationTokenTenant: { code: "auth/signed-out", hint: hints.signInToTenant },
  ExpiredAuthenticationToken: { code: "auth/signed-out", hint: hints.signInAgain },
  SubscriptionNotFound: { code: "azure/not-found", hint: hints.subscription },
  ResourceGroupNotFound: { code: "azure/not-found" },
  ResourceNotFound: { code: "azure/not-found" },
  ParentResourceNotFound: { code: "azure/not-found" },
  MissingSubscriptionRegistration: { code: "azure/denied", hint: "register the provider: `az provider register --namespace NAME --wait`" },
  SubscriptionNotRegistered: { code: "azure/denied", hint: "register the provider: `az provider register --namespace NAME --wait`" },
  ReadOnlyDisabledSubscription: { code: "azure/denied", hint: hints.subscriptionDisabled },
  ScopeLocked: { code: "azure/conflict", hint: "a lock on the resource or its group forbids this: remove the lock first" },
  FailedIdentityOperation: {
    code: "azure/conflict",
    hint: "an identity of the app was deleted, or a new one is not known everywhere yet: run the same command again in some minutes; a deleted one has to be taken from the app (`az webapp identity remove`)",
  },
  ResourceGroupBeingDeleted: { code: "azure/busy", hint: "the resource group is being deleted: wait until it is gone" },
  ServerIsBusy: { code: "azure/busy", hint: "another operation holds the server: run the command again in some minutes" },
  ServerBusy: { code: "azure/busy", hint: "another operation holds the server: run the command again in some minutes" },
  ServerIsNotReady: { code: "azure/busy", hint: "wait until the server is Ready, then run the command again" },
  AadAuthOperationCannotBePerformedWhenServerIsNotAccessible: {
    code: "azure/busy",
    hint: "the server must be running: start it, or wait until it is Ready",
  },
  PrincipalNotFound: {
    code: "azure/busy",
    hint: "Entra does not know the identity everywhere yet: run the same command again in a minute",
  },
  TooManyRequests: { code: "azure/busy", hint: "Azure throttles this subscription: wait a minute and run the command again" },
  SubscriptionRequestsThrottled: { code: "azure/busy", hint: "Azure throttles this subscription: wait a minute and run the command again" },
  InsufficientStorage: { code: "azure/failed", hint: hints.noRoom },
  TargetTypeNotSupported: { code: "azure/invalid", hint: "the target of a connection is a database, not the server" },
};

/** Codes come from outside: `toString` is none of ours. */
function adviceOf(code: string): Advice | undefined {
  return Object.hasOwn(advice, code) ? advice[code] : undefined;
}

/** Words that tell more than the code does, where Azure gives no code of its own (App Service's table of refusals). */
const adviceOfWords: readonly (readonly [pattern: RegExp, advice: Advice])[] = [
  [
    /without additional quota/i,
    { code: "azure/quota", hint: "no quota for this plan SKU here: choose another SKU or location, or ask for quota" },
  ],
  [
    /approved .* cores quota/i,
    { code: "azure/quota", hint: "no quota for this SKU here: choose another SKU or location, or ask for quota" },
  ],
  [/not enough available reserved instance/i, { code: "azure/quota", hint: "the region is out of capacity: try later, or another SKU" }],
  [/workers are not available in resource group/i, { code: "azure/region-closed", hint: "use a new resource group or another location" }],
  [/SKU is not supported in this region/i, { code: "azure/sku-unavailable", hint: "choose another SKU or location" }],
  [/exclusive lock to create or update this server farm/i, { code: "azure/busy", hint: "the plan is busy: run the command again" }],
];

const adviceOfStatus: Readonly<Record<number, Advice>> = {
  400: { code: "azure/invalid" },
  401: { code: "auth/signed-out", hint: hints.signInAgain },
  403: { code: "azure/denied", hint: "ask for the role Contributor on the resource group, then run the command again" },
  404: { code: "azure/not-found" },
  409: { code: "azure/conflict" },
  412: { code: "azure/conflict" },
  429: { code: "azure/busy", hint: "Azure throttles this subscription: wait a minute and run the command again" },
};

/** What to do where neither the code nor the words of the failure say more. */
const hintOf: Partial<Record<ErrorCode, string>> = {
  "azure/invalid": "the cause names what Azure does not take: correct it in the project file",
  "azure/not-found": "something it needs is not there: `passwordless-pg plan` shows what is missing",
  "azure/conflict": "something else is at work on it: run the same command again in some minutes",
  "azure/failed": hints.failed,
};

function advise(failure: AzureFailure): Advice {
  const advice = adviceFor(failure);
  return { hint: hintOf[advice.code] ?? "", ...advice };
}

function adviceFor(failure: AzureFailure): Advice {
  const exact = failure.extendedCode === undefined ? undefined : adviceOf(`${failure.code}/${failure.extendedCode}`);
  return (
    exact ??
    adviceOf(failure.code) ??
    adviceOfWords.find(([pattern]) => pattern.test(failure.message))?.[1] ??
    adviceOfStatus[failure.status ?? 0] ?? { code: "azure/failed" }
  );
}

function record(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function extendedCodeOf(body: Readonly<Record<string, unknown>>): string | undefined {
  const details = body.Details ?? body.details;
  if (!Array.isArray(details)) return undefined;
  for (const detail of details) {
    const code = text(record(record(detail)?.ErrorEntity)?.ExtendedCode);
    if (code) return code;
  }
  return undefined;
}

/**
 * Reads the three shapes of a refusal: ARM's `{error:{code,message}}` (also inside an operation's status), Microsoft.Web's
 * `{Code,Message,Details[].ErrorEntity.ExtendedCode}`, and a bare `{code,message}`. `undefined` when the body is none of them.
 */
export function parseFailure(status: number | undefined, body: string | undefined): AzureFailure | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body ?? "");
  } catch {
    return undefined;
  }
  const top = record(parsed);
  const error = record(top?.error) ?? top;
  if (!error) return undefined;
  const code = text(error.code) ?? text(error.Code);
  if (code === undefined) return undefined;
  const message = text(error.message) ?? text(error.Message) ?? code;
  const extendedCode = extendedCodeOf(error);
  return { status, code: withoutSecrets(code.slice(0, MAX_CODE)), message: withoutSecrets(message), ...(extendedCode && { extendedCode }) };
}

/**
 * What an operation that succeeded warns of: `properties.message` of its status (recorded for Service Connector, with a capital M since 2023).
 * A validation's message is its report, as JSON or in the words of 2021, and no warning.
 */
export function warningIn(body: string): string | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return undefined;
  }
  const top = record(parsed);
  const properties = record(top?.properties);
  const message = text(properties?.message) ?? text(properties?.Message);
  if (top?.status !== "Succeeded" || message === undefined || /^\s*[{[]|^ConnectionName:/.test(message)) return undefined;
  return withoutSecrets(message);
}

/** Longer than any refusal that was met with; a page of a proxy is cut here. */
const MAX_WORDS = 8_000;
const MAX_CODE = 200;

/** Cuts what may be a token, a password or a signature out of words that came from outside, and what is too long. */
export function withoutSecrets(words: string): string {
  const bounded = words.length > MAX_WORDS ? `${words.slice(0, MAX_WORDS)}…` : words;
  return redact(bounded).replace(/https?:\/\/[^\s"']+/g, (url) => (url.includes("?") ? `${url.slice(0, url.indexOf("?"))}?…` : url));
}

interface HttpError extends Error {
  readonly code?: string;
  readonly statusCode?: number;
  readonly details?: unknown;
}

const isSignInError = (error: Error): boolean =>
  ["CredentialUnavailableError", "AuthenticationError", "AggregateAuthenticationError", "AuthenticationRequiredError"].includes(error.name);

/** The failure as Azure put it, from the last answer that was seen or from the thrown error itself. */
function failureOf(
  error: unknown,
  last: { readonly status?: number | undefined; readonly body?: string | undefined },
): AzureFailure | undefined {
  const seen = parseFailure(last.status, last.body);
  if (seen && (seen.status ?? 0) !== 0) return seen;
  if (!(error instanceof Error)) return undefined;
  const { statusCode, code } = error as HttpError;
  if (statusCode === undefined) return undefined;
  return { status: statusCode, code: code ?? `HTTP ${statusCode}`, message: withoutSecrets(error.message) };
}

/** An Azure failure as an `Error` whose message is `Code (status): text`, to be the cause of a `KnownError`. */
export function failureError(failure: AzureFailure): Error {
  const status = failure.status === undefined || failure.status < 400 ? "" : ` (${failure.status})`;
  return Object.assign(new Error(`${failure.code}${status}: ${failure.message}`), { name: "AzureError", azure: failure });
}

/** Azure's own code of the failure behind an error of this folder. */
export function azureCodeOf(error: unknown): string | undefined {
  const cause = error instanceof KnownError ? error.cause : undefined;
  const azure = cause instanceof Error ? (cause as Error & { azure?: AzureFailure }).azure : undefined;
  return azure?.code;
}

/** The authority was not reached, or something else answered in its place: MSAL's own codes, and Node's, which MSAL passes on in its words. */
const NO_AUTHORITY =
  /endpoints_resolution_error|openid_config_error|network_error|PARSE_ERROR|\bE(CONN\w+|TIMEDOUT|PIPE|AI_AGAIN|NOTFOUND|HOSTUNREACH|NETUNREACH|PROTO)\b|socket hang up|certificate|no token within|did not answer/i;

/** Did the sign-in fail on its way, so that another try may succeed? Away from Azure nobody answers for managed identities: that is no failure. */
export function isSignInBroken(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const told = error.message.split("\n").filter((line) => !line.includes("ManagedIdentityCredential"));
  return told.some((line) => NO_AUTHORITY.test(line)) || isSignInBroken(error.cause);
}

/** A failed sign-in, with the way to sign in; `azure/unreachable` when nobody was asked at all. */
export function signedOut(what: string, error: unknown): KnownError {
  const words = withoutSecrets(error instanceof Error ? error.message : String(error));
  if (isSignInBroken(error)) {
    return new KnownError("azure/unreachable", `${what}: the sign-in service does not answer as it should`, {
      hint: hints.authorityUnreachable,
      cause: new Error(words.slice(0, 2000)),
    });
  }
  return new KnownError("auth/signed-out", `${what}: nobody is signed in to Azure`, {
    hint: hints.signInAnywhere,
    cause: new Error(words.slice(0, 2000)),
  });
}

/**
 * Any error of a call to Azure → `KnownError`. `what` says what was done, on what: `create the server orders-db`.
 * A `KnownError` passes unchanged.
 */
export function translate(
  what: string,
  error: unknown,
  last: { readonly status?: number | undefined; readonly body?: string | undefined } = {},
): KnownError {
  if (error instanceof KnownError) return error;
  if (error instanceof Error && isSignInError(error)) return signedOut(`cannot ${what}`, error);
  const failure = failureOf(error, last);
  if (failure) {
    const { code, hint } = advise(failure);
    return new KnownError(code, `Azure refused to ${what}`, { hint, cause: failureError(failure) });
  }
  const words = withoutSecrets(error instanceof Error ? error.message : String(error));
  const cause = Object.assign(new Error(words), { name: "AzureError" });
  if (isBrokenConnection(error)) {
    return new KnownError("azure/unreachable", `cannot ${what}: Azure does not answer`, {
      hint: hints.unreachable,
      cause,
    });
  }
  return new KnownError("azure/failed", `cannot ${what}`, { hint: hintOf["azure/failed"], cause });
}
