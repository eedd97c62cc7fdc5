import { type EmulatorRequest, json, type Route, route } from "../../http/router.ts";
import { locations } from "../resources/locations.ts";
import { isSiteName } from "./model.ts";
import type { Sites } from "./sites.ts";
import { webAppStacks } from "./stacks.ts";
import { displayLocation } from "./wire.ts";

/** Name check, stacks and regions. */
export function subscriptionRoutes(sites: Sites): readonly Route[] {
  const provider = "/subscriptions/{subscription}/providers/Microsoft.Web";
  const checkName = (request: EmulatorRequest): { nameAvailable: boolean; reason: string; message: string } => {
    const name = (request.body as { name?: string } | undefined)?.name ?? "";
    if (!isSiteName(name)) return { nameAvailable: false, reason: "Invalid", message: `The name '${name}' is invalid.` };
    if (!sites.byName(name)) return { nameAvailable: true, reason: "", message: "" };
    return { nameAvailable: false, reason: "AlreadyExists", message: `Hostname '${name}' already exists. Please select a different name.` };
  };
  const stacks = (): Response => json(200, { value: webAppStacks, nextLink: null, id: null });
  return [
    route("POST", `${provider}/checknameavailability`, "recorded", {}, (request) => json(200, checkName(request))),
    route("POST", `${provider}/locations/{location}/checknameavailability`, "inferred", {}, (request) => {
      const checked = checkName(request);
      const name = (request.body as { name?: string } | undefined)?.name ?? "";
      return json(200, { hostName: checked.nameAvailable ? `${name.toLowerCase()}.azurewebsites.net` : null, ...checked });
    }),
    route("GET", "/providers/Microsoft.Web/webAppStacks", "specification", stacks),
    route("GET", "/providers/Microsoft.Web/locations/{location}/webAppStacks", "specification", stacks),
    route("GET", `${provider}/geoRegions`, "specification", ({ params }) =>
      json(200, {
        value: locations.map(({ displayName }) => ({
          id: `/subscriptions/${params.subscription}/providers/Microsoft.Web/geoRegions/${displayName}`,
          name: displayName,
          type: "Microsoft.Web/geoRegions",
          properties: {
            name: displayName,
            description: null,
            displayName: displayLocation(displayName),
            orgDomain: "PUBLIC;LINUX;LINUXDSERIES",
          },
        })),
        nextLink: null,
        id: null,
      }),
    ),
  ];
}
