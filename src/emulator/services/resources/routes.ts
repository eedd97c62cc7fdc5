import { isSameId, resourceGroupId } from "../../../base/resource-id.ts";
import { armError } from "../../http/arm-error.ts";
import { type EmulatorRequest, empty, json, type Route, route } from "../../http/router.ts";
import type { Platform, ResourceSummary, Service } from "../../platform.ts";
import { groupsOf, type ResourceGroup, requireGroup, requireKnownGroup } from "./groups.ts";
import { findLocation } from "./locations.ts";
import { type Providers, type ProviderView, providerToWire } from "./providers.ts";
import { tagRoutes } from "./tags.ts";
import { groupToWire, locationsToWire, subscriptionToWire, tenantToWire } from "./wire.ts";

const SUBSCRIPTION = "/subscriptions/{subscription}";
const GROUP = `${SUBSCRIPTION}/resourceGroups/{group}`;
/** `operations` kind of a group's deletion. */
export const GROUP_DELETE = "resources/group-delete";

/** ARM's own routes: subscriptions, tenants, locations, providers, resource groups, resource lists. */
export function resourceRoutes(platform: Platform, providers: Providers, services: () => readonly Service[]): readonly Route[] {
  const { endpoints } = platform;
  const inGroup = (groupId: string): ResourceSummary[] => services().flatMap((service) => service.resources?.(groupId) ?? []);
  return [
    route("GET", "/subscriptions", "documentation", () => json(200, page([subscriptionToWire(endpoints)]))),
    route("GET", SUBSCRIPTION, "documentation", () => json(200, subscriptionToWire(endpoints))),
    route("GET", "/tenants", "documentation", () => json(200, { value: [tenantToWire(endpoints)] })),
    route("GET", `${SUBSCRIPTION}/locations`, "documentation", () => json(200, locationsToWire(endpoints))),
    ...providerRoutes(platform, providers),
    ...groupRoutes(platform),
    ...tagRoutes(platform, services),
    ...absentRoutes(),
    route("GET", `${GROUP}/resources`, "documentation", ({ params, url }) => {
      const group = requireKnownGroup(platform, groupIdOf(params));
      return json(200, { value: filtered(inGroup(group.id), url) });
    }),
    route("GET", `${SUBSCRIPTION}/resources`, "documentation", ({ url }) => {
      const all = groupsOf(platform)
        .list()
        .flatMap((group) => inGroup(group.id));
      return json(200, { value: filtered(all, url) });
    }),
  ];
}

/** Lists of what nobody can make here: locks and template deployments. Those of a resource that is not there are empty, too. */
function absentRoutes(): readonly Route[] {
  const none = (): Response => json(200, { value: [] });
  return [
    route("GET", `${SUBSCRIPTION}/providers/Microsoft.Resources/deployments`, "documentation", none),
    route("GET", `${GROUP}/providers/Microsoft.Resources/deployments`, "documentation", none),
    route("GET", "/{scope...}/providers/Microsoft.Authorization/locks", "documentation", none),
  ];
}

function providerRoutes({ endpoints }: Platform, providers: Providers): readonly Route[] {
  const wire = (provider: ProviderView): object => providerToWire(provider, endpoints.subscriptionId);
  const found = ({ params }: EmulatorRequest): ProviderView => {
    const provider = providers.find(params.namespace ?? "");
    if (provider) return provider;
    throw armError(404, "InvalidResourceNamespace", `The resource namespace '${params.namespace}' is invalid.`);
  };
  return [
    route("GET", `${SUBSCRIPTION}/providers`, "documentation", () => json(200, { value: providers.list().map(wire) })),
    route("GET", `${SUBSCRIPTION}/providers/{namespace}`, "documentation", (request) => {
      const provider = found(request);
      providers.advance(provider.namespace);
      return json(200, wire(provider));
    }),
    route("POST", `${SUBSCRIPTION}/providers/{namespace}/register`, "documentation", "none", (request) => {
      const { namespace } = found(request);
      providers.register(namespace);
      return json(200, wire(found(request)));
    }),
    route("POST", `${SUBSCRIPTION}/providers/{namespace}/unregister`, "documentation", "none", (request) => {
      const { namespace } = found(request);
      providers.unregister(namespace);
      return json(200, wire(found(request)));
    }),
  ];
}

function groupRoutes(platform: Platform): readonly Route[] {
  const { operations, endpoints } = platform;
  const groups = groupsOf(platform);
  const resultUrl = (request: EmulatorRequest, id: string): string =>
    `${endpoints.resourceManager}/subscriptions/${endpoints.subscriptionId}/operationresults/${id}?api-version=${request.apiVersion}`;
  const pending = (request: EmulatorRequest, id: string, retryAfterSeconds: number): Response =>
    empty(202, { location: resultUrl(request, id), "retry-after": String(retryAfterSeconds) });
  return [
    route("GET", `${SUBSCRIPTION}/resourceGroups`, "documentation", ({ url }) =>
      json(200, { value: filteredGroups(groups.list(), url).map(groupToWire) }),
    ),
    route("GET", GROUP, "documentation", ({ params }) => json(200, groupToWire(requireKnownGroup(platform, groupIdOf(params))))),
    route("HEAD", GROUP, "documentation", ({ params }) => empty(groups.get(groupIdOf(params)) ? 204 : 404)),
    route("PUT", GROUP, "documentation", {}, (request) => putGroup(platform, request)),
    route("PATCH", GROUP, "documentation", {}, ({ params, body }) => {
      const group = requireGroup(platform, groupIdOf(params));
      const tags = tagsOf(body);
      const patched: ResourceGroup = tags ? { ...group, tags } : group;
      groups.set(group.id, patched);
      return json(200, groupToWire(patched));
    }),
    route("DELETE", GROUP, "documentation", (request) => {
      const group = requireKnownGroup(platform, groupIdOf(request.params));
      const running = operations.running(group.id).find(({ kind }) => kind === GROUP_DELETE);
      groups.set(group.id, { ...group, state: "Deleting" });
      const operation =
        running ??
        operations.accept({
          kind: GROUP_DELETE,
          name: "ResourceGroupDelete",
          resourceId: group.id,
          location: group.location,
          payload: null,
          recordedMs: 60_000,
          retryAfterSeconds: 15,
        });
      return pending(request, operation.id, operation.retryAfterSeconds);
    }),
    route("GET", `${SUBSCRIPTION}/operationresults/{operation}`, "documentation", (request) => {
      const operation = operations.poll(request.params.operation ?? "");
      if (operation?.kind !== GROUP_DELETE) throw armError(404, "OperationNotFound", "The operation could not be found.");
      if (operation.status === "InProgress") return pending(request, operation.id, operation.retryAfterSeconds);
      return operation.error ? armError(409, operation.error.code, operation.error.message).toResponse() : empty(200);
    }),
  ];
}

function putGroup(platform: Platform, { params, body }: EmulatorRequest): Response {
  const groups = groupsOf(platform);
  const id = groupIdOf(params);
  const name = params.group ?? "";
  if (!/^[-\p{L}\p{N}._()]{1,90}$/u.test(name) || name.endsWith(".")) {
    throw armError(
      400,
      "InvalidResourceGroup",
      `The provided resource group name '${name}' has these invalid characters or is too long. The name can only be letters, digits, '-', '.', '(', ')' or '_', must not end with a period and have at most 90 characters.`,
    );
  }
  const wanted = body as { location?: unknown; managedBy?: unknown } | undefined;
  const location = typeof wanted?.location === "string" ? wanted.location : "";
  if (location === "") throw armError(400, "LocationRequired", "The location property is required for this definition.");
  const known = findLocation(location);
  if (!known) {
    throw armError(
      400,
      "LocationNotAvailableForResourceGroup",
      `The provided location '${location}' is not available for resource group. List of available regions is given by GET /subscriptions/{subscription}/locations.`,
    );
  }
  const before = groups.get(id);
  if (before) requireGroup(platform, id);
  if (before && before.location !== known.name) {
    throw armError(
      409,
      "InvalidResourceGroupLocation",
      `Invalid resource group location '${known.name}'. The Resource group already exists in location '${before.location}'.`,
    );
  }
  const tags = tagsOf(body);
  const group: ResourceGroup = {
    id: before?.id ?? id,
    name: before?.name ?? name,
    location: known.name,
    ...(tags ? { tags } : {}),
    ...(typeof wanted?.managedBy === "string" ? { managedBy: wanted.managedBy } : {}),
    state: "Succeeded",
  };
  groups.set(id, group);
  return json(before ? 200 : 201, groupToWire(group));
}

function groupIdOf(params: Readonly<Record<string, string>>): string {
  return resourceGroupId(params.subscription ?? "", params.group ?? "");
}

function tagsOf(body: unknown): Record<string, string> | undefined {
  const tags = (body as { tags?: unknown } | undefined)?.tags;
  if (typeof tags !== "object" || tags === null) return undefined;
  return Object.fromEntries(Object.entries(tags).map(([name, value]) => [name, String(value)]));
}

function page(value: readonly object[]): object {
  return { value, count: { type: "Total", value: value.length } };
}

/** The clauses of `$filter` that ARM documents for lists: `name eq 'value'`, joined by `and`. */
function clauses(url: URL): { name: string; value: string }[] {
  const filter = url.searchParams.get("$filter") ?? "";
  return [...filter.matchAll(/(\w+)\s+eq\s+'((?:[^']|'')*)'/gi)].map((match) => ({
    name: (match[1] ?? "").toLowerCase(),
    value: (match[2] ?? "").replaceAll("''", "'"),
  }));
}

function filtered(resources: readonly ResourceSummary[], url: URL): readonly ResourceSummary[] {
  const wanted = clauses(url);
  const tag = tagClause(wanted);
  return resources.filter((resource) => {
    if (tag && !hasTag(resource.tags, tag)) return false;
    return wanted.every(({ name, value }) => {
      if (name === "resourcetype") return isSameId(resource.type, value);
      if (name === "name") return isSameId(resource.name, value);
      if (name === "location") return isSameId(resource.location, value);
      if (name === "resourcegroup") return resource.id.toLowerCase().includes(`/resourcegroups/${value.toLowerCase()}/`);
      return true;
    });
  });
}

function filteredGroups(groups: readonly ResourceGroup[], url: URL): readonly ResourceGroup[] {
  const tag = tagClause(clauses(url));
  return tag ? groups.filter((group) => hasTag(group.tags, tag)) : groups;
}

function tagClause(wanted: readonly { name: string; value: string }[]): { name: string; value: string | undefined } | undefined {
  const name = wanted.find((clause) => clause.name === "tagname")?.value;
  return name === undefined ? undefined : { name, value: wanted.find((clause) => clause.name === "tagvalue")?.value };
}

function hasTag(tags: Readonly<Record<string, string>> | undefined, tag: { name: string; value: string | undefined }): boolean {
  const found = Object.entries(tags ?? {}).find(([name]) => name.toLowerCase() === tag.name.toLowerCase());
  return found !== undefined && (tag.value === undefined || found[1] === tag.value);
}
