import { exitCodeOf } from "../../base/errors.ts";
import type { CheckResult as Check } from "../../checks/check.ts";
import { doctor as examine } from "../../checks/doctor.ts";
import { repairBeside, safePart } from "../../checks/repair.ts";
import { apply } from "../../engine/apply.ts";
import { plan } from "../../engine/plan.ts";
import { isComplete, type Report, type StepReport } from "../../engine/report.ts";
import { allSteps } from "../../steps/all.ts";
import { endStopped, summarizeRun } from "../cancellation.ts";
import type { GlobalOptions, Io } from "../io.ts";
import { checkLine } from "../output/checks.ts";
import { createProgressView } from "../output/progress.ts";
import { paint } from "../output/style.ts";
import { packApp } from "../pack-apps.ts";
import { openProject, type Session, withChangingSession, withSession } from "../session.ts";

/** Finds what is wrong along the chain; `--fix` runs the safe part of what `init` would do, then looks again. */
export async function doctor(io: Io, options: { readonly fix?: boolean } & GlobalOptions, directory: string): Promise<number> {
  const project = await openProject(io, directory, options, false);
  const view = createProgressView(io);
  try {
    const work = async (session: Session): Promise<number> => {
      const look = (areRestarting: boolean): Promise<Check[]> => {
        view.begin("doctor", "looking at every link of the chain");
        const { cloud, firewallAccess, clock, setup } = session;
        return examine({
          cloud,
          firewallAccess,
          clock,
          setup,
          areRestarting,
          signal: io.signal,
          packageHash: async (app) => (await packApp(app)).sha256,
        }).finally(() => view.forget("doctor"));
      };
      let checks = await look(false);
      const repairs: StepReport[] = [];
      if (options.fix && checks.some(({ ok }) => !ok)) {
        let beside: readonly StepReport[] = [];
        let report: Report | undefined;
        try {
          beside = await repairBeside(session.setup, session.cloud, session.clock);
          report = await repair(io, session, view.onProgress);
          if (!isComplete(report)) io.signal.throwIfAborted();
          repairs.push(...beside, ...report.steps.filter(({ outcome }) => outcome !== "kept"));
          checks = await look(repairs.some(({ outcome }) => outcome === "updated"));
        } catch (error) {
          view.close();
          const all = { observed: new Map(), ...report, steps: [...beside, ...(report?.steps ?? [])] };
          return endStopped(error, { io, session, command: "doctor --fix", doings: summarizeRun(all) });
        }
      }
      view.close();
      show(io, options, checks, repairs);
      return checks.every(({ ok }) => ok) ? 0 : exitCodeOf["verify/failed"];
    };
    return options.fix
      ? await withChangingSession(io, options, project, "doctor --fix", work)
      : await withSession(io, options, project, work);
  } finally {
    view.close();
  }
}

/** Steps of the same graph as `init`: there is no second way to repair. */
async function repair(
  io: Io,
  { cloud, firewallAccess, clock, setup }: Session,
  onProgress: NonNullable<Parameters<typeof apply>[1]["onProgress"]>,
): Promise<Report> {
  const planned = await plan(allSteps(setup, { cloud, firewallAccess, clock, signal: io.signal }));
  return apply(safePart(planned, setup), { clock, signal: io.signal, onProgress });
}

function show(io: Io, options: GlobalOptions & { readonly fix?: boolean }, checks: readonly Check[], repairs: readonly StepReport[]): void {
  const wrong = checks.filter(({ ok }) => !ok);
  if (io.isJson) {
    const repaired = repairs.map(({ error: _error, ...step }) => step);
    io.result(JSON.stringify({ ok: wrong.length === 0, checks, ...(options.fix ? { repairs: repaired } : {}) }, undefined, 2));
    return;
  }
  const colors = paint(io.hasColor);
  for (const check of options.verbose ? checks : wrong) io.result(checkLine(check, colors));
  for (const { name, outcome, reason } of repairs.filter(({ outcome }) => outcome === "failed"))
    io.complain(`${name} ${outcome}: ${reason}`);
  io.result(
    wrong.length === 0 ? `All ${checks.length} conditions are well.` : `${wrong.length} of ${checks.length} conditions need a hand.`,
  );
}
