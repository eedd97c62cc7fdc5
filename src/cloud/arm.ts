import { AsyncLocalStorage } from "node:async_hooks";
import {
  bearerTokenAuthenticationPolicy,
  createHttpHeaders,
  createPipelineFromOptions,
  createPipelineRequest,
  type HttpClient,
  type PipelinePolicy,
  type PipelineRequest,
  type PipelineResponse,
  RestError,
} from "@azure/core-rest-pipeline";
import { cancelled } from "../base/cancellation.ts";
import { KnownError } from "../base/errors.ts";
import { poll } from "../base/poll.ts";
import { retry } from "../base/retry.ts";
import { isLongPause, LONGEST_RETRY_AFTER_MS } from "../base/transient.ts";
import type { CloudContext } from "./connection.ts";
import { accessToken, forgetTokens } from "./credential.ts";
import { azureCodeOf, failureError, parseFailure, translate, warningIn } from "./errors.ts";
import { hints } from "./hints.ts";
import { ANSWER_BYTES, boundedHttpClient } from "./http-client.ts";
import { type Poller, pollUntilDone, type Waiting } from "./operations.ts";
import { isOfOrigin } from "./own-host.ts";
import { withTimeLimit } from "./time-limit.ts";

/** The last answer of the call that runs: the SDKs lose the error code of operations and of Microsoft.Web, and hide Retry-After. */
interface LastAnswer {
  status?: number;
  body?: string;
  retryAfterMs?: number;
  /** Where the state of an operation that has just begun is to be asked for. */
  begun?: { readonly url: string; readonly retryAfter: string | undefined };
  /** Plain reads by address. */
  readonly reads: Map<string, number>;
}

/** So often one call may read one address: some tries again, and the minutes that a resource provider takes. A list whose next page is itself has no end. */
const MOST_READS_OF_ONE = 150;
/** No list of a project has so many pages. */
const MOST_READS = 5_000;

/** Throws `azure/failed` when Azure's answers lead nowhere. */
function refuseEndlessList({ method, url }: PipelineRequest): void {
  const reads = lastAnswers.getStore()?.reads;
  if (!reads || method !== "GET" || STATUS_MONITOR.test(url)) return;
  const times = (reads.get(url) ?? 0) + 1;
  reads.set(url, times);
  if (times <= MOST_READS_OF_ONE && reads.size <= MOST_READS) return;
  throw new KnownError("azure/failed", "Azure's answer does not end: each page of the list names another one", {
    hint: hints.foreignAddress,
  });
}

/** One per call, not per client: calls run in parallel over one client. */
const lastAnswers = new AsyncLocalStorage<LastAnswer>();

/** Longest time one HTTP call may take; plan and site writes of 9 to 23 s are recorded. */
const CALL_TIMEOUT_MS = 180_000;

/** `Retry-After` in milliseconds: it is a number of seconds or a date (RFC 9110, 10.2.3). */
export function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined || header === "") return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return seconds * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

function note(response: PipelineResponse): void {
  const last = lastAnswers.getStore();
  if (!last) return;
  last.status = response.status;
  last.body = response.bodyAsText ?? "";
  const hint = retryAfterMs(response.headers.get("retry-after"));
  if (hint === undefined) delete last.retryAfterMs;
  else last.retryAfterMs = hint;
}

/**
 * The SDKs ask for an operation's state in the same breath as they begin it, whatever its Retry-After says (`@azure/core-lro` 2, seen): Azure is
 * not asked that once, the answer can only be that it runs.
 */
function firstPoll(request: PipelineRequest): PipelineResponse | undefined {
  const last = lastAnswers.getStore();
  const begun = last?.begun;
  if (!last || !begun || request.method !== "GET") return undefined;
  delete last.begun;
  if (request.url !== begun.url) return undefined;
  const headers = createHttpHeaders({ "content-type": "application/json", ...(begun.retryAfter && { "retry-after": begun.retryAfter }) });
  return { request, status: 200, headers, bodyAsText: '{"status":"InProgress"}' };
}

function noteBegun({ headers, request, status }: PipelineResponse): void {
  const last = lastAnswers.getStore();
  const url = headers.get("azure-asyncoperation");
  if (last && url !== undefined && request.method !== "GET" && (status === 201 || status === 202)) {
    last.begun = { url, retryAfter: headers.get("retry-after") };
  }
}

/** The SDKs sit out any Retry-After in silence, an hour too: a longer one ends the call at once and is told instead. Throws `azure/busy`. */
export function refuseLongPause(response: PipelineResponse): void {
  if (response.status !== 429 && response.status !== 503) return;
  const pauseMs = retryAfterMs(response.headers.get("retry-after")) ?? 0;
  if (pauseMs <= LONGEST_RETRY_AFTER_MS) return;
  const minutes = Math.ceil(pauseMs / 60_000);
  const message = `Retry-After says ${Math.round(pauseMs / 1000)} seconds`;
  throw new KnownError("azure/busy", `Azure asks to be left alone for ${minutes} minutes`, {
    hint: `run the same command again in ${minutes} minutes`,
    cause: failureError({ status: response.status, code: "RetryAfterTooLong", message }),
    retryAfterMs: pauseMs,
  });
}

/** A proxy's page, whatever its status says: to the SDKs, which would take it for an empty resource, a bad gateway. */
function isPage({ headers }: PipelineResponse): boolean {
  return /^text\/html/i.test(headers.get("content-type") ?? "");
}

/** Where an operation's state is asked: not found there means not known there yet, and the SDKs take a 404 for the operation's failure. */
const STATUS_MONITOR = /\/(azureAsyncOperation|operationStatuses)\//i;

/** An answer that breaks off in its middle: the SDKs try again only what breaks before it. Every ARM call of ours may be made twice. */
function brokenOff(error: unknown): never {
  if (error instanceof RestError && error.code === "PARSE_ERROR") error.code = "ECONNRESET";
  throw error;
}

/** The SDKs follow `Location`, `Azure-AsyncOperation` and `nextLink` wherever they lead, with the token. */
function refuseForeign(address: string, resourceManager: string): void {
  if (isOfOrigin(address, resourceManager)) return;
  throw new KnownError("azure/failed", `Azure sent an address on another host (${new URL(address).origin}): not followed`, {
    hint: hints.foreignAddress,
  });
}

/** Notes answers, bounds every call in time and ends it when the whole run is cancelled. */
function watchPolicy({ signal, credential, environment, onWarning }: Omit<CloudContext, "subscriptionId">): PipelinePolicy {
  return {
    name: "passwordless-pg watch",
    async sendRequest(request, next) {
      refuseForeign(request.url, environment.resourceManager);
      const known = firstPoll(request);
      if (known) return known;
      refuseEndlessList(request);
      const own = request.abortSignal instanceof AbortSignal ? request.abortSignal : undefined;
      const send = () =>
        withTimeLimit(request, environment.limits?.callMs ?? CALL_TIMEOUT_MS, [signal, own], () => next(request)).catch(brokenOff);
      let response = await send();
      if (response.status === 401 && parseFailure(401, response.bodyAsText ?? "")?.code === "ExpiredAuthenticationToken") {
        // In the middle of a long wait, say: everything done so far stays valid.
        forgetTokens(credential);
        const { token } = await accessToken(credential, environment.scopes.resourceManager, signal);
        request.headers.set("authorization", `Bearer ${token}`);
        response = await send();
      }
      if (isPage(response)) response.status = 502;
      if (response.status === 404 && STATUS_MONITOR.test(request.url)) response.status = 503;
      note(response);
      noteBegun(response);
      const warning = STATUS_MONITOR.test(request.url) ? warningIn(response.bodyAsText ?? "") : undefined;
      if (warning !== undefined) onWarning?.(warning);
      refuseLongPause(response);
      return response;
    },
  };
}

export interface OperationLimits {
  /** Over all tries. */
  readonly deadlineMs: number;
  /** One try: a busy answer is not waited for. */
  readonly isImpatient?: boolean;
  /** Called before each new try after a busy answer; throws to give up. */
  readonly beforeRetry?: () => Promise<void>;
}

export interface PlainAnswer {
  readonly status: number;
  readonly body: unknown;
  header(name: string): string | undefined;
}

/** The way to ARM that all adapters share. */
export interface Arm {
  readonly context: CloudContext;
  /** Options every SDK client is built with: endpoint, TLS, user agent, scopes, retries. */
  readonly clientOptions: ArmClientOptions;
  /** Runs one call; its failure becomes a `KnownError` that says it could not `what`. Registers a missing resource provider once, where it may. */
  call<T>(what: string, work: () => Promise<T>): Promise<T>;
  /** A call whose 404 means absent; nothing lives in a resource provider that is not registered. */
  orUndefined<T>(what: string, work: () => Promise<T>): Promise<T | undefined>;
  /** Registers a resource provider and waits for the end. */
  register(namespace: string): Promise<void>;
  /** Starts an operation and waits for its end; busy answers are tried again for some minutes. */
  operate<T>(what: string, begin: () => Promise<Poller<T>>, limits: OperationLimits): Promise<T>;
  /** One request without an SDK. `target` is a path with its query, or a polling URL that ARM gave. Throws below `call` for a status of 400 and more. */
  request(
    method: "GET" | "PUT" | "PATCH" | "POST" | "DELETE",
    target: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<PlainAnswer>;
}

interface ArmClientOptions {
  readonly endpoint: string;
  readonly credentialScopes: string;
  readonly credentials: { readonly scopes: string[] };
  readonly userAgentOptions: { readonly userAgentPrefix: string };
  readonly retryOptions: { readonly maxRetries: number; readonly retryDelayInMs: number };
  readonly additionalPolicies: { policy: PipelinePolicy; position: "perRetry" }[];
  readonly httpClient: HttpClient;
  readonly tlsOptions?: { readonly ca: string };
}

export const USER_AGENT = "passwordless-pg";

function clientOptionsOf(context: CloudContext): ArmClientOptions {
  const { environment } = context;
  const scope = environment.scopes.resourceManager;
  return {
    endpoint: environment.resourceManager,
    credentialScopes: scope,
    credentials: { scopes: [scope] },
    userAgentOptions: { userAgentPrefix: USER_AGENT },
    retryOptions: { maxRetries: 4, retryDelayInMs: 500 },
    httpClient: boundedHttpClient(ANSWER_BYTES.resourceManager),
    additionalPolicies: [{ policy: watchPolicy(context), position: "perRetry" }],
    ...(environment.caPem && { tlsOptions: { ca: environment.caPem } }),
  };
}

/** Pauses before the next try of a write that was refused as busy: about five minutes in all. */
const BUSY_PAUSES_MS = [1_000, 5_000, 10_000, 20_000, ...Array<number>(9).fill(30_000)];

const UNREGISTERED = new Set(["MissingSubscriptionRegistration", "SubscriptionNotRegistered"]);
const REGISTRATION_DEADLINE_MS = 300_000;

/** Azure answers nothing there before the resource provider is registered. */
export function isUnregistered(error: unknown): boolean {
  return UNREGISTERED.has(azureCodeOf(error) ?? "");
}

/** The provider an unregistered answer is about: `The subscription is not registered to use namespace 'Microsoft.Web'…` */
function unregisteredProvider(error: KnownError): string | undefined {
  return error.cause instanceof Error ? /namespace '([\w.]+)'/i.exec(error.cause.message)?.[1] : undefined;
}

function createPlainPipeline(context: CloudContext, options: ArmClientOptions) {
  const pipeline = createPipelineFromOptions({
    retryOptions: options.retryOptions,
    userAgentOptions: options.userAgentOptions,
    ...(options.tlsOptions && { tlsOptions: options.tlsOptions }),
  });
  pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential: context.credential, scopes: options.credentialScopes }));
  pipeline.addPolicy(watchPolicy(context), { afterPhase: "Sign" });
  return pipeline;
}

export function openArm(context: CloudContext): Arm {
  const { clock, environment, signal, subscriptionId } = context;
  const clientOptions = clientOptionsOf(context);
  const pipeline = createPlainPipeline(context, clientOptions);

  const translated = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const last: LastAnswer = { reads: new Map() };
    try {
      signal.throwIfAborted();
      return await lastAnswers.run(last, work);
    } catch (error) {
      throw signal.aborted ? cancelled(signal) : translate(what, error, last);
    }
  };

  const request: Arm["request"] = async (method, target, body, headers = {}) => {
    refuseForeign(new URL(target, environment.resourceManager).href, environment.resourceManager);
    const response = await pipeline.sendRequest(
      clientOptions.httpClient,
      createPipelineRequest({
        // Signed polling URLs must reach ARM byte for byte, so an absolute target is not rebuilt from its parts.
        url: /^https:/i.test(target) ? target : `${environment.resourceManager}${target}`,
        method,
        headers: createHttpHeaders({
          accept: "application/json",
          ...(body !== undefined && { "content-type": "application/json" }),
          ...headers,
        }),
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
    );
    if (response.status >= 400) throw Object.assign(new Error(`HTTP ${response.status}`), { statusCode: response.status });
    const words = response.bodyAsText ?? "";
    return { status: response.status, body: words === "" ? undefined : JSON.parse(words), header: (name) => response.headers.get(name) };
  };

  const register = (namespace: string): Promise<void> =>
    translated(`register the resource provider ${namespace}`, () => registerProvider(namespace));
  const registerProvider = async (namespace: string): Promise<void> => {
    const path = `/subscriptions/${subscriptionId}/providers/${namespace}`;
    await request("POST", `${path}/register?api-version=2021-04-01`);
    const look = async (): Promise<boolean> => {
      const { body } = await request("GET", `${path}?api-version=2021-04-01`);
      return (body as { registrationState?: string } | undefined)?.registrationState === "Registered";
    };
    await poll(look, (isRegistered) => isRegistered, {
      clock,
      signal,
      deadlineMs: REGISTRATION_DEADLINE_MS,
      intervalMs: 5_000,
      onWait: () => context.onProgress?.(`registering the resource provider ${namespace}`),
      late: () =>
        new KnownError("azure/timeout", `the resource provider ${namespace} is still not registered`, {
          hint: `run the command again when \`az provider show --namespace ${namespace}\` says Registered`,
        }),
    });
  };

  const call: Arm["call"] = async (what, work) => {
    try {
      return await translated(what, work);
    } catch (error) {
      const provider = isUnregistered(error) ? unregisteredProvider(error as KnownError) : undefined;
      if (provider === undefined || context.registersProviders === false) throw error;
      await register(provider);
      return translated(what, work);
    }
  };

  return {
    context,
    clientOptions,
    call,
    request,
    register,
    orUndefined: async (what, work) => {
      try {
        return await call(what, work);
      } catch (error) {
        if (context.registersProviders === false && isUnregistered(error)) return undefined;
        if (error instanceof KnownError && error.code === "azure/not-found" && azureCodeOf(error) !== "SubscriptionNotFound")
          return undefined;
        throw error;
      }
    },
    operate: (what, begin, { deadlineMs, isImpatient, beforeRetry }) => {
      const until = clock.now() + deadlineMs;
      const waiting: Omit<Waiting, "deadlineMs"> = {
        clock,
        signal,
        what,
        retryAfterMs: () => lastAnswers.getStore()?.retryAfterMs,
        ...(context.onProgress && { onProgress: context.onProgress }),
      };
      const start = async () => {
        const poller = await begin();
        delete lastAnswers.getStore()?.begun; // from here on every poll is ours
        return poller;
      };
      const once = async (tries: number) => {
        if (tries > 1) await beforeRetry?.();
        return call(what, () => pollUntilDone(start, { ...waiting, deadlineMs: until - clock.now() }));
      };
      const pauseMs = ({ error, tries }: { readonly error: unknown; readonly tries: number }): number | undefined => {
        const ms = isImpatient ? undefined : BUSY_PAUSES_MS[tries - 1];
        const isBusy = error instanceof KnownError && error.code === "azure/busy" && !isLongPause(error);
        if (ms === undefined || !isBusy || clock.now() + ms > until) return undefined;
        context.onProgress?.(`${what}: busy, next try in ${ms / 1000} s`);
        return ms;
      };
      return retry(once, { clock, signal, pauseMs });
    },
  };
}
