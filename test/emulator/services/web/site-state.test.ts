import { expect, test } from "vitest";
import { bySiteEvent, type SiteEvent, type SiteState, siteStateTable } from "../../../../src/emulator/services/web/site-state.ts";

test.each(
  (Object.keys(siteStateTable) as SiteEvent[]).flatMap((event) => (["Running", "Stopped"] as const).map((state) => ({ event, state }))),
)("$event of a $state site is taken", ({ event, state }) => {
  const expected: SiteState = event === "start" ? "Running" : "Stopped";
  expect(bySiteEvent({ state }, event)).toEqual({ state: expected });
});
