import type { Site } from "../cloud/app-service/sites.ts";
import { type AnyStep, defineStep, type Needs, type Step } from "../engine/step.ts";
import { type DesiredDeployment, deployPackage } from "./deploy/deploy-package.ts";
import type { DeploymentContext } from "./deploy/deployment-context.ts";
import { type Deployed, deployedOn } from "./deploy/package-tags.ts";

/** What runs and what should: `running` is absent when this tool has deployed nothing yet. */
export interface DeploymentState {
  readonly running?: Deployed;
  readonly wantedHash: string;
}

/** Everything whose write recycles the SCM site. */
export interface DeploymentNeeds extends Needs {
  readonly site: Step<Site>;
  readonly configuration: AnyStep;
  readonly publishing: AnyStep;
  readonly logs: AnyStep;
  readonly settings: AnyStep;
}

/** The app's code on the web app, after everything that recycles the SCM site. Unchanged package: nothing is uploaded. */
export const deployment = (desired: DesiredDeployment & { readonly label: string }, context: DeploymentContext, needs: DeploymentNeeds) => {
  let hasDeployed = false;
  return defineStep<DeploymentState, typeof needs>({
    name: `deployment ${desired.label}`,
    needs,
    lane: `site ${desired.label}`,
    read: async ({ site }) => {
      const current = hasDeployed ? await context.adapter.get() : site;
      const running = deployedOn(current ?? site);
      return { ...(running ? { running } : {}), wantedHash: (await desired.package()).sha256 };
    },
    plan: (observed) => {
      if (!observed?.running) return { kind: "create" };
      if (observed.running.packageHash === observed.wantedHash) return { kind: "keep" };
      const difference = { field: "package", observed: short(observed.running.packageHash), desired: short(observed.wantedHash) };
      return { kind: "update", differences: [difference] };
    },
    apply: async (_change, { site }) => {
      hasDeployed = true;
      await deployPackage(desired, site, context);
    },
  });
};

function short(hash: string): string {
  return hash.slice(0, 12);
}
