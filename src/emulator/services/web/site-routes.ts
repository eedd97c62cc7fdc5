import { type EmulatorRequest, empty, json, type Route, route } from "../../http/router.ts";
import type { Platform } from "../../platform.ts";
import { requireGroup, requireKnownGroup } from "../resources/groups.ts";
import { configOperations } from "./config-routes.ts";
import { deploymentOperations } from "./deployment-routes.ts";
import { refusals } from "./errors.ts";
import type { Site } from "./model.ts";
import { publishingOperations } from "./publishing-routes.ts";
import { SITE, SITES, siteAddress, siteIdAt } from "./site-address.ts";
import { type SiteBody, siteShape } from "./site-body.ts";
import { boundToSites, onSite, type SiteOperation, withSlotTwins } from "./site-operations.ts";
import { bySiteEvent } from "./site-state.ts";
import { changeSite, putSite } from "./site-writes.ts";
import type { Sites } from "./sites.ts";
import { childToWire, siteToWire } from "./wire.ts";

/** Web apps: learn.microsoft.com/rest/api/appservice/web-apps. */
export function siteRoutes(platform: Platform, sites: Sites): readonly Route[] {
  const toWire = (site: Site, form: "put" | "get"): object =>
    siteToWire(site, sites.plans.get(site.planId), platform.endpoints.tenantId, form);
  const page = (prefix: string): Response => json(200, { value: sites.list(prefix).map((site) => toWire(site, "get")), nextLink: null });
  const slots = onSite("GET", "/slots", "recorded", () => json(200, { value: [], nextLink: null }));
  return [
    ...withSlotTwins([
      ...lifeRoutes(platform, sites, toWire),
      ...boundToSites(platform, sites, [
        onSite("GET", "", "recorded", (site) => json(200, toWire(site, "get"))),
        onSite("PATCH", "", "specification", siteShape, (site, { body }) =>
          json(200, toWire(changeSite(platform, sites, site, (body ?? {}) as SiteBody, "PATCH"), "get")),
        ),
        ...machineOperations(platform, sites),
        ...configOperations(platform, sites),
        ...deploymentOperations(platform, sites),
        ...publishingOperations(platform),
      ]),
    ]),
    ...boundToSites(platform, sites, [{ ...slots, path: `${SITE}${slots.path}` }]),
    route("GET", SITES, "specification", (request) => {
      const { groupId } = siteAddress(request);
      requireKnownGroup(platform, groupId);
      return page(`${groupId}/`);
    }),
    route("GET", "/subscriptions/{subscription}/providers/Microsoft.Web/sites", "specification", ({ params }) =>
      page(`/subscriptions/${params.subscription}/`),
    ),
  ];
}

/** How a site comes and goes: the site need not be there. */
function lifeRoutes(platform: Platform, sites: Sites, toWire: (site: Site, form: "put") => object): readonly Route[] {
  const put = async (request: EmulatorRequest): Promise<Response> => {
    const address = siteAddress(request);
    const group = requireGroup(platform, address.groupId);
    if (address.slot !== undefined) throw refusals.noSlots();
    const body = (request.body ?? {}) as SiteBody;
    const site = await sites.oneAtATime(siteIdAt(address), () => putSite(platform, sites, address, group.name, body));
    return json(200, toWire(site, "put"));
  };
  const remove = async (request: EmulatorRequest): Promise<Response> => {
    const address = siteAddress(request);
    requireKnownGroup(platform, address.groupId);
    const site = sites.get(siteIdAt(address));
    if (!site) return empty(204);
    await sites.oneAtATime(site.id, () => sites.delete(site.id));
    const keepsPlan = request.url.searchParams.get("deleteEmptyServerFarm")?.toLowerCase() === "false";
    if (!keepsPlan && sites.onPlan(site.planId).length === 0) sites.plans.delete(site.planId);
    return empty(200);
  };
  return [route("PUT", "", "recorded", siteShape, put), route("DELETE", "", "specification", remove)];
}

/** What is asked of the containers of a site. */
function machineOperations(platform: Platform, sites: Sites): readonly SiteOperation[] {
  const inBackground = (site: Site, work: Promise<unknown>): void =>
    void work.catch((error: unknown) => platform.log(`site ${site.name}: ${String(error)}`));
  const instances = (site: Site): { readonly id: string; readonly body: object }[] =>
    sites
      .machine(site)
      .host.instances()
      .map(({ id, machine, state }) => {
        const properties = { name: id, machineName: machine, siteInstanceName: id, state };
        return { id, body: childToWire(site, `instances/${id}`, "instances", properties) };
      });
  return [
    onSite("POST", "/start", "specification", "none", (site) => {
      const started = sites.update(site.id, bySiteEvent(site, "start"), false);
      inBackground(started, sites.machine(started).restartApp());
      return empty(200);
    }),
    onSite("POST", "/stop", "specification", "none", async (site) => {
      await sites.machine(sites.update(site.id, bySiteEvent(site, "stop"), false)).host.stop();
      return empty(200);
    }),
    onSite("POST", "/restart", "specification", "none", (site) => {
      inBackground(site, sites.machine(site).restartApp());
      return empty(200);
    }),
    onSite("GET", "/instances", "specification", (site) => json(200, { value: instances(site).map(({ body }) => body), nextLink: null })),
    onSite("GET", "/instances/{instance}", "specification", (site, { params: { instance = "" } }) => {
      const found = instances(site).find(({ id }) => id === instance);
      if (!found) throw refusals.notFound("sites/instances", instance, site.resourceGroup);
      return json(200, found.body);
    }),
    onSite("POST", "/containerlogs", "specification", "none", (site) => {
      const text = sites.machine(site).log.tail();
      return text === "" ? empty(204) : new Response(text, { headers: { "content-type": "application/octet-stream" } });
    }),
  ];
}
