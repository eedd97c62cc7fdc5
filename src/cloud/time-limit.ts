import type { PipelineRequest } from "@azure/core-rest-pipeline";
import { KnownError } from "../base/errors.ts";
import { hints } from "./hints.ts";

/**
 * Sends one request, bounded in time up to the end of `send`: the body too, unless it is passed on as a stream. Not the request's own `timeout`: the pipeline forgets that timer when a
 * connection breaks or is cancelled, and the process then lives on until it ends (seen with `@typespec/ts-http-runtime` 0.3).
 * Throws `azure/timeout`.
 */
export async function withTimeLimit<T>(
  request: PipelineRequest,
  ms: number,
  signals: readonly (AbortSignal | undefined)[],
  send: () => Promise<T>,
): Promise<T> {
  const outer = signals.filter((signal) => signal !== undefined);
  const limit = new AbortController();
  const timer = ms > 0 ? setTimeout(() => limit.abort(), ms) : undefined;
  const given = request.abortSignal;
  request.timeout = 0;
  request.abortSignal = AbortSignal.any([...outer, limit.signal]);
  try {
    return await send();
  } catch (error) {
    if (!limit.signal.aborted || outer.some(({ aborted }) => aborted)) throw error;
    const { host } = new URL(request.url);
    throw new KnownError("azure/timeout", `${host} did not answer a ${request.method} within ${Math.round(ms / 1000)} s`, {
      hint: hints.slow,
    });
  } finally {
    clearTimeout(timer);
    // Pauses between tries listen to it, too.
    request.abortSignal = given ?? AbortSignal.any(outer);
  }
}
