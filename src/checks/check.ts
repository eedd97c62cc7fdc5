import { KnownError } from "../base/errors.ts";

/** What a check speaks of; the first half of its code and the name of its file. */
type Subject =
  | "subscription"
  | "server"
  | "network"
  | "sign-in"
  | "database"
  | "site"
  | "configuration"
  | "connection"
  | "settings"
  | "code"
  | "role";

/** What a look at it brought: whether all is well, and the evidence. */
export interface Finding {
  readonly ok: boolean;
  readonly detail: string;
  /** What repairs just this, where it is more exact than the check's own `repair`. */
  readonly hint?: string;
}

type Text<F> = string | ((facts: F) => string);

/** One thing that can be wrong. `F`: the facts it looks at, those of the project or of one site. */
export interface Check<F> {
  /** Stays the same over versions: scripts look for it, and for `name`. */
  readonly code: `${Subject}/${string}`;
  /** As shown; true when all is well. */
  readonly name: Text<F>;
  /** What it leads to when it is not so. */
  readonly meaning: string;
  /** The command or setting that repairs it. */
  readonly repair: Text<F>;
  /** It is a link of the chain that `verify` proves: under its own name (`true`), or as a part of the proof of this name. */
  readonly proof?: true | Text<F>;
  /** It writes into the app's database: for `verify` alone. */
  readonly writes?: true;
  /** `undefined`: does not apply here. Throws what kept it from looking; "azure/not-found" and "database/…" have checks of their own. */
  look(facts: F): Promise<Finding | undefined>;
}

/** A check with the facts it looks at. */
export interface BoundCheck extends Pick<Check<unknown>, "code" | "meaning" | "writes"> {
  readonly name: string;
  readonly repair: string;
  readonly proof: string | undefined;
  look(): Promise<Finding | undefined>;
}

/** What is told of a check. */
export interface CheckResult extends Finding {
  readonly name: string;
  /** Of a proof with several parts: that of the first part that is not ok, else of the first. */
  readonly code: string;
  /** What it leads to, when it is not ok. */
  readonly meaning?: string;
}

/** The checks over these facts. `label`: the site's, which stands before each name. */
export function bindChecks<F>(checks: readonly Check<F>[], facts: F, label?: string): BoundCheck[] {
  const textOf = (text: Text<F>): string => (typeof text === "string" ? text : text(facts));
  const named = (text: Text<F>): string => `${label === undefined ? "" : `${label}: `}${textOf(text)}`;
  return checks.map((check) => ({
    ...check,
    name: named(check.name),
    repair: textOf(check.repair),
    proof: check.proof && named(check.proof === true ? check.name : check.proof),
    look: () => check.look(facts),
  }));
}

/** What kept a check from looking, as its finding. Throws Ctrl-C and bugs on. */
export function toFinding(error: unknown): Finding {
  if (!(error instanceof KnownError) || error.code === "cancelled") throw error;
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return { ok: false, detail: `${error.message}${cause}`, ...(error.hint ? { hint: error.hint } : {}) };
}

/** The two commands that repair most. */
export const fix = "run `passwordless-pg doctor --fix`";
export const init = "run `passwordless-pg init`";
