import type { CheckResult } from "../../checks/check.ts";
import type { WebApp } from "../../cloud/app-service/web-apps.ts";
import type { Cloud } from "../../cloud/cloud.ts";
import type { PostgresServer } from "../../cloud/postgres-servers.ts";
import { failuresOf, isComplete, type Report } from "../../engine/report.ts";
import type { Setup } from "../../project/setup.ts";
import { errorBody } from "./error.ts";

/** What `init` and `up` answer; the fields are a contract with scripts. */
export function resultBody(setup: Setup, cloud: Cloud, report: Report, checks?: readonly CheckResult[]): object {
  const server = report.observed.get("flexible server") as PostgresServer | undefined;
  const failed = failuresOf(report)[0];
  const isOk = isComplete(report) && (checks?.every(({ ok }) => ok) ?? true);
  return {
    ok: isOk,
    cloud: cloud.environment.name,
    resourceGroup: setup.resourceGroup,
    server: { name: setup.server.name, host: server?.host ?? null, port: server?.port ?? null },
    database: setup.database,
    apps: Object.fromEntries(
      setup.apps.map((app) => {
        const site = report.observed.get(`web app ${app.key}`) as WebApp | undefined;
        return [app.key, { name: app.name, url: site?.url ?? null, role: app.role, principalId: site?.principalId ?? null }];
      }),
    ),
    steps: report.steps.map(({ name, outcome, ms, reason }) => ({ name, outcome, ms, ...(reason ? { reason } : {}) })),
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
