import { json } from "../../http/router.ts";
import type { Platform } from "../../platform.ts";
import { terminalPhases } from "../scm/model.ts";
import { deploymentToWire, logEntryToWire } from "../scm/wire.ts";
import { refusals } from "./errors.ts";
import type { Site } from "./model.ts";
import { onSite, type SiteOperation } from "./site-operations.ts";
import type { Sites } from "./sites.ts";
import { childToWire, deploymentStatusToWire } from "./wire.ts";

/** What ARM shows of a site's deployments: learn.microsoft.com/rest/api/appservice/web-apps. */
export function deploymentOperations(platform: Platform, sites: Sites): readonly SiteOperation[] {
  const armForm = (site: Site, id: string, properties: object): object => childToWire(site, `deployments/${id}`, "deployments", properties);
  const scmBase = (site: Site): string => `https://localhost:${site.ports.scm}/api`;
  return [
    onSite("GET", "/deploymentStatus", "specification", (site) => {
      const rows = sites.machine(site).scm.deployments.list();
      return json(200, { value: rows.map((row) => deploymentStatusToWire(site, row)), nextLink: null });
    }),
    onSite("GET", "/deploymentStatus/{deployment}", "recorded", (site, request) => {
      const found = sites.machine(site).scm.deployments.find(request.params.deployment ?? "");
      if (!found) throw refusals.notFound("sites/deploymentStatus", request.params.deployment ?? "", site.resourceGroup);
      const body = deploymentStatusToWire(site, found);
      if (terminalPhases.includes(found.phase)) return json(200, body);
      const bare = new URL(`${platform.endpoints.resourceManager}${request.url.pathname}`);
      bare.searchParams.set("api-version", request.apiVersion);
      return json(202, body, { location: platform.operations.sign(bare.href), "retry-after": "0" });
    }),
    onSite("GET", "/deployments", "specification", (site) => {
      const rows = sites.machine(site).scm.deployments.list();
      return json(200, {
        value: rows.map((row) => armForm(site, row.id, deploymentToWire(row, site.name, scmBase(site)))),
        nextLink: null,
      });
    }),
    onSite("GET", "/deployments/{deployment}", "specification", (site, { params }) => {
      const found = sites.machine(site).scm.deployments.find(params.deployment ?? "");
      if (!found) throw refusals.notFound("sites/deployments", params.deployment ?? "", site.resourceGroup);
      return json(200, armForm(site, found.id, deploymentToWire(found, site.name, scmBase(site))));
    }),
    onSite("GET", "/deployments/{deployment}/log", "specification", (site, { params }) => {
      const entries = sites.machine(site).scm.deployments.log(params.deployment ?? "");
      if (!entries) throw refusals.notFound("sites/deployments", params.deployment ?? "", site.resourceGroup);
      const base = `${scmBase(site)}/deployments/${params.deployment}/log`;
      return json(200, {
        value: entries.map((entry) => armForm(site, `${params.deployment}/log/${entry.id}`, logEntryToWire(entry, base))),
        nextLink: null,
      });
    }),
  ];
}
