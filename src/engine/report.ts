import type { AnyStep } from "./step.ts";

export type Outcome = "kept" | "created" | "updated" | "skipped" | "failed";

/** Something that was tried, and how it ended. */
export interface Attempt {
  readonly name: string;
  readonly outcome: Outcome;
  /** Wall time from the first thing done for this step to the last, waiting for needs and lanes left out. */
  readonly ms: number;
  readonly reason?: string;
  readonly error?: unknown;
}

export interface StepReport extends Attempt {
  readonly step: AnyStep;
  /** What the step was observed to be at the end; `undefined` when absent or not looked at. */
  readonly observed: unknown;
}

/** Something that stands beside what the steps make true: not theirs to change, but the person's to know. */
export interface Warning {
  /** That of the condition of `doctor` that speaks of it. */
  readonly name: string;
  readonly detail: string;
  readonly hint: string;
}

export interface Report {
  readonly steps: readonly StepReport[];
  /** As found before anything was changed. */
  readonly warnings?: readonly Warning[];
}

export function failuresOf(report: Report): readonly StepReport[] {
  return report.steps.filter(({ outcome }) => outcome === "failed");
}

export function isComplete(report: Report): boolean {
  return report.steps.every(({ outcome }) => outcome !== "failed" && outcome !== "skipped");
}

/** What happens while a plan is applied, for the progress display. */
export type Progress =
  | { readonly kind: "begins"; readonly name: string; readonly does: "read" | "create" | "update" }
  | { readonly kind: "ends"; readonly report: StepReport };
