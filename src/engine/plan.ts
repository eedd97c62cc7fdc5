import { KnownError } from "../base/errors.ts";
import type { AnyStep, Change, Needs, Values } from "./step.ts";

export interface PlannedStep {
  readonly step: AnyStep;
  readonly change: Change;
  /** What the read found; `undefined` when absent or not readable yet. */
  readonly observed: unknown;
  /** It could not be read before what it needs is put right (a stopped server has no roles to show): it is read then. */
  readonly isUnread?: true;
  /** Blocked by something else than what it read (`refused`): reading it again would not tell. */
  readonly isRefused?: true;
  /** Fields that stay as they are, now and after reading again. */
  readonly leaves?: readonly string[];
}

/** In graph order: what a step needs stands before it. */
export interface Plan {
  readonly steps: readonly PlannedStep[];
}

/** The number of steps that would change something. */
export function changesOf(plan: Plan): number {
  return plan.steps.filter(({ change }) => change.kind === "create" || change.kind === "update").length;
}

/** The number of steps that cannot be made true, those that need such a one with them. */
export function blockedOf(plan: Plan): number {
  return plan.steps.filter(({ change }) => change.kind === "blocked").length;
}

export type Refusal = Extract<Change, { readonly kind: "blocked" }>;

/** The plan with these steps blocked, by name, and all that need them. */
export function refused({ steps }: Plan, refusals: ReadonlyMap<string, Refusal>): Plan {
  const blocked = new Set<AnyStep>();
  return {
    steps: steps.map((entry): PlannedStep => {
      const { step } = entry;
      const refusal = refusals.get(step.name);
      const need = Object.values(step.needs as Needs).find((one) => blocked.has(one));
      if (!refusal && !need) return entry;
      blocked.add(step);
      return refusal
        ? { ...entry, change: refusal, isRefused: true }
        : { ...entry, change: { kind: "blocked", reason: `${need?.name} is blocked` } };
    }),
  };
}

/**
 * Reads everything, independent steps at the same time, and says what would change. Changes nothing itself.
 * A step whose need is absent is absent. Throws the first error of a read, after all reads have ended.
 */
export async function plan(steps: readonly AnyStep[], onRead: (step: AnyStep) => void = () => {}): Promise<Plan> {
  const ordered = inGraphOrder(steps);
  const planned = new Map<AnyStep, Promise<PlannedStep>>();
  for (const step of ordered) planned.set(step, planOne(step, planned, onRead));
  const settled = await Promise.allSettled(planned.values());
  const results: PlannedStep[] = [];
  for (const outcome of settled) {
    if (outcome.status === "rejected") throw outcome.reason;
    results.push(outcome.value);
  }
  return { steps: results };
}

async function planOne(
  step: AnyStep,
  planned: ReadonlyMap<AnyStep, Promise<PlannedStep>>,
  onRead: (step: AnyStep) => void,
): Promise<PlannedStep> {
  const needed = await Promise.all(
    Object.entries(step.needs as Needs).map(async ([name, need]) => [name, await (planned.get(need) ?? missing(need, step))] as const),
  );
  const blocking = needed.find(([, need]) => need.change.kind === "blocked");
  if (blocking) {
    return { step, observed: undefined, change: { kind: "blocked", reason: `${blocking[1].step.name} is blocked` } };
  }
  const absent = needed.find(([, need]) => need.observed === undefined);
  if (absent) return { step, observed: undefined, change: { kind: "create", reason: `with ${absent[1].step.name}` } };
  const values = Object.fromEntries(needed.map(([name, need]) => [name, need.observed])) as Values<Needs>;
  onRead(step);
  try {
    const observed: unknown = await step.read(values);
    return { step, observed, change: step.plan(observed, values) };
  } catch (error) {
    const changing = needed.find(([, need]) => need.change.kind !== "keep");
    if (!changing || !(error instanceof KnownError) || error.code === "cancelled") throw error;
    return { step, observed: undefined, isUnread: true, change: { kind: "create", reason: `known after ${changing[1].step.name}` } };
  }
}

function missing(need: AnyStep, step: AnyStep): never {
  throw new Error(`step ${step.name} needs ${need.name}, which is not in the graph`);
}

/** Depth first over `needs`; throws when two steps share a name or the needs go in a circle. */
function inGraphOrder(steps: readonly AnyStep[]): AnyStep[] {
  const ordered: AnyStep[] = [];
  const state = new Map<AnyStep, "open" | "done">();
  const visit = (step: AnyStep): void => {
    if (state.get(step) === "done") return;
    if (state.get(step) === "open") throw new Error(`the needs of step ${step.name} go in a circle`);
    state.set(step, "open");
    for (const need of Object.values(step.needs as Needs)) visit(need);
    state.set(step, "done");
    ordered.push(step);
  };
  for (const step of steps) visit(step);
  const names = new Set(ordered.map((step) => step.name));
  if (names.size !== ordered.length) throw new KnownError("project/invalid", "two steps have the same name");
  return ordered;
}
