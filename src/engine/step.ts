import type { ErrorCode } from "../base/errors.ts";

/** One field that is not as wanted. Values are shown to the person, so they must never be secrets. */
export interface Difference {
  readonly field: string;
  readonly observed: unknown;
  readonly desired: unknown;
}

/** What one step would do. There is no *replace*: this tool owns a database. */
export type Change =
  | { readonly kind: "keep" }
  | { readonly kind: "create"; readonly reason?: string }
  | { readonly kind: "update"; readonly differences: readonly Difference[]; readonly reason?: string }
  | Blocked;

/** It cannot be made true. `code`: of the failure that it ends in, "step/blocked" when left out. */
export interface Blocked {
  readonly kind: "blocked";
  readonly reason: string;
  readonly hint?: string;
  readonly code?: ErrorCode;
}

// biome-ignore lint/suspicious/noExplicitAny: the one place where a step of any value is meant; `Values` gives the type back.
export type AnyStep = Step<any, any>;
export type Needs = { readonly [name: string]: AnyStep };
/** What a step observes when it is there. */
export type Observed<S extends AnyStep> = S extends Step<infer O, infer _> ? O : never;
/** What the needed steps were observed to be. A need that may be left out is `undefined` in its values. */
export type Values<N extends Needs> = { readonly [K in keyof N]: NonNullable<N[K]> extends Step<infer O, infer _> ? O : never };

/** One thing to make true. `O` is what is observed when it is there. */
export interface Step<O, N extends Needs = Needs> {
  /** A noun, unique in its graph: `web app api`. */
  readonly name: string;
  readonly needs: N;
  /** Steps of one lane never write at the same time (all writes to one web app recycle its SCM site). */
  readonly lane?: string;
  /** To create it costs money, or makes the place for what does: a person's to start, never done unasked. */
  readonly isBillable?: true;
  /** What is there; `undefined` when nothing is. Called only when everything needed is there. */
  read(values: Values<N>): Promise<O | undefined>;
  /**
   * Asked when it is to be created: can it be at all? A refusal blocks it, and what would be made for it alone, before anything is made.
   * `undefined` also when that cannot be known: then it is left to `apply`.
   */
  precheck?(): Promise<Blocked | undefined>;
  /** Pure. */
  plan(observed: O | undefined, values: Values<N>): Change;
  /** Makes it so, from whatever start. Afterwards the engine reads again and the plan must be `keep`. */
  apply(change: Change, values: Values<N>, observed: O | undefined): Promise<void>;
}

export function defineStep<O, N extends Needs>(step: Step<O, N>): Step<O, N> {
  return step;
}

/**
 * `create` when absent, `keep` when every desired field is equal, else `update` with the differences.
 * Only the fields named in `desired` are compared; text is compared exactly.
 */
export function decide<O extends object>(observed: O | undefined, desired: Partial<O>): Change {
  if (observed === undefined) return { kind: "create" };
  const differences = Object.entries(desired)
    .filter(([field, wanted]) => !isEqual((observed as Record<string, unknown>)[field], wanted))
    .map(([field, wanted]) => ({ field, observed: (observed as Record<string, unknown>)[field], desired: wanted }));
  return differences.length === 0 ? { kind: "keep" } : { kind: "update", differences };
}

function isEqual(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false;
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...keys].every((key) => isEqual((left as Record<string, unknown>)[key], (right as Record<string, unknown>)[key]));
}
