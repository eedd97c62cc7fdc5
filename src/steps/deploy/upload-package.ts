import { KnownError } from "../../base/errors.ts";
import { isLongPause } from "../../base/transient.ts";
import type { ScmSite } from "../../cloud/scm/scm-site.ts";
import type { Package } from "../../package/pack.ts";
import { buildDeadlineMs, buildPauses } from "./build-times.ts";
import type { DeploymentContext } from "./deployment-context.ts";
import { pollSlower } from "./poll-slower.ts";

/** Sends the package; waits while another deployment is running. */
export async function uploadPackage(
  scm: ScmSite,
  packed: Package,
  context: DeploymentContext,
): Promise<{ deploymentId: string; bytes: number }> {
  const deadline = context.clock.now() + buildDeadlineMs;
  for (;;) {
    let bytes = 0;
    const count = (chunk: Uint8Array): void => {
      bytes += chunk.length;
    };
    try {
      context.onDetail(`uploading ${packed.files} files`);
      const { deploymentId } = await scm.zipDeploy({ stream: () => packed.stream().on("data", count) });
      return { deploymentId, bytes };
    } catch (error) {
      if (!isBusy(error) || context.clock.now() > deadline) throw error;
      context.onDetail("another deployment is running; waiting for its end");
      await pollSlower(context, deadline, buildPauses, async () => !(await scm.isDeploying()));
    }
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof KnownError && (error.code === "azure/busy" || error.code === "azure/conflict") && !isLongPause(error);
}
