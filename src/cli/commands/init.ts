import { resultBody } from "../output/result.ts";
import { type NewProjectFlags, prepareProject } from "../prepare-project.ts";
import { runGraph } from "../run-graph.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";

export async function init(io: Io, options: NewProjectFlags & GlobalOptions, directory: string): Promise<number> {
  const project = await prepareProject(io, options, directory);
  return runGraph(io, options, project, {
    name: "init",
    body: resultBody,
    finish: async (run) => {
      if (io.isJson) io.document(resultBody(run));
      else io.result(`${project.setup.resourceGroup} is as ${project.found.path} asks.\nNext: \`passwordless-pg deploy\``);
      return 0;
    },
  });
}
