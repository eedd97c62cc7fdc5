import type { Watch } from "../../machines/postgres/interventions.ts";
import type { Platform } from "../../platform.ts";

/** States after which the server ends the connection; any other leaves it in use (PostgreSQL documentation, appendix "Error Codes"). */
const FATAL_STATES = /^(08|28|53300|57P0)/;

/** Faults put on the server, and tests. `undefined` when there are neither, so that statements are copied at full speed. */
export function watchOf({ certificates, clock, faults, onTraffic }: Platform, host: string, address: string): Watch | undefined {
  if (!onTraffic && faults.list().length === 0) return undefined;
  let isAnswerLost = false;
  return async (phase, method, path, signal) => {
    if ((await onTraffic?.({ phase, host, method, path })) === "drop") return { kind: "drop" };
    if (phase === "done") return isAnswerLost ? { kind: "drop" } : undefined;
    const fault = faults.take(host, method, path);
    switch (fault?.kind) {
      case undefined:
        return undefined;
      case "stall":
        await clock.sleep(fault.ms, signal);
        return undefined;
      case "drop-after":
        isAnswerLost = true;
        return method === "CONNECT" ? { kind: "drop" } : undefined;
      case "tls":
        return {
          kind: "tls",
          certificate: fault.flaw === "refused" ? undefined : certificates.issueFlawed([address, "localhost"], fault.flaw),
        };
      case "sql-error": {
        const refusal = { sqlState: fault.sqlState, message: fault.message ?? "The connection failed by a fault put on its server." };
        const isFatal = method !== "SQL" || FATAL_STATES.test(fault.sqlState);
        return { kind: isFatal ? "dismiss" : "raise", refusal };
      }
      default:
        return { kind: "drop" };
    }
  };
}
