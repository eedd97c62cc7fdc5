import type { AnyStep, Observed } from "./step.ts";

export type Outcome = "kept" | "created" | "updated" | "skipped" | "failed";

export interface StepReport {
  readonly name: string;
  readonly outcome: Outcome;
  /** Wall time from the first thing done for this step to the last, waiting for needs and lanes left out. */
  readonly ms: number;
  readonly reason?: string;
  readonly error?: unknown;
}

/** Something that stands beside what the steps make true: not theirs to change, but the person's to know. */
export interface Warning {
  /** That of the condition of `doctor` that speaks of it. */
  readonly name: string;
  readonly detail: string;
  readonly hint: string;
}

/** How one step ended, and what it was observed to be at the end. */
export interface EndedStep<S extends AnyStep = AnyStep> {
  readonly step: S;
  readonly report: StepReport;
  readonly observed: Observed<S> | undefined;
}

export interface Report {
  /** In graph order, to be shown. */
  readonly steps: readonly StepReport[];
  /** The same with what was observed. */
  readonly ended: readonly EndedStep[];
  /** As found before anything was changed. */
  readonly warnings?: readonly Warning[];
  /** `undefined` for a step that was no part of the plan. */
  of<S extends AnyStep>(step: S): EndedStep<S> | undefined;
}

export function createReport(ended: readonly EndedStep[]): Report {
  const byStep = new Map(ended.map((one) => [one.step, one]));
  return {
    steps: ended.map(({ report }) => report),
    ended,
    of: <S extends AnyStep>(step: S) => byStep.get(step) as EndedStep<S> | undefined,
  };
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
