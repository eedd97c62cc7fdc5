import type { Check } from "../../checks/verify.ts";
import type { Cloud } from "../../cloud/cloud.ts";
import { failuresOf, isComplete, type Report } from "../../engine/report.ts";
import type { ProjectGraph } from "../../graph/project-graph.ts";
import type { Setup } from "../../project/setup.ts";
import { errorBody } from "./error.ts";

/** What `init` and `up` answer; the fields are a contract with scripts. */
export function resultBody(
  { setup, cloud }: { readonly setup: Setup; readonly cloud: Cloud },
  graph: Pick<ProjectGraph, "server" | "sites">,
  report: Report,
  checks?: readonly Check[],
): object {
  const server = report.of(graph.server)?.observed;
  const failed = failuresOf(report)[0];
  const isOk = isComplete(report) && (checks?.every(({ ok }) => ok) ?? true);
  return {
    ok: isOk,
    cloud: cloud.environment.name,
    resourceGroup: setup.resourceGroup,
    server: { name: setup.server.name, host: server?.host ?? null, port: server?.port ?? null },
    database: setup.database,
    apps: Object.fromEntries(
      graph.sites.map(({ setup: { label, address, role }, site: step }) => {
        const site = report.of(step)?.observed;
        return [label, { name: address.app, url: site?.url ?? null, role, principalId: site?.principalId ?? null }];
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
