import { type BoundCheck, bindChecks, type CheckResult } from "../checks/check.ts";
import { databaseChecks } from "../checks/database.ts";
import { type DoctorContext, examineAll } from "../checks/examine-all.ts";
import { gatherFacts, type ProjectFacts } from "../checks/facts.ts";
import { networkChecks } from "../checks/network.ts";
import { proveAll, type VerifyContext } from "../checks/prove-all.ts";
import { serverChecks } from "../checks/server.ts";
import { signInChecks } from "../checks/sign-in.ts";
import { subscriptionChecks } from "../checks/subscription.ts";
import { hosts } from "../hosts/hosts.ts";

/** What all sites share. */
const sharedChecks = [...subscriptionChecks, ...serverChecks, ...networkChecks, ...signInChecks, ...databaseChecks];

/** All that can be wrong with a project, in the order of the chain. */
export function projectChecks(facts: ProjectFacts): BoundCheck[] {
  return [
    ...bindChecks(sharedChecks, facts),
    ...facts.sites.flatMap((site) => bindChecks(hosts[site.app.host].checks, site, site.app.label)),
  ];
}

/** The proofs of the chain; see `proveAll`. Whoever verifies has often just deployed: the web apps are given time to start. */
export async function verify(context: VerifyContext): Promise<CheckResult[]> {
  return proveAll(projectChecks(gatherFacts({ ...context, areRestarting: true })), context);
}

/** Every check; see `examineAll`. */
export async function doctor(context: DoctorContext): Promise<CheckResult[]> {
  return examineAll(projectChecks(gatherFacts({ ...context, cloud: context.cloud.readOnly() })), context);
}
