import { normalizeLocation, resourceGroupId, resourceId } from "../../../base/resource-id.ts";
import { armError } from "../../http/arm-error.ts";
import { type EmulatorRequest, empty, json, type Route, route } from "../../http/router.ts";
import type { Platform } from "../../platform.ts";
import type { Collection } from "../../store.ts";
import { requireGroup, requireKnownGroup } from "../resources/groups.ts";
import { findLocation } from "../resources/locations.ts";
import { type Identity, isIdentityName } from "./model.ts";
import { identityToWire } from "./wire.ts";

const TYPE = "providers/Microsoft.ManagedIdentity/userAssignedIdentities";
const IN_GROUP = `/subscriptions/{subscription}/resourceGroups/{group}/${TYPE}`;
const IDENTITY = `${IN_GROUP}/{identity}`;

interface IdentityBody {
  readonly location?: unknown;
  readonly tags?: Readonly<Record<string, unknown>>;
}

/** User-assigned identities: learn.microsoft.com/rest/api/managedidentity/user-assigned-identities (2023-01-31). */
export function identityRoutes(platform: Platform, identities: Collection<Identity>): readonly Route[] {
  const { directory } = platform;
  const wire = (identity: Identity): object =>
    identityToWire(identity, {
      clientId: directory.find(identity.principalId)?.appId ?? "",
      tenantId: platform.endpoints.tenantId,
    });
  const required = (request: EmulatorRequest): Identity => {
    requireKnownGroup(platform, groupIdOf(request));
    const found = identities.get(idOf(request));
    if (found) return found;
    const { identity, group } = request.params;
    throw armError(
      404,
      "ResourceNotFound",
      `The Resource 'Microsoft.ManagedIdentity/userAssignedIdentities/${identity}' under resource group '${group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
    );
  };
  return [
    route("PUT", IDENTITY, "specification", {}, (request) => {
      const group = requireGroup(platform, groupIdOf(request));
      const before = identities.get(idOf(request));
      const name = request.params.identity ?? "";
      if (!before && !isIdentityName(name)) throw invalidName(name);
      const body = (request.body ?? {}) as IdentityBody;
      const location = locationOf(body, before);
      const id = before?.id ?? resourceId(group.id, "Microsoft.ManagedIdentity", "userAssignedIdentities", name);
      const identity: Identity = {
        id,
        name: before?.name ?? name,
        resourceGroup: group.name,
        location,
        ...tagsOf(body),
        principalId: before?.principalId ?? directory.createManagedIdentity(id, name).objectId,
      };
      identities.set(id, identity);
      return json(before ? 200 : 201, wire(identity));
    }),
    route("GET", IDENTITY, "specification", (request) => json(200, wire(required(request)))),
    route("PATCH", IDENTITY, "specification", {}, (request) => {
      const changed: Identity = { ...required(request), ...tagsOf((request.body ?? {}) as IdentityBody) };
      identities.set(changed.id, changed);
      return json(200, wire(changed));
    }),
    route("DELETE", IDENTITY, "specification", (request) => {
      requireKnownGroup(platform, groupIdOf(request));
      const found = identities.get(idOf(request));
      if (!found) return empty(204);
      identities.delete(found.id);
      // Whatever it was assigned to keeps naming it, and gets no token any more (Microsoft's page on managing these identities).
      directory.remove(found.principalId);
      return empty(200);
    }),
    route("GET", IN_GROUP, "specification", (request) => {
      const group = requireKnownGroup(platform, groupIdOf(request));
      return json(200, { value: identities.list(`${group.id}/`).map(wire) });
    }),
    route("GET", `/subscriptions/{subscription}/${TYPE}`, "specification", ({ params }) =>
      json(200, { value: identities.list(`/subscriptions/${params.subscription}/`).map(wire) }),
    ),
  ];
}

function groupIdOf({ params }: EmulatorRequest): string {
  return resourceGroupId(params.subscription ?? "", params.group ?? "");
}

function idOf(request: EmulatorRequest): string {
  return resourceId(groupIdOf(request), "Microsoft.ManagedIdentity", "userAssignedIdentities", request.params.identity ?? "");
}

/** Codes and texts after ARM's own for tracked resources; not recorded for this provider. */
function locationOf({ location }: IdentityBody, before: Identity | undefined): string {
  if (typeof location !== "string" || location === "") {
    if (before) return before.location;
    throw armError(400, "LocationRequired", "The location property is required for this definition.");
  }
  const known = findLocation(location)?.name;
  if (!known)
    throw armError(400, "LocationNotAvailableForResourceType", `The provided location '${location}' is not available for this type.`);
  if (!before || normalizeLocation(before.location) === known) return known;
  throw armError(
    409,
    "InvalidResourceLocation",
    `The resource '${before.name}' already exists in location '${before.location}' in resource group '${before.resourceGroup}'. A resource with the same name cannot be created in location '${known}'. Please select a new resource name.`,
  );
}

function tagsOf({ tags }: IdentityBody): Pick<Identity, "tags"> {
  if (!tags) return {};
  return { tags: Object.fromEntries(Object.entries(tags).map(([name, value]) => [name, String(value)])) };
}

function invalidName(name: string) {
  return armError(400, "InvalidResourceName", `The resource name '${name}' is invalid: 3-128 letters, digits, '-' and '_'.`); // text inferred
}
