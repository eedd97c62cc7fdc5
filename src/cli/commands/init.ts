import { isComplete, type Report } from "../../engine/report.ts";
import { allSteps } from "../../steps/all.ts";
import { endStopped, summarizeRun } from "../cancellation.ts";
import { converge, showFailures } from "../converge.ts";
import { createProgressView } from "../output/progress.ts";
import { resultBody } from "../output/result.ts";
import { withChangingSession } from "../session.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";
import { type NewProjectFlags, prepareProject } from "./prepare.ts";

export async function init(io: Io, options: NewProjectFlags & GlobalOptions, directory: string): Promise<number> {
  const project = await prepareProject(io, options, directory);
  const view = createProgressView(io);
  try {
    return await withChangingSession(io, options, project, "init", async (session) => {
      const steps = allSteps(session.setup, {
        cloud: session.cloud,
        firewallAccess: session.firewallAccess,
        clock: session.clock,
        signal: io.signal,
      });
      let report: Report | undefined;
      let code: number;
      try {
        report = await converge(io, options, session, steps, view);
        view.close();
        if (!report) return 1;
        code = showFailures(io, report);
        if (!isComplete(report)) io.signal.throwIfAborted();
      } catch (error) {
        view.close();
        const body = report && resultBody(session.setup, session.cloud, report);
        return endStopped(error, { io, session, command: "init", doings: summarizeRun(report), ...(body ? { body } : {}) });
      }
      if (io.isJson) io.result(JSON.stringify(resultBody(session.setup, session.cloud, report), undefined, 2));
      else if (code === 0) io.result(`${session.setup.resourceGroup} is as ${project.found.path} asks.\nNext: \`passwordless-pg deploy\``);
      return code;
    });
  } finally {
    view.close();
  }
}
