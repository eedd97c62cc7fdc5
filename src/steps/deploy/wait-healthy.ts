import { KnownError } from "../../base/errors.ts";
import { describeStatus } from "../../cloud/app-service/site-client.ts";
import type { Site } from "../../cloud/app-service/sites.ts";
import type { ScmSite } from "../../cloud/scm/scm-site.ts";
import type { DeploymentContext } from "./deployment-context.ts";
import { pollSlower } from "./poll-slower.ts";
import { describeLastLines } from "./start-failure.ts";

const healthDeadlineMs = 5 * 60_000;
/** The app itself costs Azure nothing. */
const healthPauses = { longestMs: 1_500, part: 20 } as const;

/** Waits until the new code answers: below 300 on its health path, below 500 where it has none. Throws `deploy/start-failed`. */
export async function waitHealthy(path: string, site: Site, scm: ScmSite, context: DeploymentContext): Promise<void> {
  const client = context.site(site);
  let answer = "no answer";
  context.onDetail(`waiting for ${path || "/"} to answer`);
  const isUp = await pollSlower(context, context.clock.now() + healthDeadlineMs, healthPauses, async () => {
    const response = await client.get(path || "/").catch((error: unknown) => {
      if (context.signal.aborted) throw error;
      answer = error instanceof Error ? error.message : String(error);
      return undefined;
    });
    if (response) answer = describeStatus(response);
    return response !== undefined && (path ? response.status >= 200 && response.status < 300 : response.status < 500);
  });
  if (isUp) return;
  throw new KnownError(
    "deploy/start-failed",
    `${site.url}${path || "/"} does not answer as it should (last: ${answer})${await describeLastLines(scm, context)}`,
    {
      hint: '`passwordless-pg logs tail` shows what the app prints; the project file\'s "health" is the path that is asked',
    },
  );
}
