import { randomUUID } from "node:crypto";
import { exitCodeOf } from "../../base/errors.ts";
import { type Check, verify } from "../../checks/verify.ts";
import { isComplete, type Report } from "../../engine/report.ts";
import type { Package } from "../../package/pack.ts";
import type { SiteSetup } from "../../project/site-setup.ts";
import { allSteps } from "../../steps/all.ts";
import { endStopped, summarizeRun } from "../cancellation.ts";
import { converge, showFailures } from "../converge.ts";
import type { GlobalOptions, Io } from "../io.ts";
import { checkLine } from "../output/checks.ts";
import { createProgressView } from "../output/progress.ts";
import { resultBody } from "../output/result.ts";
import { paint } from "../output/style.ts";
import { type PackOptions, packApps } from "../pack-apps.ts";
import { withChangingSession } from "../session.ts";
import { type NewProjectFlags, prepareProject } from "./prepare.ts";

export async function up(io: Io, options: NewProjectFlags & PackOptions & GlobalOptions, directory: string): Promise<number> {
  const project = await prepareProject(io, options, directory);
  // A bad folder is found out before anything is created; the packages are ready when the web apps are.
  const packages = await packApps(io, project.setup.sites, options);
  const packageOf = async (app: SiteSetup): Promise<Package> => packages.get(app.label) as Package;
  const view = createProgressView(io);
  const colors = paint(io.hasColor);
  try {
    return await withChangingSession(io, options, project, "up", async (session) => {
      const { cloud, firewallAccess, clock, setup } = session;
      const deployments = { package: packageOf, onDetail: view.detail };
      let report: Report | undefined;
      let checks: readonly Check[];
      try {
        report = await converge(
          io,
          options,
          session,
          allSteps(setup, { cloud, firewallAccess, clock, signal: io.signal, deployments }),
          view,
        );
        if (!report) return 1;
        if (!isComplete(report)) {
          view.close();
          const code = showFailures(io, report);
          io.signal.throwIfAborted();
          if (io.isJson) io.result(JSON.stringify(resultBody(setup, cloud, report), undefined, 2));
          return code;
        }
        view.begin("verify", "checking");
        checks = await verify({ setup, cloud, firewallAccess, clock, signal: io.signal, marker: `passwordless-pg verify ${randomUUID()}` });
      } catch (error) {
        view.close();
        const body = report && resultBody(setup, cloud, report);
        return endStopped(error, { io, session, command: "up", doings: summarizeRun(report), ...(body ? { body } : {}) });
      }
      view.close();
      for (const check of checks) io.note(checkLine(check, colors));
      const isProved = checks.every(({ ok }) => ok);
      if (io.isJson) {
        io.result(JSON.stringify(resultBody(setup, cloud, report, checks), undefined, 2));
      } else {
        const urls = setup.sites.map(
          ({ label }) => `${label}  ${(report.observed.get(`web app ${label}`) as { url?: string } | undefined)?.url ?? ""}`,
        );
        io.result(
          [
            `${isProved ? "Proved" : "Deployed, but not proved"}: ${checks.filter(({ ok }) => ok).length} of ${checks.length} checks passed.`,
            ...urls,
          ].join("\n"),
        );
      }
      return isProved ? 0 : exitCodeOf["verify/failed"];
    });
  } finally {
    view.close();
  }
}
