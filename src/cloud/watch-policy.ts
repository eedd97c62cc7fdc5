import { AsyncLocalStorage } from "node:async_hooks";
import { createHttpHeaders, type PipelinePolicy, type PipelineRequest, type PipelineResponse, RestError } from "@azure/core-rest-pipeline";
import { KnownError } from "../base/errors.ts";
import type { CloudContext } from "./connection.ts";
import { accessToken, forgetTokens } from "./credential.ts";
import { parseFailure, warningIn } from "./errors.ts";
import { hints } from "./hints.ts";
import { refuseForeign } from "./own-host.ts";
import { refuseLongPause, retryAfterMs } from "./retry-after.ts";
import { withTimeLimit } from "./time-limit.ts";

/** The last answer of the call that runs: the SDKs lose the error code of operations and of Microsoft.Web, and hide Retry-After. */
export interface LastAnswer {
  status?: number;
  body?: string;
  retryAfterMs?: number;
  /** Where the state of an operation that has just begun is to be asked for. */
  begun?: { readonly url: string; readonly retryAfter: string | undefined };
  /** Plain reads by address. */
  readonly reads: Map<string, number>;
}

/** One per call, not per client: calls run in parallel over one client. */
export const lastAnswers = new AsyncLocalStorage<LastAnswer>();

/** Longest time one HTTP call may take; plan and site writes of 9 to 23 s are recorded. */
const CALL_TIMEOUT_MS = 180_000;

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

/** Notes answers, bounds every call in time and ends it when the whole run is cancelled. */
export function watchPolicy({ signal, credential, environment, onWarning }: Omit<CloudContext, "subscriptionId">): PipelinePolicy {
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
