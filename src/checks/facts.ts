import type { SiteSetup } from "../project/site-setup.ts";
import { gatherAppProof } from "./app-proof.ts";
import { type CheckContext, gatherSharedFacts, type SharedFacts } from "./shared-facts.ts";
import { gatherOutsideFacts } from "./site-facts.ts";

/** Everything that the checks look at. */
export function gatherFacts(context: CheckContext) {
  const shared = gatherSharedFacts(context);
  return { ...shared, sites: context.setup.sites.map((app) => gatherSiteFacts(shared, app)) };
}

export type ProjectFacts = ReturnType<typeof gatherFacts>;

/** What the checks of one site look at, with what all sites share. */
export type SiteFacts = ReturnType<typeof gatherSiteFacts>;

function gatherSiteFacts(shared: SharedFacts, app: SiteSetup) {
  const facts = { ...shared, ...gatherOutsideFacts(shared, app) };
  return { ...facts, ...gatherAppProof(facts) };
}
