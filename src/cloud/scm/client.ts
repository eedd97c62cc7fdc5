import type { TokenCredential } from "@azure/core-auth";
import {
  createHttpHeaders,
  createPipelineFromOptions,
  createPipelineRequest,
  type HttpMethods,
  type PipelineRequest,
  type PipelineResponse,
} from "@azure/core-rest-pipeline";
import { cancelled } from "../../base/cancellation.ts";
import { KnownError } from "../../base/errors.ts";
import { retry } from "../../base/retry.ts";
import { isTransient } from "../../base/transient.ts";
import { USER_AGENT } from "../arm.ts";
import type { CloudContext } from "../connection.ts";
import { accessToken } from "../credential.ts";
import { translate } from "../errors.ts";
import { ANSWER_BYTES, boundedHttpClient } from "../http-client.ts";
import { ownHost } from "../own-host.ts";
import { refuseLongPause } from "../retry-after.ts";
import { withTimeLimit } from "../time-limit.ts";
import { refusal } from "./refusals.ts";

export const CALL_TIMEOUT_MS = 60_000;
/** Recorded: the first upload to a cold SCM site took 65 s; the front end cuts at 230 s. */
export const UPLOAD_TIMEOUT_MS = 240_000;
const RESTART_PAUSE_MS = 2_000;
const RESTART_MS = 120_000;
const BROKEN_ANSWER_MS = 20_000;

interface Call {
  readonly method?: HttpMethods;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: PipelineRequest["body"];
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Answer with a stream instead of text. */
  readonly isStream?: true;
}

/** The way to the SCM site of one app. */
export interface ScmClient {
  readonly context: CloudContext;
  /** Name of the app, for texts. */
  readonly app: string;
  /** One call, whatever status it answers; its failure is a `KnownError` that says it could not `what`. */
  send(what: string, path: string, call?: Call): Promise<PipelineResponse>;
  /** One call that must answer with success; throws `refusal`. */
  succeed(what: string, path: string, call?: Call): Promise<PipelineResponse>;
  /** JSON of a GET, tried again while the SCM container restarts (502, 503, 504, broken connections): every settings change does that. */
  readJson<T>(what: string, path: string): Promise<T | undefined>;
}

/** Bearer tokens with the App Service audience; with ARM's where Entra does not know that one (both were accepted in 2026 recordings). */
function scmTokens(credential: TokenCredential, { scopes }: CloudContext["environment"], signal: AbortSignal): () => Promise<string> {
  let scope = scopes.appService;
  return async () => {
    try {
      return (await accessToken(credential, scope, signal)).token;
    } catch (error) {
      if (scope === scopes.resourceManager || signal.aborted) throw error;
      const { token } = await accessToken(credential, scopes.resourceManager, signal);
      scope = scopes.resourceManager;
      return token;
    }
  };
}

interface Trouble {
  readonly error: unknown;
  readonly elapsedMs: number;
}

/** What the answer asks for, else a moment; `undefined` for what does not pass, or not in time. */
export function pauseWithin(deadlineMs: number, { error, elapsedMs }: Trouble): number | undefined {
  if (!isTransient(error)) return undefined;
  const ms = Math.max((error instanceof KnownError && error.retryAfterMs) || 0, RESTART_PAUSE_MS);
  return elapsedMs + ms <= deadlineMs ? ms : undefined;
}

export function scmClient(context: CloudContext, site: { readonly name: string; readonly scmHost: string }): ScmClient {
  const { clock, credential, environment, signal } = context;
  const token = scmTokens(credential, environment, signal);
  const pipeline = createPipelineFromOptions({
    userAgentOptions: { userAgentPrefix: USER_AGENT },
    retryOptions: { maxRetries: 0 },
    redirectOptions: { maxRetries: 0 },
    ...(environment.caPem && { tlsOptions: { ca: environment.caPem } }),
  });
  const client = boundedHttpClient(ANSWER_BYTES.scm);
  // With several instances, a poll must meet the instance that took the package: its cookie is sent back.
  let affinity: string | undefined;

  const request = async (path: string, call: Call): Promise<PipelineRequest> =>
    createPipelineRequest({
      url: `https://${ownHost(`the SCM site of ${site.name}`, site.scmHost, environment.scmDomains)}${path}`,
      method: call.method ?? "GET",
      headers: createHttpHeaders({
        authorization: `Bearer ${await token()}`,
        ...(affinity !== undefined && { cookie: affinity }),
        ...call.headers,
      }),
      ...(call.body !== undefined && { body: call.body }),
      ...(call.isStream && { streamResponseStatusCodes: new Set([200, 206]) }),
    });

  const send = async (what: string, path: string, call: Call = {}): Promise<PipelineResponse> => {
    try {
      const asked = await request(path, call);
      const response = await withTimeLimit(asked, call.timeoutMs ?? CALL_TIMEOUT_MS, [signal, call.signal], () =>
        pipeline.sendRequest(client, asked),
      );
      affinity = /ARRAffinity=[0-9a-f]+/i.exec(response.headers.get("set-cookie") ?? "")?.[0] ?? affinity;
      refuseLongPause(response);
      return response;
    } catch (error) {
      throw signal.aborted ? cancelled(signal) : translate(`${what} (${site.name})`, error);
    }
  };

  const succeed: ScmClient["succeed"] = async (what, path, call) => {
    const response = await send(what, path, call);
    if (response.status < 300) return response;
    throw refusal(`${what} (${site.name})`, response);
  };

  const readJson = <T>(what: string, path: string): Promise<T | undefined> => {
    let isBroken = false;
    const work = async (): Promise<T | undefined> => {
      isBroken = false;
      const response = await send(what, path);
      if (response.status === 404) return undefined;
      if (response.status >= 300) throw refusal(`${what} (${site.name})`, response);
      try {
        return JSON.parse(response.bodyAsText ?? "null") as T;
      } catch {
        // A proxy's page or half an answer, while the container restarts.
        isBroken = true;
        throw refusal(`${what} (${site.name})`, response);
      }
    };
    return retry(work, { clock, signal, pauseMs: (trouble) => pauseWithin(isBroken ? BROKEN_ANSWER_MS : RESTART_MS, trouble) });
  };

  return { context, app: site.name, send, succeed, readJson };
}
