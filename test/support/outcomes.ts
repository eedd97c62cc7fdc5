import type { Plan } from "../../src/engine/plan.ts";
import type { Report } from "../../src/engine/report.ts";

/** `step: reason` of what did not succeed. */
export const failuresOf = ({ steps }: Report): string[] =>
  steps.filter(({ outcome }) => outcome === "failed" || outcome === "skipped").map(({ name, reason }) => `${name}: ${reason}`);

/** What a plan would do, if anything. */
export const pendingOf = ({ steps }: Plan): Plan["steps"] => steps.filter(({ change }) => change.kind !== "keep");
