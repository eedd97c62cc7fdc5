import type { Site } from "../../cloud/app-service/sites.ts";
import type { ScmSite } from "../../cloud/scm/scm-site.ts";
import type { Package } from "../../package/pack.ts";
import type { DeploymentContext } from "./deployment-context.ts";
import { followBuild } from "./follow-build.ts";
import { followStart } from "./follow-start.ts";
import { type Deployed, noteDeployed } from "./package-tags.ts";
import { uploadPackage } from "./upload-package.ts";
import { waitHealthy } from "./wait-healthy.ts";

export interface DesiredDeployment {
  readonly package: () => Promise<Package>;
  /** Path that must answer below 300 once the new code runs; empty: any answer below 500 counts. */
  readonly health: string;
}

/** Uploads, builds, starts, and returns once the new code answers. Throws `deploy/…`. */
export async function deployPackage(
  desired: DesiredDeployment,
  site: Site,
  context: DeploymentContext,
): Promise<Deployed & { readonly uploadedBytes: number }> {
  const scm = context.scmSite(site);
  const packed = await desired.package();
  context.onDetail("waking the SCM site");
  await scm.warmUp();
  // From here on the old package may be gone, whatever becomes of the new one: a failed deployment must not be taken for the old one.
  await noteDeployed(context, site, undefined);
  const { deploymentId, uploadedBytes } = await build(scm, packed, context);
  await followStart(deploymentId, site, scm, context);
  await waitHealthy(desired.health, site, scm, context);
  const deployed = { packageHash: packed.sha256, deploymentId };
  await noteDeployed(context, site, deployed);
  return { ...deployed, uploadedBytes };
}

/** Once more when the SCM site was restarted under the build. */
async function build(
  scm: ScmSite,
  packed: Package,
  context: DeploymentContext,
): Promise<{ readonly deploymentId: string; readonly uploadedBytes: number }> {
  let uploadedBytes = 0;
  for (let attempt = 1; ; attempt += 1) {
    const { deploymentId, bytes } = await uploadPackage(scm, packed, context);
    uploadedBytes += bytes;
    const outcome = await followBuild(scm, deploymentId, context);
    if (outcome.isOk) return { deploymentId, uploadedBytes };
    if (!outcome.wasInterrupted || attempt === 2) throw outcome.error;
    context.onDetail("the SCM site was restarted during the build; deploying once more");
  }
}
