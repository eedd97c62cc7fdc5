import { KnownError } from "../base/errors.ts";
import type { AnyStep, Change, Needs, Observed, Refusal, Values } from "./step.ts";

export interface PlannedStep<S extends AnyStep = AnyStep> {
  readonly step: S;
  readonly change: Change;
  /** What the read found; `undefined` when absent or not readable yet. */
  readonly observed: Observed<S> | undefined;
  /** It could not be read before what it needs is put right (a stopped server has no roles to show): it is read then. */
  readonly isUnread?: true;
  /** Fields that stay as they are, now and after reading again. */
  readonly leaves?: readonly string[];
}

/** In graph order: what a step needs stands before it. */
export interface Plan {
  readonly steps: readonly PlannedStep[];
  /** What is planned for a step; `undefined` for one that is no part of the plan. */
  of<S extends AnyStep>(step: S): PlannedStep<S> | undefined;
}

export function createPlan(steps: readonly PlannedStep[]): Plan {
  const byStep = new Map(steps.map((entry) => [entry.step, entry]));
  return { steps, of: <S extends AnyStep>(step: S) => byStep.get(step) as PlannedStep<S> | undefined };
}

/** The number of steps that would change something. */
export function changesOf(plan: Plan): number {
  return plan.steps.filter(({ change }) => change.kind === "create" || change.kind === "update").length;
}

/** The number of steps that cannot be made true, those that need such a one with them. */
export function blockedOf(plan: Plan): number {
  return plan.steps.filter(({ change }) => change.kind === "blocked").length;
}

/**
 * Reads everything, independent steps at the same time, and says what would change. Changes nothing itself.
 * A step whose need is absent is absent; one whose `precheck` refuses is blocked, and with it whatever would be created for it first.
 * Throws the first error of a read or a precheck, after all reads have ended.
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
  return createPlan(withRefusals(results, await refusalsOf(results)));
}

async function refusalsOf(steps: readonly PlannedStep[]): Promise<ReadonlyMap<AnyStep, Refusal>> {
  const creates = new Set(steps.filter(({ change, isUnread }) => change.kind === "create" && !isUnread).map(({ step }) => step));
  const refusals = new Map<AnyStep, Refusal>();
  const asked = [...creates].map(async (step) => [step, await step.precheck?.()] as const);
  for (const [step, refusal] of await Promise.all(asked)) {
    if (!refusal) continue;
    for (const blocked of madeFor(step, creates)) refusals.set(blocked, joined(refusals.get(blocked), refusal));
  }
  return refusals;
}

/** The step itself, and what would be created before all else for it and costs: that is of no use without it. */
function madeFor(step: AnyStep, creates: ReadonlySet<AnyStep>): ReadonlySet<AnyStep> {
  const firstMade = (one: AnyStep): AnyStep[] => {
    const needed = Object.values(one.needs as Needs).filter((need) => need.isBillable && creates.has(need));
    return needed.length === 0 ? [one] : needed.flatMap(firstMade);
  };
  return new Set([step, ...firstMade(step)]);
}

function joined(earlier: Refusal | undefined, refusal: Refusal): Refusal {
  return earlier && earlier.reason !== refusal.reason ? { ...earlier, reason: `${earlier.reason}; ${refusal.reason}` } : refusal;
}

/** The plan with these steps blocked, and all that need them. */
function withRefusals(steps: readonly PlannedStep[], refusals: ReadonlyMap<AnyStep, Refusal>): readonly PlannedStep[] {
  const blocked = new Set<AnyStep>();
  return steps.map((entry): PlannedStep => {
    const { step } = entry;
    const need = Object.values(step.needs as Needs).find((one) => blocked.has(one));
    const change: Change | undefined = refusals.get(step) ?? (need && { kind: "blocked", reason: `${need.name} is blocked` });
    if (!change) return entry;
    blocked.add(step);
    return { ...entry, change };
  });
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
