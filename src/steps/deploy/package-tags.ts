import type { Site } from "../../cloud/app-service/sites.ts";
import type { DeploymentContext } from "./deployment-context.ts";

/** Tag on the web app with the hash of the package that runs on it. A tag, because writing one restarts nothing. */
const packageTag = "passwordless-pg-package";
/** Tag with the ID of the deployment that brought it. */
const deploymentTag = "passwordless-pg-deployment";

/** What runs on the site, as far as its tags say. */
export interface Deployed {
  readonly packageHash: string;
  readonly deploymentId: string;
}

/** What the tags of the site say; `undefined` when nothing was deployed with this tool. */
export function deployedOn(site: Site): Deployed | undefined {
  const packageHash = site.tags[packageTag];
  return packageHash ? { packageHash, deploymentId: site.tags[deploymentTag] ?? "" } : undefined;
}

/** Writes what runs on the site now; `undefined` takes the tags away. Other tags stay, as they are by now. */
export async function noteDeployed(
  { adapter }: Pick<DeploymentContext, "adapter">,
  site: Site,
  deployed: Deployed | undefined,
): Promise<void> {
  const current = (await adapter.get()) ?? site;
  const { [packageTag]: hash, [deploymentTag]: id, ...tags } = current.tags;
  if (deployed) {
    const own = { [packageTag]: deployed.packageHash, [deploymentTag]: deployed.deploymentId };
    await adapter.update({ tags: { ...tags, ...own } });
  } else if (hash !== undefined || id !== undefined) {
    await adapter.update({ tags });
  }
}
