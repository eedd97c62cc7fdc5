import { warningsOf } from "../checks/warnings.ts";
import { apply } from "../engine/apply.ts";
import { blockedOf, changesOf, type Plan, plan } from "../engine/plan.ts";
import { isComplete, type Report } from "../engine/report.ts";
import type { AnyStep } from "../engine/step.ts";
import { type GraphContext, type ProjectGraph, projectGraph } from "../graph/project-graph.ts";
import type { Project } from "../project/read-project.ts";
import { endStopped, summarizeRun } from "./cancellation.ts";
import { showFailures } from "./output/failures.ts";
import { planLines, warningLines } from "./output/plan.ts";
import { type Session, withChangingSession } from "./session.ts";
import type { GlobalOptions, Io } from "./terminal/io.ts";
import { paint } from "./terminal/style.ts";

interface GraphCommand {
  /** As it is typed: other runs that wait are told, and the person who is to run it again. */
  readonly name: string;
  /** Given when the graph is to end in deployments. */
  readonly deployments?: GraphContext["deployments"];
  /** Those to be made true, with all they need; left out: all of the graph. */
  steps?(graph: ProjectGraph): readonly AnyStep[];
  /** The JSON document, also of a run that failed or was stopped. */
  body(run: GraphRun): object;
  /** Goes on once every step is true; answers with the exit code. */
  finish(run: GraphRun): Promise<number>;
}

/** A run that has come so far as to have a report. */
export interface GraphRun {
  readonly report: Report;
  readonly graph: ProjectGraph;
  readonly session: Session;
}

/** The frame of every command that makes steps true: plan, ask, apply, tell. Answers with the exit code, 1 when the person said no. */
export async function runGraph(io: Io, options: GlobalOptions, project: Project, command: GraphCommand): Promise<number> {
  return withChangingSession(io, options, project, command.name, async (session) => {
    const { deployments } = command;
    const graph = projectGraph(session.setup, { ...session, ...(deployments && { deployments }) });
    let run: GraphRun | undefined;
    try {
      const report = await converge(io, options, { ...session, graph }, command.steps?.(graph) ?? graph.steps);
      if (report === undefined) return 1;
      run = { report, graph, session };
      if (isComplete(report)) return await command.finish(run);
      const code = showFailures(io, report);
      io.signal.throwIfAborted();
      if (io.isJson) io.document(command.body(run));
      return code;
    } catch (error) {
      const body = run && command.body(run);
      return endStopped(error, { io, session, command: command.name, summary: summarizeRun(run?.report.steps), ...(body && { body }) });
    }
  });
}

/** `undefined` when the person said no. */
async function converge(
  io: Io,
  options: GlobalOptions,
  session: Session & { readonly graph: ProjectGraph },
  steps: readonly AnyStep[],
): Promise<Report | undefined> {
  const colors = paint(io.hasColor);
  const planned = await preview(io, steps);
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
export async function preview(io: Io, steps: readonly AnyStep[]): Promise<Plan> {
  return io.progress.during("reading what is there", "read", () => plan(steps));
}
