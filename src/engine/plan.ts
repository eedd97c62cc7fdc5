import { KnownError } from "../base/errors.ts";
import type { AnyStep, Blocked, Change, Needs, Values } from "./step.ts";

export interface PlannedStep {
  readonly step: AnyStep;
  readonly change: Change;
  /** What the read found; `undefined` when absent or not readable yet. */
  readonly observed: unknown;
  /** It could not be read before what it needs is put right (a stopped server has no roles to show): it is read then. */
  readonly isUnread?: true;
  /** The step whose precheck blocked it, itself or one that it would be made for: reading again would not tell. */
  readonly refusedBy?: AnyStep;
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
  return { steps: withRefusals(results, await precheck(results)) };
}

/** What cannot be created, as far as that can be known beforehand, in graph order. Throws on Ctrl-C and bugs. */
async function precheck(planned: readonly PlannedStep[]): Promise<ReadonlyMap<AnyStep, Blocked>> {
  const created = planned.filter(({ change, isUnread }) => change.kind === "create" && !isUnread).map(({ step }) => step);
  const answers = await Promise.all(created.map(async (step) => [step, await step.precheck?.()] as const));
  return new Map(answers.flatMap(([step, refusal]) => (refusal ? [[step, refusal] as const] : [])));
}

/** The steps with the refused ones blocked, what costs and would be created for them, and all that need one of these. */
function withRefusals(planned: readonly PlannedStep[], refusals: ReadonlyMap<AnyStep, Blocked>): PlannedStep[] {
  const isCreated = (step: AnyStep): boolean => planned.some((entry) => entry.step === step && entry.change.kind === "create");
  const blocked = new Map<AnyStep, { readonly by: AnyStep; readonly change: Blocked }>();
  for (const [by, refusal] of refusals) {
    for (const step of [...allNeedsOf(by)].filter((one) => isCreated(one) && (one === by || one.isBillable))) {
      const earlier = blocked.get(step)?.change;
      const change = earlier ? { ...refusal, ...earlier, reason: `${earlier.reason}; ${refusal.reason}` } : refusal;
      blocked.set(step, { by, change });
    }
  }
  const out = new Set<AnyStep>(blocked.keys());
  return planned.map((entry): PlannedStep => {
    const refused = blocked.get(entry.step);
    if (refused) return { ...entry, change: refused.change, refusedBy: refused.by };
    const need = Object.values(entry.step.needs as Needs).find((one) => out.has(one));
    if (!need) return entry;
    out.add(entry.step);
    return { ...entry, change: { kind: "blocked", reason: `${need.name} is blocked` } };
  });
}

/** A step with all it needs, directly or not. */
function allNeedsOf(step: AnyStep): Set<AnyStep> {
  const found = new Set([step]);
  for (const one of found) for (const need of Object.values(one.needs as Needs)) found.add(need);
  return found;
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
