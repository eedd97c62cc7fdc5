import { randomUUID } from "node:crypto";
import { exitCodeOf } from "../../base/errors.ts";
import type { CheckResult } from "../../checks/check.ts";
import { observedIn } from "../../engine/observed.ts";
import { verify } from "../../graph/project-checks.ts";
import type { Package } from "../../package/pack.ts";
import type { SiteSetup } from "../../project/site-setup.ts";
import { checkLine } from "../output/checks.ts";
import { resultBody } from "../output/result.ts";
import { type PackOptions, packApps } from "../pack-apps.ts";
import { type NewProjectFlags, prepareProject } from "../prepare-project.ts";
import { type GraphRun, runGraph } from "../run-graph.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";
import { paint } from "../terminal/style.ts";

export async function up(io: Io, options: NewProjectFlags & PackOptions & GlobalOptions, directory: string): Promise<number> {
  const project = await prepareProject(io, options, directory);
  // A bad folder is found out before anything is created; the packages are ready when the web apps are.
  const packages = await packApps(io, project.setup.sites, options);
  const deployments = { package: async ({ label }: SiteSetup) => packages.get(label) as Package, onDetail: io.progress.detail };
  return runGraph(io, options, project, {
    name: "up",
    deployments,
    body: resultBody,
    finish: async (run) => {
      const marker = `passwordless-pg verify ${randomUUID()}`;
      const checks = await io.progress.during("verify", "checking", () => verify({ ...run.session, marker }));
      show(io, run, checks);
      return checks.every(({ ok }) => ok) ? 0 : exitCodeOf["verify/failed"];
    },
  });
}

function show(io: Io, run: GraphRun, checks: readonly CheckResult[]): void {
  const colors = paint(io.hasColor);
  for (const check of checks) io.note(checkLine(check, colors));
  if (io.isJson) {
    io.document(resultBody(run, checks));
    return;
  }
  const passed = checks.filter(({ ok }) => ok).length;
  const head = passed === checks.length ? "Proved" : "Deployed, but not proved";
  const urls = run.graph.sites.map(({ setup, site }) => `${setup.label}  ${observedIn(run.report, site)?.url ?? ""}`);
  io.result([`${head}: ${passed} of ${checks.length} checks passed.`, ...urls].join("\n"));
}
