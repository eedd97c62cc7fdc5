import type { CheckResult } from "../../checks/check.ts";
import { observedIn } from "../../engine/observed.ts";
import { type Attempt, failuresOf, isComplete } from "../../engine/report.ts";
import { appsOf } from "../../project/setup.ts";
import type { GraphRun } from "../run-graph.ts";
import { errorBody } from "./error.ts";

/** What `init` and `up` answer; the fields are a contract with scripts. */
export function resultBody({ report, graph, session: { setup, cloud } }: GraphRun, checks?: readonly CheckResult[]): object {
  const server = observedIn(report, graph.server);
  const failed = failuresOf(report)[0];
  const isOk = isComplete(report) && (checks?.every(({ ok }) => ok) ?? true);
  return {
    ok: isOk,
    cloud: cloud.environment.name,
    resourceGroup: setup.resourceGroup,
    server: { name: setup.server.name, host: server?.host ?? null, port: server?.port ?? null },
    database: setup.database,
    apps: Object.fromEntries(
      appsOf(setup).map(({ key, production }) => {
        const step = graph.sites.find((one) => one.setup === production)?.site;
        const site = step && observedIn(report, step);
        return [
          key,
          { name: production.address.app, url: site?.url ?? null, role: production.role, principalId: site?.principalId ?? null },
        ];
      }),
    ),
    steps: attemptBodies(report.steps),
    warnings: report.warnings ?? [],
    ...(checks ? { checks } : {}),
    ...(failed
      ? { error: errorBody(failed.error).error }
      : isComplete(report)
        ? isOk
          ? {}
          : {
              error: {
                code: "verify/failed",
                message: `${checks?.filter(({ ok }) => !ok).length} checks failed`,
                hint: "each failed check names its repair; then run the same command again",
              },
            }
        : { error: { code: "cancelled", message: "stopped before the end", hint: "run the same command again to go on" } }),
  };
}

/** Steps and repairs for scripts, without what Azure answered. */
export function attemptBodies(attempts: readonly Attempt[]): object[] {
  return attempts.map(({ name, outcome, ms, reason }) => ({ name, outcome, ms, ...(reason ? { reason } : {}) }));
}
