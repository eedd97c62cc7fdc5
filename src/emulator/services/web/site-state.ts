import { type StateTable, stateAfter } from "../../state-table.ts";

/** `Running` says nothing about the container being healthy (azure/appservice.md section 2). */
export type SiteState = "Running" | "Stopped";

/** A restart is none: it leaves a running site running and a stopped one stopped. */
export type SiteEvent = "start" | "stop";

/** Both are taken in both states. */
export const siteStateTable: StateTable<SiteState, SiteEvent> = {
  start: { Running: "Running", Stopped: "Running" },
  stop: { Running: "Stopped", Stopped: "Stopped" },
};

/** The change of a site that is started or stopped. */
export function bySiteEvent(site: { readonly state: SiteState }, event: SiteEvent): { readonly state: SiteState } {
  return { state: stateAfter(siteStateTable, site.state, event) };
}
