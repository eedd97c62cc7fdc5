import { randomUUID } from "node:crypto";
import { type ArmError, armError } from "../../http/arm-error.ts";

/**
 * An error of Entra's token endpoint: `{error, error_description, error_codes, timestamp, trace_id, correlation_id, error_uri}`
 * (learn.microsoft.com/entra/identity-platform/reference-error-codes). `text` comes without its `AADSTS` number.
 */
export function entraError(status: number, error: string, number: number, text: string): ArmError {
  const traceId = randomUUID();
  const correlationId = randomUUID();
  const timestamp = `${new Date().toISOString().slice(0, 19).replace("T", " ")}Z`;
  const description = `AADSTS${number}: ${text} Trace ID: ${traceId} Correlation ID: ${correlationId} Timestamp: ${timestamp}`;
  const body = {
    error,
    error_description: description,
    error_codes: [number],
    timestamp,
    trace_id: traceId,
    correlation_id: correlationId,
    error_uri: `https://login.microsoftonline.com/error?code=${number}`,
  };
  return armError(status, `AADSTS${number}`, text, { body, headers: { "cache-control": "no-store, no-cache", pragma: "no-cache" } });
}
