import type { Clock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import type { Plan, PlannedStep } from "./plan.ts";
import type { Outcome, Progress, Report, StepReport } from "./report.ts";
import type { AnyStep, Change, Needs, Values } from "./step.ts";

interface Run {
  readonly clock: Clock;
  /** Aborted by Ctrl-C: steps not begun are skipped. The adapters watch the same signal. */
  readonly signal: AbortSignal;
  onProgress?(progress: Progress): void;
}

interface Result {
  readonly report: StepReport;
  readonly observed: unknown;
}

/**
 * Makes a plan true. Independent steps run at the same time; a failure skips only what needs it.
 * After each change the step reads again and must then plan `keep`: what Azure says counts, not what a call returned.
 * Steps whose needs changed since the plan was made are read and planned anew. Never throws for a step's failure.
 */
export async function apply(planned: Plan, run: Run): Promise<Report> {
  const results = new Map<AnyStep, Promise<Result>>();
  const lanes = new Map<string, Promise<unknown>>();
  for (const entry of planned.steps) results.set(entry.step, applyOne(entry, results, lanes, run));
  const all = await Promise.all(results.values());
  return {
    steps: all.map(({ report }) => report),
    observed: new Map(all.map(({ report, observed }) => [report.name, observed])),
  };
}

async function applyOne(
  { step, change, observed, isUnread, isRefused, leaves = [] }: PlannedStep,
  results: ReadonlyMap<AnyStep, Promise<Result>>,
  lanes: Map<string, Promise<unknown>>,
  run: Run,
): Promise<Result> {
  const needed = await Promise.all(
    Object.entries(step.needs as Needs).map(async ([name, need]) => [name, (await results.get(need)) as Result] as const),
  );
  const missing = needed.find(([, { report }]) => report.outcome === "failed" || report.outcome === "skipped");
  if (missing) return ended(run, step, "skipped", 0, { reason: `needs ${missing[1].report.name}` });
  if (run.signal.aborted) return ended(run, step, "skipped", 0, { reason: "cancelled" });

  const values = Object.fromEntries(needed.map(([name, need]) => [name, need.observed])) as Values<Needs>;
  const hasNewNeeds = !isRefused && (isUnread === true || needed.some(([, { report }]) => report.outcome !== "kept"));
  if (change.kind === "keep" && !hasNewNeeds) return ended(run, step, "kept", 0, {}, observed);
  return inLane(step.lane, lanes, async () => {
    const startedAt = run.clock.now();
    const took = (): number => run.clock.now() - startedAt;
    try {
      const current = hasNewNeeds ? await reread(step, values, run) : { change, observed };
      const wanted = { ...current, change: withoutFields(current.change, leaves) };
      return await converge(step, wanted, values, leaves, run, took);
    } catch (error) {
      return ended(run, step, "failed", took(), { reason: reasonOf(step, error), error });
    }
  });
}

async function reread(step: AnyStep, values: Values<Needs>, run: Run): Promise<{ change: Change; observed: unknown }> {
  run.onProgress?.({ kind: "begins", name: step.name, does: "read" });
  const observed: unknown = await step.read(values);
  return { observed, change: step.plan(observed, values) };
}

async function converge(
  step: AnyStep,
  { change, observed }: { change: Change; observed: unknown },
  values: Values<Needs>,
  leaves: readonly string[],
  run: Run,
  took: () => number,
): Promise<Result> {
  if (change.kind === "keep") return ended(run, step, "kept", took(), {}, observed);
  if (change.kind === "blocked") throw refusal(step.name, change);
  run.onProgress?.({ kind: "begins", name: step.name, does: change.kind });
  await step.apply(change, values, observed);
  const after: unknown = await step.read(values);
  const rest = withoutFields(step.plan(after, values), leaves);
  if (rest.kind !== "keep") {
    throw new KnownError("step/not-converged", `${step.name}: Azure accepted the change but does not show it (${describe(rest)})`, {
      hint: "run the same command again; if it stays so, another tool may be undoing the change",
    });
  }
  return ended(run, step, change.kind === "create" ? "created" : "updated", took(), reasonFor(change), after);
}

/** What a blocked step fails with; its message says the step's name first, as it may be shown alone. */
export function refusal(step: string, { code = "step/blocked", reason, hint }: Extract<Change, { readonly kind: "blocked" }>): KnownError {
  return new KnownError(code, `${step}: ${reason}`, { hint });
}

/** A change that leaves these fields as they are. */
export function withoutFields(change: Change, fields: readonly string[]): Change {
  if (change.kind !== "update") return change;
  const differences = change.differences.filter(({ field }) => !fields.includes(field));
  return differences.length === 0 ? { kind: "keep" } : { ...change, differences };
}

function reasonFor(change: Change): { reason?: string } {
  return change.kind === "update" ? { reason: describe(change) } : {};
}

/** One line: which fields differ. */
export function describe(change: Change): string {
  if (change.kind === "keep") return "as wanted";
  if (change.kind === "create") return change.reason ?? "absent";
  if (change.kind === "blocked") return change.reason;
  return change.differences.map(({ field, observed, desired }) => `${field}: ${show(observed)} → ${show(desired)}`).join(", ");
}

function show(value: unknown): string {
  if (value === undefined || value === null || value === "") return "(none)";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Without the step's name, which stands beside it. */
function reasonOf(step: AnyStep, error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.startsWith(`${step.name}: `) ? message.slice(step.name.length + 2) : message;
}

function ended(
  run: Run,
  step: AnyStep,
  outcome: Outcome,
  ms: number,
  more: { reason?: string; error?: unknown } = {},
  observed: unknown = undefined,
): Result {
  const report: StepReport = { name: step.name, outcome, ms: Math.round(ms), ...more };
  run.onProgress?.({ kind: "ends", report });
  return { report, observed };
}

/** One at a time within a lane, in the order of asking. */
async function inLane<T>(lane: string | undefined, lanes: Map<string, Promise<unknown>>, work: () => Promise<T>): Promise<T> {
  if (lane === undefined) return work();
  const before = lanes.get(lane) ?? Promise.resolve();
  const mine = before.then(work, work);
  lanes.set(lane, mine);
  return mine;
}
