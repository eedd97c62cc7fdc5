import { warningsOf } from "../../checks/warnings.ts";
import { blockedOf, changesOf } from "../../engine/plan.ts";
import { allSteps } from "../../steps/all.ts";
import { preview } from "../converge.ts";
import { planBody, planLines, warningLines } from "../output/plan.ts";
import { createProgressView } from "../output/progress.ts";
import { openProject, withSession } from "../session.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";
import { paint } from "../terminal/style.ts";

/** Exit code 3 when something would change, or would have to. */
const changesExitCode = 3;

export async function plan(io: Io, options: GlobalOptions, directory: string): Promise<number> {
  const project = await openProject(io, directory, options, true);
  const view = createProgressView(io);
  try {
    return await withSession(io, options, project, async ({ cloud: all, firewallAccess, clock, setup }) => {
      const cloud = all.readOnly();
      const planned = await preview(allSteps(setup, { cloud, firewallAccess, clock, signal: io.signal }), view, { cloud, setup });
      const warnings = await warningsOf({ setup, cloud, firewallAccess }, planned);
      view.close();
      const colors = paint(io.hasColor);
      const lines = [...planLines(planned, setup, colors), ...warningLines(warnings, colors)];
      io.result(io.isJson ? JSON.stringify(planBody(planned, setup, warnings), undefined, 2) : lines.join("\n"));
      return changesOf(planned) + blockedOf(planned) === 0 ? 0 : changesExitCode;
    });
  } finally {
    view.close();
  }
}
