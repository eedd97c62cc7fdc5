import { resourceGroupId, resourceId } from "./resource-id.ts";

/** Where a site is: a web or function app, or one of its deployment slots. */
export interface SiteAddress {
  readonly group: string;
  /** Azure name of the app. */
  readonly app: string;
  /** Absent: the production site. */
  readonly slot?: string;
}

/** `/subscriptions/…/sites/app`, for a slot `…/sites/app/slots/slot`. */
export function siteAddressId(subscriptionId: string, { group, app, slot }: SiteAddress): string {
  const path = slot === undefined ? ["sites", app] : ["sites", app, "slots", slot];
  return resourceId(resourceGroupId(subscriptionId, group), "Microsoft.Web", ...path);
}
