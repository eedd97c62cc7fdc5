import { monthlyPrice } from "../../advice/prices.ts";
import { describe } from "../../engine/apply.ts";
import { blockedOf, changesOf, type Plan } from "../../engine/plan.ts";
import type { Warning } from "../../engine/report.ts";
import type { Change } from "../../engine/step.ts";
import type { Setup } from "../../project/setup.ts";
import { type Paint, safeText } from "../terminal/style.ts";

const marks: Readonly<Record<Change["kind"], string>> = { keep: "·", create: "+", update: "~", blocked: "✗" };

/** A plan for people: one line a step, differences below. */
export function planLines(planned: Plan, setup: Setup, colors: Paint): string[] {
  const width = Math.max(...planned.steps.map(({ step }) => step.name.length));
  const lines = planned.steps.flatMap(({ step, change }) => {
    const paintOf = change.kind === "keep" ? colors.dim : change.kind === "blocked" ? colors.red : colors.green;
    const head = `${paintOf(`${marks[change.kind]} ${step.name.padEnd(width)}`)}  ${change.kind}`;
    if (change.kind === "update") {
      const differences = change.differences.map(
        (difference) => `    ${safeText(describe({ kind: "update", differences: [difference] }), 400)}`,
      );
      return [head, ...differences];
    }
    return [change.kind === "keep" ? head : `${head}  ${colors.dim(safeText(describe(change), 400))}`];
  });
  const changes = changesOf(planned);
  const blocked = blockedOf(planned);
  const price = monthlyPrice(setup);
  return [
    ...lines,
    "",
    changes === 0 && blocked > 0
      ? "Nothing would change."
      : changes === 0
        ? "Nothing to change."
        : `${changes} of ${planned.steps.length} steps would change something.`,
    ...(blocked === 0 ? [] : [`${blocked} of ${planned.steps.length} steps ${blocked === 1 ? "is" : "are"} blocked.`]),
    ...(price ? [colors.dim(`About ${price.dollars.toFixed(2)} USD a month (${price.basis}).`)] : []),
  ];
}

/** What to know beside the plan, two lines each. */
export function warningLines(warnings: readonly Warning[], colors: Paint): string[] {
  return warnings.map(({ detail, hint }) => `${colors.yellow("!")} ${safeText(detail, 500)}\n  → ${hint}`);
}

/** The same for scripts. */
export function planBody(planned: Plan, setup: Setup, warnings: readonly Warning[]): object {
  const price = monthlyPrice(setup);
  return {
    ok: planned.steps.every(({ change }) => change.kind !== "blocked"),
    changes: changesOf(planned),
    blocked: blockedOf(planned),
    steps: planned.steps.map(({ step, change }) => ({
      name: step.name,
      change: change.kind,
      ...(change.kind === "update" ? { differences: change.differences } : {}),
      ...(change.kind === "keep" ? {} : { reason: describe(change) }),
      ...(change.kind === "blocked" && change.hint ? { hint: change.hint } : {}),
    })),
    warnings,
    ...(price ? { monthlyPrice: { currency: "USD", amount: price.dollars, basis: price.basis } } : {}),
  };
}
