/** One thing that `down` would take away. */
export interface Removal {
  readonly what: string;
  readonly why: string;
  remove(): Promise<void>;
}

/** What goes, in this order, and what stays, with the reason. */
export interface RemovalPlan {
  readonly removals: readonly Removal[];
  readonly kept: readonly string[];
}
