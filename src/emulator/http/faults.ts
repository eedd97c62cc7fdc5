import { randomUUID } from "node:crypto";

/** What can be wrong with a certificate: signed by nobody who is trusted, over since half a day, or made out to another name. */
export type CertificateFlaw = "stranger" | "expired" | "wrong-name";

/** What happens to a request that a fault catches. */
export type FaultAction =
  /** Answered without doing the work. Without `body` in ARM's shape. */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly code?: string;
      readonly message?: string;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: unknown;
    }
  /** The connection is reset, the work not done. */
  | { readonly kind: "reset" }
  /** Waits, then goes on as usual. */
  | { readonly kind: "stall"; readonly ms: number }
  /** Does the work, sends half of the body and resets. */
  | { readonly kind: "cut" }
  /** A proxy's HTML page instead of an answer; 502 unless told. */
  | { readonly kind: "html"; readonly status?: number }
  /** The operation this request begins ends in `Failed` with this error. */
  | { readonly kind: "operation-fails"; readonly code: string; readonly message?: string }
  /** Does the work, then resets instead of answering. */
  | { readonly kind: "drop-after" }
  /**
   * At a flexible server: the login or statement is refused with this SQLSTATE. The connection ends with a login and with the states that end
   * one (`57P01`, `53300`, `08006`, …); after any other (`40P01`, `42501`, …) connection and transaction are as PostgreSQL leaves them.
   */
  | { readonly kind: "sql-error"; readonly sqlState: string; readonly message?: string }
  /** At a flexible server, `CONNECT`: a certificate nobody should trust, or no TLS at all (`refused`). */
  | { readonly kind: "tls"; readonly flaw: CertificateFlaw | "refused" };

/** A rule: which requests, how often, and what is done to them. */
export interface Fault {
  /**
   * Journal name of the host: `azure`, `scm:NAME`, `identity`; any when absent. `*` stands for anything. `site:NAME` is the app's own address,
   * which has no place in the journal.
   * `postgres:NAME` is a flexible server, with the methods `CONNECT` (before TLS), `LOGIN` and `SQL` and the path `/DATABASE/USER` (`/` before TLS);
   * it knows the actions `reset`, `drop-after`, `stall`, `sql-error` and `tls`.
   */
  readonly host?: string;
  readonly method?: string;
  /** Path without query; `*` stands for anything, also across slashes. Compared without case. */
  readonly path?: string;
  /** How many requests it catches; all when absent. */
  readonly times?: number;
  /** Lets this many matching requests pass first. */
  readonly skip?: number;
  readonly action: FaultAction;
}

export interface Faults {
  /** Returns the fault's ID. Earlier faults are tried first. */
  add(fault: Fault): string;
  list(): readonly (Fault & { readonly id: string; readonly caught: number })[];
  remove(id: string): boolean;
  clear(): void;
  /** The fault that catches this request, counted as caught. */
  take(host: string, method: string, path: string): FaultAction | undefined;
}

export function createFaults(): Faults {
  let rules: { id: string; fault: Fault; seen: number; caught: number }[] = [];
  return {
    add: (fault) => {
      const id = randomUUID();
      rules.push({ id, fault, seen: 0, caught: 0 });
      return id;
    },
    list: () => rules.map(({ id, fault, caught }) => ({ id, ...fault, caught })),
    remove: (id) => {
      const before = rules.length;
      rules = rules.filter((rule) => rule.id !== id);
      return rules.length < before;
    },
    clear: () => {
      rules = [];
    },
    take: (host, method, path) => {
      for (const rule of rules) {
        const { fault } = rule;
        if (!matches(fault.host, host) || !matches(fault.method, method) || !matches(fault.path, path)) continue;
        if (fault.times !== undefined && rule.caught >= fault.times) continue;
        rule.seen += 1;
        if (rule.seen <= (fault.skip ?? 0)) continue;
        rule.caught += 1;
        return fault.action;
      }
      return undefined;
    },
  };
}

function matches(pattern: string | undefined, text: string): boolean {
  if (pattern === undefined) return true;
  const source = pattern
    .split("*")
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"))
    .join(".*");
  return new RegExp(`^${source}$`, "i").test(text);
}
