import type { Clock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import type { Plan, PlannedStep } from "./plan.ts";
import type { Outcome, Progress, Report, StepReport } from "./report.ts";
import type { AnyStep, Blocked, Change, Needs, Values } from "./step.ts";

interface Run {
  readonly clock: Clock;
  /** Aborted by Ctrl-C: steps not begun are skipped. The adapters watch the same signal. */
  readonly signal: AbortSignal;
  onProgress?(progress: Progress): void;
}

/** What the steps of one run share. */
interface Context {
  readonly run: Run;
  readonly reports: ReadonlyMap<AnyStep, Promise<StepReport>>;
  readonly lanes: Map<string, Promise<unknown>>;
}

/** Tells the end of a step and how long it took. */
type End = (outcome: Outcome, more?: Partial<Pick<StepReport, "reason" | "error" | "observed">>) => StepReport;

/**
 * Makes a plan true. Independent steps run at the same time; a failure skips only what needs it.
 * After each change the step reads again and must then plan `keep`: what Azure says counts, not what a call returned.
 * Steps whose needs changed since the plan was made are read and planned anew. Never throws for a step's failure.
 */
export async function apply(planned: Plan, run: Run): Promise<Report> {
  const reports = new Map<AnyStep, Promise<StepReport>>();
  const context: Context = { run, reports, lanes: new Map() };
  for (const entry of planned.steps) reports.set(entry.step, applyOne(entry, context));
  return { steps: await Promise.all(reports.values()) };
}

async function applyOne(entry: PlannedStep, { run, reports, lanes }: Context): Promise<StepReport> {
  const { step, change, observed } = entry;
  const needs = Object.entries(step.needs as Needs);
  const needed = await Promise.all(needs.map(async ([name, need]) => [name, (await reports.get(need)) as StepReport] as const));
  const missing = needed.find(([, { outcome }]) => outcome === "failed" || outcome === "skipped");
  const end = endOf(step, run);
  if (missing) return end("skipped", { reason: `needs ${missing[1].name}` });
  if (run.signal.aborted) return end("skipped", { reason: "cancelled" });

  const values = Object.fromEntries(needed.map(([name, need]) => [name, need.observed])) as Values<Needs>;
  const hasNewNeeds = entry.refusedBy === undefined && (entry.isUnread === true || needed.some(([, { outcome }]) => outcome !== "kept"));
  if (change.kind === "keep" && !hasNewNeeds) return end("kept", { observed });
  return inLane(step.lane, lanes, async () => {
    const endNow = endOf(step, run);
    try {
      const current = hasNewNeeds ? { ...entry, ...(await reread(step, values, run)) } : entry;
      return await converge(current, values, run, endNow);
    } catch (error) {
      return endNow("failed", { reason: reasonOf(step, error), error });
    }
  });
}

/** Time counts from now. */
function endOf(step: AnyStep, { clock, onProgress }: Run): End {
  const startedAt = clock.now();
  return (outcome, more) => {
    const report: StepReport = { step, name: step.name, outcome, ms: Math.round(clock.now() - startedAt), observed: undefined, ...more };
    onProgress?.({ kind: "ends", report });
    return report;
  };
}

async function reread(step: AnyStep, values: Values<Needs>, run: Run): Promise<{ change: Change; observed: unknown }> {
  run.onProgress?.({ kind: "begins", name: step.name, does: "read" });
  const observed: unknown = await step.read(values);
  return { observed, change: step.plan(observed, values) };
}

async function converge(
  { step, observed, leaves = [], ...entry }: PlannedStep,
  values: Values<Needs>,
  run: Run,
  end: End,
): Promise<StepReport> {
  const change = withoutFields(entry.change, leaves);
  if (change.kind === "keep") return end("kept", { observed });
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
  const isNew = change.kind === "create";
  return end(isNew ? "created" : "updated", { observed: after, ...(isNew ? {} : { reason: describe(change) }) });
}

/** What a blocked step fails with; its message says the step's name first, as it may be shown alone. */
export function refusal(step: string, { code = "step/blocked", reason, hint }: Blocked): KnownError {
  return new KnownError(code, `${step}: ${reason}`, { hint });
}

/** A change that leaves these fields as they are. */
export function withoutFields(change: Change, fields: readonly string[]): Change {
  if (change.kind !== "update") return change;
  const differences = change.differences.filter(({ field }) => !fields.includes(field));
  return differences.length === 0 ? { kind: "keep" } : { ...change, differences };
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

/** One at a time within a lane, in the order of asking. */
async function inLane<T>(lane: string | undefined, lanes: Map<string, Promise<unknown>>, work: () => Promise<T>): Promise<T> {
  if (lane === undefined) return work();
  const before = lanes.get(lane) ?? Promise.resolve();
  const mine = before.then(work, work);
  lanes.set(lane, mine);
  return mine;
}
