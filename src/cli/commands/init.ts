import { allSteps } from "../../steps/all.ts";
import { resultBody } from "../output/result.ts";
import { type NewProjectFlags, prepareProject } from "../prepare-project.ts";
import { runGraph } from "../run-graph.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";

export async function init(io: Io, options: NewProjectFlags & GlobalOptions, directory: string): Promise<number> {
  const project = await prepareProject(io, options, directory);
  return runGraph(io, options, project, {
    name: "init",
    steps: (session) => allSteps(session.setup, session),
    body: (report, { setup, cloud }) => resultBody(setup, cloud, report),
    finish: async (report, { setup, cloud }) => {
      if (io.isJson) io.document(resultBody(setup, cloud, report));
      else io.result(`${setup.resourceGroup} is as ${project.found.path} asks.\nNext: \`passwordless-pg deploy\``);
      return 0;
    },
  });
}
