import { warningsOf } from "../checks/warnings.ts";
import { apply } from "../engine/apply.ts";
import { blockedOf, changesOf, type Plan, plan } from "../engine/plan.ts";
import { isComplete, type Report } from "../engine/report.ts";
import type { AnyStep } from "../engine/step.ts";
import { refuseTaken } from "../steps/taken-names.ts";
import { endStopped, summarizeRun } from "./cancellation.ts";
import type { Project } from "./open-project.ts";
import { showFailures } from "./output/failures.ts";
import { planLines, warningLines } from "./output/plan.ts";
import { type Session, withChangingSession } from "./session.ts";
import type { GlobalOptions, Io } from "./terminal/io.ts";
import { paint } from "./terminal/style.ts";

interface GraphCommand {
  /** As it is typed: other runs that wait are told, and the person who is to run it again. */
  readonly name: string;
  steps(session: Session): readonly AnyStep[];
  /** The JSON document, also of a run that failed or was stopped. */
  body(report: Report, session: Session): object;
  /** Goes on once every step is true; answers with the exit code. */
  finish(report: Report, session: Session): Promise<number>;
}

/** The frame of every command that makes steps true: plan, ask, apply, tell. Answers with the exit code, 1 when the person said no. */
export async function runGraph(io: Io, options: GlobalOptions, project: Project, command: GraphCommand): Promise<number> {
  return withChangingSession(io, options, project, command.name, async (session) => {
    let report: Report | undefined;
    try {
      report = await converge(io, options, session, command.steps(session));
      if (report === undefined) return 1;
      if (isComplete(report)) return await command.finish(report, session);
      const code = showFailures(io, report);
      io.signal.throwIfAborted();
      if (io.isJson) io.document(command.body(report, session));
      return code;
    } catch (error) {
      const body = report && command.body(report, session);
      return endStopped(error, { io, session, command: command.name, summary: summarizeRun(report), ...(body && { body }) });
    }
  });
}

/** `undefined` when the person said no. */
async function converge(io: Io, options: GlobalOptions, session: Session, steps: readonly AnyStep[]): Promise<Report | undefined> {
  const colors = paint(io.hasColor);
  const planned = await preview(io, steps, session);
  const isNothing = changesOf(planned) + blockedOf(planned) === 0;
  // `init` with nothing to do makes no call but the plan's; `plan`, `status` and `doctor` always look for what is left over.
  const warnings = await warningsOf(session, planned, { isQuick: isNothing });
  for (const line of warningLines(warnings, colors)) io.note(line);
  if (!isNothing && !options.yes) {
    io.note(planLines(planned, session.setup, colors).join("\n"));
    if (!(await io.confirm("Apply this plan?", "--yes"))) return undefined;
  }
  await session.save?.();
  const report = await apply(planned, { clock: io.clock, signal: io.signal, onProgress: io.progress.onProgress });
  const told = [...session.azureWarnings].map((detail) => ({
    name: "Azure warns",
    detail,
    hint: "what it was asked for is done all the same",
  }));
  for (const line of warningLines(told, colors)) io.note(line);
  return { ...report, warnings: [...warnings, ...told] };
}

/** The reading half alone. */
export async function preview(io: Io, steps: readonly AnyStep[], about: Pick<Session, "cloud" | "setup">): Promise<Plan> {
  return io.progress.during("reading what is there", "read", async () => refuseTaken(await plan(steps), about));
}
