import { warningsOf } from "../../checks/warnings.ts";
import { blockedOf, changesOf } from "../../engine/plan.ts";
import { projectGraph } from "../../graph/project-graph.ts";
import { findFrom, projectOf } from "../open-project.ts";
import { planBody, planLines, warningLines } from "../output/plan.ts";
import { preview } from "../run-graph.ts";
import { withSession } from "../session.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";
import { paint } from "../terminal/style.ts";

/** Exit code 3 when something would change, or would have to. */
const changesExitCode = 3;

export async function plan(io: Io, options: GlobalOptions, directory: string): Promise<number> {
  const project = await projectOf(io, await findFrom(io, directory, options), options);
  return withSession(io, options, project, async (opened) => {
    const session = { ...opened, cloud: opened.cloud.readOnly() };
    const { setup } = session;
    const graph = projectGraph(setup, session);
    const planned = await preview(io, graph.steps);
    const warnings = await warningsOf({ ...session, graph }, planned);
    const colors = paint(io.hasColor);
    if (io.isJson) io.document(planBody(planned, setup, warnings));
    else io.result([...planLines(planned, setup, colors), ...warningLines(warnings, colors)].join("\n"));
    return changesOf(planned) + blockedOf(planned) === 0 ? 0 : changesExitCode;
  });
}
