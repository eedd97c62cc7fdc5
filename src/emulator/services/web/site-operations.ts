import { boundTo, type OnResource, type Route, type RouteOf, route } from "../../http/router.ts";
import type { Platform } from "../../platform.ts";
import { requireKnownGroup } from "../resources/groups.ts";
import { refusals } from "./errors.ts";
import type { Site } from "./model.ts";
import { SITE, siteAddress, siteIdAt, siteNameAt } from "./site-address.ts";
import type { Sites } from "./sites.ts";

export type SiteOperation = RouteOf<OnResource<Site>>;

/** A row of a table of operations on a site: `path` is what comes behind the site's own. */
export const onSite = route<OnResource<Site>>;

/** The operations as handlers: each finds its site first, or answers ARM's 404. */
export function boundToSites(platform: Platform, sites: Sites, operations: readonly SiteOperation[]): readonly Route[] {
  return boundTo((request) => {
    const address = siteAddress(request);
    requireKnownGroup(platform, address.groupId);
    const found = sites.get(siteIdAt(address));
    if (!found) throw refusals.notFound("sites", siteNameAt(address), address.group);
    return found;
  }, operations);
}

/**
 * The routes of operations on a site, each with its twin for slots (azure/appservice.md section 1: every site operation has one, with
 * `/slots/{slot}` behind the site). The twins are not claimed yet: no slot can be made, so each answers as for one that is not there.
 */
export function withSlotTwins(operations: readonly Route[]): readonly Route[] {
  return operations.flatMap((operation) => [
    { ...operation, path: `${SITE}${operation.path}` },
    { ...operation, path: `${SITE}/slots/{slot}${operation.path}`, isUnlisted: true },
  ]);
}
