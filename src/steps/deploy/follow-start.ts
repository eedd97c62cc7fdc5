import { KnownError } from "../../base/errors.ts";
import type { Site } from "../../cloud/app-service/sites.ts";
import type { ScmSite } from "../../cloud/scm/scm-site.ts";
import type { DeploymentContext } from "./deployment-context.ts";
import { pollSlower } from "./poll-slower.ts";
import { describeLastLines } from "./start-failure.ts";

/** The start of the new container takes up to 4 minutes (recordings). */
const startDeadlineMs = 15 * 60_000;
/** ARM's state of the start (az: each 15 s; 15 to 210 s recorded) is known a tenth of the time late at most. */
const startPauses = { longestMs: 10_000, part: 10 } as const;

/** Waits until ARM says that the new code runs; returns also when ARM does not track this deployment. Throws `deploy/start-failed`. */
export async function followStart(id: string, site: Pick<Site, "name">, scm: ScmSite, context: DeploymentContext): Promise<void> {
  const unknownUntil = context.clock.now() + 60_000;
  let last = "";
  await pollSlower(context, context.clock.now() + startDeadlineMs, startPauses, async () => {
    const status = await context.adapter.deploymentStatus(id);
    if (!status) return context.clock.now() > unknownUntil; // ARM does not track it: the health path decides
    if (status.status !== last) context.onDetail(status.status);
    last = status.status;
    if (!status.isTerminal || status.isOk) return status.isOk;
    const why = status.errors.map(({ message }) => message).join("; ");
    throw new KnownError(
      "deploy/start-failed",
      `the new code of ${site.name} did not start (${status.status})${await describeLastLines(scm, context)}`,
      {
        ...(why ? { cause: new Error(why) } : {}),
        hint: "`passwordless-pg logs tail` shows what the app prints at its start",
      },
    );
  });
}
