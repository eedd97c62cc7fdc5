import { type BoundCheck, bindChecks } from "./check.ts";
import { codeChecks } from "./code.ts";
import { configurationChecks } from "./configuration.ts";
import { connectionChecks } from "./connection.ts";
import { databaseChecks } from "./database.ts";
import type { ProjectFacts } from "./facts.ts";
import { networkChecks } from "./network.ts";
import { roleChecks } from "./role.ts";
import { serverChecks } from "./server.ts";
import { settingsChecks } from "./settings.ts";
import { signInChecks } from "./sign-in.ts";
import { siteChecks } from "./site.ts";
import { subscriptionChecks } from "./subscription.ts";

/** What all sites share. */
export const projectChecks = [...subscriptionChecks, ...serverChecks, ...networkChecks, ...signInChecks, ...databaseChecks];

/** What is asked of a web app. */
export const webAppChecks = [...siteChecks, ...configurationChecks, ...connectionChecks, ...settingsChecks, ...codeChecks, ...roleChecks];

/** All that can be wrong, in the order of the chain. */
export function checksOf(facts: ProjectFacts): BoundCheck[] {
  return [...bindChecks(projectChecks, facts), ...facts.sites.flatMap((site) => bindChecks(webAppChecks, site, site.app.label))];
}
