import { parseResourceId, resourceGroupId, resourceId } from "../../../base/resource-id.ts";
import type { Platform } from "../../platform.ts";
import { refusals } from "./errors.ts";
import { changeIdentities, checkIdentities } from "./identity-change.ts";
import { isSiteName, newPublishingSeed, type Plan, type Site } from "./model.ts";
import { type SiteAddress, siteIdAt } from "./site-address.ts";
import type { SiteBody } from "./site-body.ts";
import { changedSite, newSite, recycles } from "./site-changes.ts";
import { type Sites, siteFolderName } from "./sites.ts";

/** Creates the site, or changes the one that is there. `group` is the resource group's name as it was made. */
export async function putSite(platform: Platform, sites: Sites, address: SiteAddress, group: string, body: SiteBody): Promise<Site> {
  const id = siteIdAt(address);
  const before = sites.get(id);
  if (before) return changeSite(platform, sites, before, body, "PUT");
  if (!isSiteName(address.site)) throw refusals.invalid("Name");
  if (sites.byName(address.site)) throw refusals.nameTaken(address.site);
  const plan = planOf(sites, body.properties?.serverFarmId, address.groupId);
  const now = platform.clock.now();
  const site = newSite(body, plan, {
    id,
    name: address.site,
    resourceGroup: group,
    folder: siteFolderName(id, now),
    publishingSeed: newPublishingSeed(),
    lastModified: new Date(now).toISOString(),
  });
  checkIdentities(platform.directory, id, body.identity);
  const created = await sites.create(site);
  changeIdentities(platform.directory, sites, id, body.identity, "PUT");
  return sites.get(id) ?? created;
}

/** Changes a site that is there, by PATCH or by PUT. */
export function changeSite(platform: Platform, sites: Sites, before: Site, body: SiteBody, method: "PUT" | "PATCH"): Site {
  checkIdentities(platform.directory, before.id, body.identity, before.userIdentities);
  const wantedPlan = body.properties?.serverFarmId;
  const plan = wantedPlan ? planOf(sites, wantedPlan, groupIdOf(before)) : sites.plans.get(before.planId);
  sites.update(before.id, changedSite(before, body, plan), recycles(before, body, plan) || method === "PUT");
  changeIdentities(platform.directory, sites, before.id, body.identity, method);
  const after = sites.get(before.id);
  if (!after) throw new Error(`site ${before.name} went away while ${platform.endpoints.resourceManager} changed it`);
  return after;
}

/** The plan a site names: its ID, or its bare name in the same group. */
function planOf(sites: Sites, given: string | undefined, groupId: string): Plan {
  const id = given?.includes("/") ? given : resourceId(groupId, "Microsoft.Web", "serverfarms", given ?? "");
  const plan = sites.plans.get(`/${id.replace(/^\/+|\/+$/g, "")}`);
  if (!plan) throw refusals.planMissing(given?.split("/").at(-1) ?? "");
  return plan;
}

function groupIdOf(site: Site): string {
  const parsed = parseResourceId(site.id);
  return resourceGroupId(parsed?.subscriptionId ?? "", parsed?.resourceGroup ?? "");
}
