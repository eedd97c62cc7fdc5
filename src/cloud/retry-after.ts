import type { PipelineResponse } from "@azure/core-rest-pipeline";
import { KnownError } from "../base/errors.ts";
import { LONGEST_RETRY_AFTER_MS } from "../base/transient.ts";
import { failureError } from "./errors.ts";

/** `Retry-After` in milliseconds: it is a number of seconds or a date (RFC 9110, 10.2.3). */
export function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined || header === "") return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return seconds * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
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
