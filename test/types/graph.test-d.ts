// Read by the compiler alone: each line that is expected to be wrong fails `tsc` when it is not.
import type { Cloud } from "../../src/cloud/cloud.ts";
import { observedIn } from "../../src/engine/observed.ts";
import type { Plan } from "../../src/engine/plan.ts";
import type { Report } from "../../src/engine/report.ts";
import type { AnyStep } from "../../src/engine/step.ts";
import type { ProjectGraph } from "../../src/graph/project-graph.ts";
import { appSettings } from "../../src/steps/app-settings.ts";
import { database } from "../../src/steps/database.ts";
import { logSettings } from "../../src/steps/log-settings.ts";

declare const graph: ProjectGraph;
declare const cloud: Cloud;
declare const planned: Plan;
declare const report: Report;

const [site] = graph.sites;
if (!site) throw new Error("there is no site");
const adapter = cloud.sites.at(site.setup.address);

// A step whose needs are steps of what it asks for.
logSettings("api", adapter, { site: site.site });
// @ts-expect-error a server is no site
logSettings("api", adapter, { site: graph.server });
// @ts-expect-error without the site there is nothing to set
logSettings("api", adapter, {});

database("shop", "rg-shop", cloud.postgresServers, { server: graph.server });
// @ts-expect-error a database is on a server, not on a resource group
database("shop", "rg-shop", cloud.postgresServers, { server: graph.group });

const desired = { label: "api", role: "shop-api", clientType: "python", own: {} } as const;
const needs = { site: site.site, server: graph.server, database: graph.database };
// @ts-expect-error Service Connector writes settings too: its write comes first
appSettings(desired, adapter, needs);

// What a step was observed to be has the step's own type, in a plan and in a report.
observedIn(report, graph.server)?.host satisfies string | undefined;
observedIn(planned, site.site)?.possibleOutboundAddresses satisfies readonly string[] | undefined;
// @ts-expect-error a site has no version
observedIn(report, site.site)?.version;
// @ts-expect-error a step is had by its member, not by its name
observedIn(report, "flexible server");

// A graph has the members that it has.
graph.firewall satisfies AnyStep;
// @ts-expect-error there is no such member
graph.webApp;
// @ts-expect-error sites are a list
graph.sites.api;
