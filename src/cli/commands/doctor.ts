import { exitCodeOf } from "../../base/errors.ts";
import type { CheckResult } from "../../checks/check.ts";
import { repairBeside, safePart } from "../../checks/repair.ts";
import { apply } from "../../engine/apply.ts";
import { plan } from "../../engine/plan.ts";
import { type Attempt, isComplete, type Report } from "../../engine/report.ts";
import { doctor as examine } from "../../graph/project-checks.ts";
import { projectGraph } from "../../graph/project-graph.ts";
import { endStopped, summarizeRun } from "../cancellation.ts";
import { openProject } from "../open-project.ts";
import { checkLine } from "../output/checks.ts";
import { attemptBodies } from "../output/result.ts";
import { packApp } from "../pack-apps.ts";
import { type Session, withChangingSession, withSession } from "../session.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";
import { paint } from "../terminal/style.ts";

interface DoctorOptions extends GlobalOptions {
  readonly fix?: boolean;
}

/** Finds what is wrong along the chain; `--fix` runs the safe part of what `init` would do, then looks again. */
export async function doctor(io: Io, options: DoctorOptions, directory: string): Promise<number> {
  const project = await openProject(io, directory, options);
  if (!options.fix) {
    return withSession(io, options, project, async (session) => show(io, options, await look(io, session, false)));
  }
  return withChangingSession(io, options, project, "doctor --fix", async (session) => {
    const checks = await look(io, session, false);
    if (checks.every(({ ok }) => ok)) return show(io, options, checks);
    let beside: readonly Attempt[] = [];
    let report: Report | undefined;
    try {
      beside = await repairBeside(session.setup, session.cloud, session.clock);
      report = await repair(io, session);
      if (!isComplete(report)) io.signal.throwIfAborted();
      const repairs = [...beside, ...report.steps.filter(({ outcome }) => outcome !== "kept")];
      const areRestarting = repairs.some(({ outcome }) => outcome === "updated");
      return show(io, options, await look(io, session, areRestarting), repairs);
    } catch (error) {
      const done = [...beside, ...(report?.steps ?? [])];
      return endStopped(error, { io, session, command: "doctor --fix", summary: summarizeRun(done) });
    }
  });
}

function look(io: Io, session: Session, areRestarting: boolean): Promise<CheckResult[]> {
  return io.progress.during("doctor", "looking at every link of the chain", () =>
    examine({ ...session, areRestarting, packageHash: async (app) => (await packApp(app)).sha256 }),
  );
}

/** The safe steps of the same graph as `init`: there is no second way to repair. */
async function repair(io: Io, session: Session): Promise<Report> {
  const graph = projectGraph(session.setup, session);
  const planned = await plan(graph.steps);
  return apply(safePart(planned, { ...session, graph }), { clock: io.clock, signal: io.signal, onProgress: io.progress.onProgress });
}

function show(io: Io, { fix, verbose }: DoctorOptions, checks: readonly CheckResult[], repairs: readonly Attempt[] = []): number {
  const wrong = checks.filter(({ ok }) => !ok);
  const isWell = wrong.length === 0;
  const code = isWell ? 0 : exitCodeOf["verify/failed"];
  if (io.isJson) {
    io.document({ ok: isWell, checks, ...(fix ? { repairs: attemptBodies(repairs) } : {}) });
    return code;
  }
  const colors = paint(io.hasColor);
  for (const check of verbose ? checks : wrong) io.result(checkLine(check, colors));
  for (const { name, outcome, reason } of repairs.filter(({ outcome }) => outcome === "failed"))
    io.complain(`${name} ${outcome}: ${reason}`);
  io.result(isWell ? `All ${checks.length} conditions are well.` : `${wrong.length} of ${checks.length} conditions need a hand.`);
  return code;
}
