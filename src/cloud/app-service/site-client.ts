import { createHttpHeaders, createPipelineRequest, type HttpMethods } from "@azure/core-rest-pipeline";
import { cancelled } from "../../base/cancellation.ts";
import { KnownError } from "../../base/errors.ts";
import { retry } from "../../base/retry.ts";
import { USER_AGENT } from "../arm.ts";
import type { CloudContext } from "../connection.ts";
import { withoutSecrets } from "../errors.ts";
import { type BeginningOfAnswer, boundedHttpClient, sendForBeginning } from "../http-client.ts";
import { withTimeLimit } from "../time-limit.ts";

/** Of a long or endless answer (an event stream) the beginning: its status counts all the same. */
export type SiteResponse = BeginningOfAnswer;

/** The app's public URL. Every call and every answer is bounded; a GET is tried again on connection errors. */
export interface SiteClient {
  get(path: string, options?: { readonly timeoutMs?: number }): Promise<SiteResponse>;
  post(path: string, json: unknown, options?: { readonly timeoutMs?: number }): Promise<SiteResponse>;
}

const TIMEOUT_MS = 60_000;
/** No answer that this tool reads is longer than some kilobytes. */
const ANSWER_BYTES = 1024 * 1024;
/** An answer that has not ended so long after its headers is taken as it is. */
const ANSWER_MS = 10_000;
/** New host names can be unknown to name servers for some time, and a restarting app breaks connections. */
const GET_TRIES = 4;

/** `HTTP 200`, and why the answer was not read to its end. */
export function describeStatus({ status, cut }: SiteResponse): string {
  if (cut === undefined) return `HTTP ${status}`;
  return `HTTP ${status}, answered ${cut === "size" ? "with more than 1 MB" : `without end (left after ${ANSWER_MS / 1000} s)`}`;
}

export function siteClient(context: CloudContext, site: { readonly name: string; readonly url: string }): SiteClient {
  const { clock, environment, signal } = context;
  const client = boundedHttpClient(ANSWER_BYTES);
  const tlsSettings = environment.caPem === undefined ? undefined : { ca: environment.caPem };

  const send = async (method: HttpMethods, path: string, timeoutMs: number, json?: unknown): Promise<SiteResponse> => {
    const request = createPipelineRequest({
      url: new URL(path, site.url).href,
      method,
      // An app's public URL: no token is ever sent there.
      allowInsecureConnection: true,
      headers: createHttpHeaders({ "user-agent": USER_AGENT, ...(json !== undefined && { "content-type": "application/json" }) }),
      ...(json !== undefined && { body: JSON.stringify(json) }),
    });
    // Not among the options above: the function would drop it.
    if (tlsSettings) request.tlsSettings = tlsSettings;
    const limits = { maxBytes: ANSWER_BYTES, maxMs: ANSWER_MS };
    return withTimeLimit(request, timeoutMs, [signal], () => sendForBeginning(client, request, limits));
  };

  const unreachable = (path: string, error: unknown): KnownError => {
    if (signal.aborted) return cancelled(signal);
    const words = withoutSecrets(error instanceof Error ? error.message : String(error));
    return new KnownError("azure/unreachable", `${site.name} does not answer at ${path}`, {
      hint: "look at its log: `passwordless-pg logs tail`",
      cause: new Error(words),
    });
  };

  return {
    get: async (path, { timeoutMs = TIMEOUT_MS } = {}) => {
      try {
        const pauseMs = ({ tries }: { readonly tries: number }) => (tries < GET_TRIES ? 500 * tries : undefined);
        return await retry(() => send("GET", path, timeoutMs), { clock, signal, pauseMs });
      } catch (error) {
        throw unreachable(path, error);
      }
    },
    post: async (path, json, { timeoutMs = TIMEOUT_MS } = {}) => {
      try {
        return await send("POST", path, timeoutMs, json);
      } catch (error) {
        throw unreachable(path, error);
      }
    },
  };
}
