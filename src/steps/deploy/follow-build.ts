import { KnownError } from "../../base/errors.ts";
import type { Deployment } from "../../cloud/scm/deployments.ts";
import type { ScmSite } from "../../cloud/scm/scm-site.ts";
import { describeBuildFailure } from "./build-failure.ts";
import { buildDeadlineMs, buildPauses } from "./build-times.ts";
import type { DeploymentContext } from "./deployment-context.ts";
import { pollSlower } from "./poll-slower.ts";

/** An accepted deployment shows up at once (recordings); one that stays unknown was lost with its container. */
const unknownDeploymentMs = 2 * 60_000;

export type BuildOutcome = { readonly isOk: true } | { readonly isOk: false; readonly wasInterrupted: boolean; readonly error: KnownError };

/** Streams the build log and waits for the end of *this* deployment: `latest` may still be somebody else's. */
export async function followBuild(scm: ScmSite, id: string, context: DeploymentContext): Promise<BuildOutcome> {
  const ended = await endOf(scm, id, context);
  if (ended.status === "succeeded") return { isOk: true };
  const reason = await describeBuildFailure(scm, id);
  const wasInterrupted = /SCM container restart/i.test(`${ended.statusText} ${ended.message} ${reason}`);
  const error = new KnownError("deploy/build-failed", `the build of deployment ${id} failed${reason ? `:\n${reason}` : ""}`, {
    hint: wasInterrupted
      ? "something else changed the web app during the build; deploy again"
      : "correct what the log names and run `passwordless-pg deploy` again",
  });
  return { isOk: false, wasInterrupted, error };
}

async function endOf(scm: ScmSite, id: string, context: DeploymentContext): Promise<Deployment> {
  const shown = new Set<string>();
  const deadline = context.clock.now() + buildDeadlineMs;
  const unknownUntil = context.clock.now() + unknownDeploymentMs;
  let wasSeen = false;
  let ended: Deployment | undefined;
  await pollSlower(context, deadline, buildPauses, async () => {
    const [mine, entries] = await Promise.all([scm.getDeployment(id), scm.listLog(id)]);
    if (!mine && !wasSeen && context.clock.now() > unknownUntil) {
      throw new KnownError("deploy/interrupted", `the SCM site knows no deployment ${id}`, { hint: "run `passwordless-pg deploy` again" });
    }
    wasSeen ||= mine !== undefined;
    for (const entry of entries) {
      if (!shown.has(entry.id)) context.onDetail(entry.message);
      shown.add(entry.id);
    }
    ended = mine?.isComplete ? mine : undefined;
    return ended !== undefined;
  });
  if (ended) return ended;
  throw new KnownError("deploy/build-failed", `deployment ${id} did not end within ${buildDeadlineMs / 60_000} minutes`, {
    hint: "`passwordless-pg logs tail` shows what the build prints; deploy again when it has ended",
  });
}
