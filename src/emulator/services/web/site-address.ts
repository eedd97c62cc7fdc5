import { resourceGroupId, resourceId } from "../../../base/resource-id.ts";
import type { EmulatorRequest } from "../../http/router.ts";

export const SITES = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Web/sites";
export const SITE = `${SITES}/{site}`;

/** Where a site is: a web app, or a slot of one. */
export interface SiteAddress {
  readonly groupId: string;
  readonly group: string;
  readonly site: string;
  readonly slot?: string;
}

/** The address that a request's path names. */
export function siteAddress({ params: { subscription = "", group = "", site = "", slot } }: EmulatorRequest): SiteAddress {
  return { groupId: resourceGroupId(subscription, group), group, site, ...(slot === undefined ? {} : { slot }) };
}

/** `shop`, `shop/slots/staging`: as refusals name it. */
export function siteNameAt({ site, slot }: SiteAddress): string {
  return slot === undefined ? site : `${site}/slots/${slot}`;
}

export function siteIdAt(address: SiteAddress): string {
  return resourceId(address.groupId, "Microsoft.Web", "sites", siteNameAt(address));
}
