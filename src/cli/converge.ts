import { exitCodeOf, KnownError } from "../base/errors.ts";
import { warningsOf } from "../checks/warnings.ts";
import { apply } from "../engine/apply.ts";
import { blockedOf, changesOf, type Plan, plan } from "../engine/plan.ts";
import { failuresOf, isComplete, type Report } from "../engine/report.ts";
import type { AnyStep } from "../engine/step.ts";
import { refuseTaken } from "../steps/taken-names.ts";
import { causeText } from "./output/error.ts";
import { planLines, warningLines } from "./output/plan.ts";
import type { ProgressView } from "./output/progress.ts";
import type { Session } from "./session.ts";
import type { GlobalOptions, Io } from "./terminal/io.ts";
import { paint, safeText } from "./terminal/style.ts";

/** Plans, asks, applies. `undefined` when the person said no. */
export async function converge(
  io: Io,
  options: GlobalOptions,
  session: Session,
  steps: readonly AnyStep[],
  view: ProgressView,
): Promise<Report | undefined> {
  const planned = await preview(steps, view, session);
  // `init` with nothing to do makes no call but the plan's; `plan`, `status` and `doctor` always look for what is left over.
  const isQuick = changesOf(planned) + blockedOf(planned) === 0;
  const warnings = await warningsOf(session, planned, { isQuick });
  for (const line of warningLines(warnings, paint(io.hasColor))) io.note(line);
  if (changesOf(planned) + blockedOf(planned) > 0 && !options.yes) {
    view.close();
    io.note(planLines(planned, session.setup, paint(io.hasColor)).join("\n"));
    if (!(await io.confirm("Apply this plan?", "--yes"))) return undefined;
  }
  await session.save?.();
  const report = await apply(planned, { clock: session.clock, signal: io.signal, onProgress: view.onProgress });
  const told = [...session.azureWarnings].map((detail) => ({
    name: "Azure warns",
    detail,
    hint: "what it was asked for is done all the same",
  }));
  for (const line of warningLines(told, paint(io.hasColor))) io.note(line);
  return { ...report, warnings: [...warnings, ...told] };
}

/** The reading half alone. */
export async function preview(steps: readonly AnyStep[], view: ProgressView, about: Pick<Session, "cloud" | "setup">): Promise<Plan> {
  view.begin("reading what is there", "read");
  try {
    return await refuseTaken(await plan(steps), about);
  } finally {
    view.forget("reading what is there");
  }
}

/** 0, or the exit code of the first failure; prints each failure with its cause and hint for people. */
export function showFailures(io: Io, report: Report): number {
  // What was cut off by Ctrl-C is no failure of its own: `endStopped` tells it.
  const failures = failuresOf(report).filter(
    ({ error }) => !(io.signal.aborted && error instanceof KnownError && error.code === "cancelled"),
  );
  if (failures.length === 0) return isComplete(report) ? 0 : io.signal.aborted ? 130 : 1;
  const { red, dim } = paint(io.hasColor);
  const bugs: unknown[] = [];
  for (const { name, error, reason } of failures) {
    if (!(error instanceof KnownError)) {
      bugs.push(error);
      continue;
    }
    if (io.isJson) continue;
    io.complain(`${red("✗")} ${name}: ${safeText(reason ?? error.message, 8000)}`);
    const cause = causeText(error);
    if (cause) io.complain(`  ${dim(safeText(cause))}`);
    if (error.hint) io.complain(`  → ${safeText(error.hint)}`);
  }
  if (bugs.length > 0) throw bugs[0];
  const [first] = failures.map(({ error }) => error).filter((error) => error instanceof KnownError);
  return io.signal.aborted ? 130 : first ? exitCodeOf[first.code] : 1;
}
