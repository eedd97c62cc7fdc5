import { resourceGroupId, resourceId } from "./resource-id.ts";

/** Where a site is: an app's production site, or one of its deployment slots. */
export interface SiteAddress {
  /** Resource group. */
  readonly group: string;
  /** Name of the app in Azure. */
  readonly app: string;
  /** Absent for the production site. */
  readonly slot?: string;
}

/** `shop`, or `shop/staging` of a slot: as Azure names the resource. */
export function siteName({ app, slot }: SiteAddress): string {
  return slot === undefined ? app : `${app}/${slot}`;
}

/**
 * What stands behind `…/sites/` in the path of every operation on a site, encoded: `shop`, or `shop/slots/staging`. Each operation on a site
 * has a twin for slots, which differs in nothing else (specification of Microsoft.Web, 2025-05-01).
 */
export function sitePath({ app, slot }: SiteAddress): string {
  return slot === undefined ? encodeURIComponent(app) : `${encodeURIComponent(app)}/slots/${encodeURIComponent(slot)}`;
}

/** Resource ID of a site or slot; whatever the names hold, they stay one segment each. */
export function siteAddressId(subscriptionId: string, address: SiteAddress): string {
  return resourceId(resourceGroupId(subscriptionId, encodeURIComponent(address.group)), "Microsoft.Web", "sites", sitePath(address));
}
