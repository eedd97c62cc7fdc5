import { codeChecks } from "./code.ts";
import { configurationChecks } from "./configuration.ts";
import { connectionChecks } from "./connection.ts";
import { roleChecks } from "./role.ts";
import { settingsChecks } from "./settings.ts";
import { siteChecks } from "./site.ts";

/** What is asked of a web app, in the order of the chain. */
export const webAppChecks = [...siteChecks, ...configurationChecks, ...connectionChecks, ...settingsChecks, ...codeChecks, ...roleChecks];
