import {
  bearerTokenAuthenticationPolicy,
  createHttpHeaders,
  createPipelineFromOptions,
  createPipelineRequest,
  type HttpClient,
  type PipelinePolicy,
} from "@azure/core-rest-pipeline";
import { cancelled } from "../base/cancellation.ts";
import { defined } from "../base/defined.ts";
import { KnownError } from "../base/errors.ts";
import { poll } from "../base/poll.ts";
import { retry, type Trouble } from "../base/retry.ts";
import { isLongPause } from "../base/transient.ts";
import type { CloudContext } from "./connection.ts";
import { azureCodeOf, translate } from "./errors.ts";
import { ANSWER_BYTES, boundedHttpClient } from "./http-client.ts";
import { type Poller, pollUntilDone } from "./operations.ts";
import { refuseForeign } from "./own-host.ts";
import { type LastAnswer, lastAnswers, watchPolicy } from "./watch-policy.ts";

interface OperationLimits {
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

/** See `Arm.request`. */
function plainRequest(context: CloudContext, options: ArmClientOptions): Arm["request"] {
  const { resourceManager } = context.environment;
  const pipeline = createPlainPipeline(context, options);
  return async (method, target, body, headers = {}) => {
    refuseForeign(new URL(target, resourceManager).href, resourceManager);
    const text = body === undefined ? undefined : JSON.stringify(body);
    const response = await pipeline.sendRequest(
      options.httpClient,
      createPipelineRequest(
        defined({
          // Signed polling URLs must reach ARM byte for byte, so an absolute target is not rebuilt from its parts.
          url: /^https:/i.test(target) ? target : `${resourceManager}${target}`,
          method,
          headers: createHttpHeaders({
            accept: "application/json",
            ...(text !== undefined && { "content-type": "application/json" }),
            ...headers,
          }),
          body: text,
        }),
      ),
    );
    if (response.status >= 400) throw Object.assign(new Error(`HTTP ${response.status}`), { statusCode: response.status });
    const words = response.bodyAsText ?? "";
    return { status: response.status, body: words === "" ? undefined : JSON.parse(words), header: (name) => response.headers.get(name) };
  };
}

/** Registers a resource provider and waits for the end. Throws `azure/timeout`. */
async function registerProvider(request: Arm["request"], context: CloudContext, namespace: string): Promise<void> {
  const { clock, onProgress, signal, subscriptionId } = context;
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
    onWait: () => onProgress?.(`registering the resource provider ${namespace}`),
    late: () =>
      new KnownError("azure/timeout", `the resource provider ${namespace} is still not registered`, {
        hint: `run the command again when \`az provider show --namespace ${namespace}\` says Registered`,
      }),
  });
}

/** See `Arm.operate`. */
function operateOver({ clock, onProgress, signal }: CloudContext, call: Arm["call"]): Arm["operate"] {
  return (what, begin, { deadlineMs, isImpatient, beforeRetry }) => {
    const until = clock.now() + deadlineMs;
    const retryAfterMs = () => lastAnswers.getStore()?.retryAfterMs;
    const waiting = defined({ clock, signal, what, retryAfterMs, onProgress });
    const start = async () => {
      const poller = await begin();
      delete lastAnswers.getStore()?.begun; // from here on every poll is ours
      return poller;
    };
    const once = async (tries: number) => {
      if (tries > 1) await beforeRetry?.();
      return call(what, () => pollUntilDone(start, { ...waiting, deadlineMs: until - clock.now() }));
    };
    const pauseMs = ({ error, tries }: Trouble): number | undefined => {
      const ms = isImpatient ? undefined : BUSY_PAUSES_MS[tries - 1];
      const isBusy = error instanceof KnownError && error.code === "azure/busy" && !isLongPause(error);
      if (ms === undefined || !isBusy || clock.now() + ms > until) return undefined;
      onProgress?.(`${what}: busy, next try in ${ms / 1000} s`);
      return ms;
    };
    return retry(once, { clock, signal, pauseMs });
  };
}

export function openArm(context: CloudContext): Arm {
  const { registersProviders, signal } = context;
  const clientOptions = clientOptionsOf(context);
  const request = plainRequest(context, clientOptions);

  const translated = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const last: LastAnswer = { reads: new Map() };
    try {
      signal.throwIfAborted();
      return await lastAnswers.run(last, work);
    } catch (error) {
      throw signal.aborted ? cancelled(signal) : translate(what, error, last);
    }
  };
  const register: Arm["register"] = (namespace) =>
    translated(`register the resource provider ${namespace}`, () => registerProvider(request, context, namespace));
  const call: Arm["call"] = async (what, work) => {
    try {
      return await translated(what, work);
    } catch (error) {
      const provider = isUnregistered(error) ? unregisteredProvider(error as KnownError) : undefined;
      if (provider === undefined || registersProviders === false) throw error;
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
    operate: operateOver(context, call),
    orUndefined: async (what, work) => {
      try {
        return await call(what, work);
      } catch (error) {
        if (registersProviders === false && isUnregistered(error)) return undefined;
        if (error instanceof KnownError && error.code === "azure/not-found" && azureCodeOf(error) !== "SubscriptionNotFound")
          return undefined;
        throw error;
      }
    },
  };
}
