import { projectGraph } from "../../graph/project-graph.ts";
import { resultBody } from "../output/result.ts";
import { type NewProjectFlags, prepareProject } from "../prepare-project.ts";
import { runGraph } from "../run-graph.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";

export async function init(io: Io, options: NewProjectFlags & GlobalOptions, directory: string): Promise<number> {
  const project = await prepareProject(io, options, directory);
  return runGraph(io, options, project, {
    name: "init",
    graph: (session) => projectGraph(session.setup, session),
    body: (report, graph, session) => resultBody(session, graph, report),
    finish: async (report, graph, session) => {
      if (io.isJson) io.document(resultBody(session, graph, report));
      else io.result(`${session.setup.resourceGroup} is as ${project.found.path} asks.\nNext: \`passwordless-pg deploy\``);
      return 0;
    },
  });
}
