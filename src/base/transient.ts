import { type ErrorCode, KnownError } from "./errors.ts";

/** The longest Retry-After of a throttled or overloaded Azure that is waited for. */
export const LONGEST_RETRY_AFTER_MS = 5 * 60_000;

const TRANSIENT: ReadonlySet<ErrorCode> = new Set([
  "azure/busy",
  "azure/failed",
  "azure/timeout",
  "azure/unreachable",
  "database/unreachable",
]);

/** Codes of connections that were not made or broke: of Node, of undici and of the SDKs' pipeline. */
const BROKEN =
  /^(?:ECONN[A-Z]+|EPIPE|ETIMEDOUT|EPROTO|ENOTFOUND|EAI_[A-Z]+|E(?:HOST|NET)[A-Z]+|ERR_STREAM_\w+|UND_ERR_\w+|REQUEST_SEND_ERROR)$/;

/** The connection was not made, or broke: `fetch` tells so in the cause. */
export function isBrokenConnection(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const { code, cause } = error as { readonly code?: unknown; readonly cause?: unknown };
  return typeof code === "string" ? BROKEN.test(code) : isBrokenConnection(cause);
}

/** Asked to be left alone for longer than is waited: to try again now would only be refused again. */
export function isLongPause(error: unknown): boolean {
  return error instanceof KnownError && (error.retryAfterMs ?? 0) > LONGEST_RETRY_AFTER_MS;
}

/** Trouble that passes by itself: the same again may succeed. */
export function isTransient(error: unknown): boolean {
  if (error instanceof KnownError) return TRANSIENT.has(error.code) && !isLongPause(error);
  return isBrokenConnection(error);
}
