import { randomUUID } from "node:crypto";
import { exitCodeOf } from "../../base/errors.ts";
import type { CheckResult } from "../../checks/check.ts";
import { verify } from "../../checks/verify.ts";
import type { Report } from "../../engine/report.ts";
import type { Package } from "../../package/pack.ts";
import { allSteps } from "../../steps/all.ts";
import { checkLine } from "../output/checks.ts";
import { resultBody } from "../output/result.ts";
import { type PackOptions, packApps } from "../pack-apps.ts";
import { type NewProjectFlags, prepareProject } from "../prepare-project.ts";
import { runGraph } from "../run-graph.ts";
import type { Session } from "../session.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";
import { paint } from "../terminal/style.ts";

export async function up(io: Io, options: NewProjectFlags & PackOptions & GlobalOptions, directory: string): Promise<number> {
  const project = await prepareProject(io, options, directory);
  // A bad folder is found out before anything is created; the packages are ready when the web apps are.
  const packages = await packApps(io, project.setup.apps, options);
  const deployments = { package: async ({ key }: { key: string }) => packages.get(key) as Package, onDetail: io.progress.detail };
  return runGraph(io, options, project, {
    name: "up",
    steps: (session) => allSteps(session.setup, { ...session, deployments }),
    body: (report, { setup, cloud }) => resultBody(setup, cloud, report),
    finish: async (report, session) => {
      const marker = `passwordless-pg verify ${randomUUID()}`;
      const checks = await io.progress.during("verify", "checking", () => verify({ ...session, marker }));
      show(io, session, report, checks);
      return checks.every(({ ok }) => ok) ? 0 : exitCodeOf["verify/failed"];
    },
  });
}

function show(io: Io, { setup, cloud }: Session, report: Report, checks: readonly CheckResult[]): void {
  const colors = paint(io.hasColor);
  for (const check of checks) io.note(checkLine(check, colors));
  if (io.isJson) {
    io.document(resultBody(setup, cloud, report, checks));
    return;
  }
  const passed = checks.filter(({ ok }) => ok).length;
  const head = passed === checks.length ? "Proved" : "Deployed, but not proved";
  const urls = setup.apps.map(({ key }) => `${key}  ${(report.observed.get(`web app ${key}`) as { url?: string } | undefined)?.url ?? ""}`);
  io.result([`${head}: ${passed} of ${checks.length} checks passed.`, ...urls].join("\n"));
}
