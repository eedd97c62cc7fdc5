import type { Clock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import type { Plan, PlannedStep } from "./plan.ts";
import { createReport, type EndedStep, type Progress, type Report, type StepReport } from "./report.ts";
import type { AnyStep, Change, Needs, Refusal, Values } from "./step.ts";

interface ApplyOptions {
  readonly clock: Clock;
  /** Aborted by Ctrl-C: steps not begun are skipped. The adapters watch the same signal. */
  readonly signal: AbortSignal;
  onProgress?(progress: Progress): void;
}

/** One run over a plan: what its steps share. */
interface Run extends ApplyOptions {
  readonly results: Map<AnyStep, Promise<EndedStep>>;
  readonly lanes: Map<string, Promise<unknown>>;
}

/**
 * Makes a plan true. Independent steps run at the same time; a failure skips only what needs it.
 * After each change the step reads again and must then plan `keep`: what Azure says counts, not what a call returned.
 * Steps whose needs changed since the plan was made are read and planned anew. Never throws for a step's failure.
 */
export async function apply(planned: Plan, options: ApplyOptions): Promise<Report> {
  const run: Run = { ...options, results: new Map(), lanes: new Map() };
  for (const entry of planned.steps) run.results.set(entry.step, applyOne(entry, run));
  return createReport(await Promise.all(run.results.values()));
}

async function applyOne(entry: PlannedStep, run: Run): Promise<EndedStep> {
  const { step, change, observed } = entry;
  const needed = await Promise.all(
    Object.entries(step.needs as Needs).map(async ([name, need]) => [name, (await run.results.get(need)) as EndedStep] as const),
  );
  const missing = needed.find(([, { report }]) => report.outcome === "failed" || report.outcome === "skipped");
  if (missing) return ended(run, step, { outcome: "skipped", ms: 0, reason: `needs ${missing[1].report.name}` });
  if (run.signal.aborted) return ended(run, step, { outcome: "skipped", ms: 0, reason: "cancelled" });

  const values = Object.fromEntries(needed.map(([name, need]) => [name, need.observed])) as Values<Needs>;
  const hasNewNeeds = entry.isUnread === true || needed.some(([, { report }]) => report.outcome !== "kept");
  if (change.kind === "keep" && !hasNewNeeds) return ended(run, step, { outcome: "kept", ms: 0 }, observed);
  return inLane(step.lane, run.lanes, async () => {
    const startedAt = run.clock.now();
    const took = (): number => run.clock.now() - startedAt;
    try {
      const current = hasNewNeeds ? await reread(entry, values, run) : { change, observed };
      const converged = await converge({ ...entry, ...current }, values, run);
      return ended(run, step, { ms: took(), ...converged.end }, converged.observed);
    } catch (error) {
      return ended(run, step, { outcome: "failed", ms: took(), reason: reasonOf(step, error), error });
    }
  });
}

async function reread(
  { step, change: planned, isUnread }: PlannedStep,
  values: Values<Needs>,
  run: Run,
): Promise<Pick<PlannedStep, "change" | "observed">> {
  run.onProgress?.({ kind: "begins", name: step.name, does: "read" });
  const observed: unknown = await step.read(values);
  const change = step.plan(observed, values);
  // One that was planned to be created was asked then.
  const isNewlyCreated = change.kind === "create" && (planned.kind !== "create" || isUnread);
  const refusal = isNewlyCreated ? await step.precheck?.() : undefined;
  return { observed, change: refusal ?? change };
}

interface Converged {
  readonly end: { readonly outcome: "kept" | "created" | "updated"; readonly reason?: string };
  readonly observed: unknown;
}

async function converge({ step, leaves = [], ...current }: PlannedStep, values: Values<Needs>, run: Run): Promise<Converged> {
  const { observed } = current;
  const change = withoutFields(current.change, leaves);
  if (change.kind === "keep") return { end: { outcome: "kept" }, observed };
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
  if (change.kind === "create") return { end: { outcome: "created" }, observed: after };
  return { end: { outcome: "updated", reason: describe(change) }, observed: after };
}

/** What a blocked step fails with; its message says the step's name first, as it may be shown alone. */
export function refusal(step: string, { code = "step/blocked", reason, hint }: Refusal): KnownError {
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

function ended(run: Run, step: AnyStep, end: Omit<StepReport, "name">, observed?: unknown): EndedStep {
  const report: StepReport = { name: step.name, ...end, ms: Math.round(end.ms) };
  run.onProgress?.({ kind: "ends", report });
  return { step, report, observed };
}

/** One at a time within a lane, in the order of asking. */
async function inLane<T>(lane: string | undefined, lanes: Map<string, Promise<unknown>>, work: () => Promise<T>): Promise<T> {
  if (lane === undefined) return work();
  const before = lanes.get(lane) ?? Promise.resolve();
  const mine = before.then(work, work);
  lanes.set(lane, mine);
  return mine;
}
