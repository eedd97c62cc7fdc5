import { isSameId } from "../../../base/resource-id.ts";
import { armError } from "../../http/arm-error.ts";
import type { BodyShape } from "../../http/body-shape.ts";
import { propertiesOf } from "../../http/properties-of.ts";
import { type EmulatorRequest, empty, json, type Route, route } from "../../http/router.ts";
import type { Platform, ResourceSummary, Service } from "../../platform.ts";
import { groupsOf, requireGroup, requireKnownGroup } from "./groups.ts";

type Tags = Readonly<Record<string, string>>;

/** What carries tags: a resource group or a resource in one. */
interface Tagged {
  readonly id: string;
  readonly tags: Tags;
  setTags(tags: Tags): void;
}

const tagsBody: BodyShape = { operation: "text", "properties.tags": "object" };

const AT_SCOPE = "/{scope...}/providers/Microsoft.Resources/tags/default";

/**
 * Tags of a resource group or a resource as a resource of their own (`az tag`): learn.microsoft.com/rest/api/resources/tags.
 * A write changes what is tagged, with no right needed but that to its tags.
 */
export function tagRoutes(platform: Platform, services: () => readonly Service[]): readonly Route[] {
  const resources = (): readonly Tagged[] =>
    groupsOf(platform)
      .list()
      .flatMap((group) => services().flatMap((service) => (service.resources?.(group.id) ?? []).map(toTagged(service))));
  const find = ({ params }: EmulatorRequest): Tagged => {
    const id = `/${params.scope}`;
    const resource = resources().find((known) => isSameId(known.id, id));
    if (resource) return resource;
    const group = requireKnownGroup(platform, id);
    const setTags = (tags: Tags): void => groupsOf(platform).set(group.id, { ...requireGroup(platform, group.id), tags });
    if (isSameId(group.id, id)) return { id: group.id, tags: group.tags ?? {}, setTags };
    throw armError(404, "ResourceNotFound", `The resource '${id}' was not found.`); // text inferred
  };
  const toWire = ({ id }: Tagged, tags: Tags): object => ({
    id: `${id}/providers/Microsoft.Resources/tags/default`,
    name: "default",
    type: "Microsoft.Resources/tags",
    properties: { tags },
  });
  const write = (tagged: Tagged, tags: Tags): Response => {
    tagged.setTags(tags);
    return json(200, toWire(tagged, tags));
  };
  return [
    route("GET", AT_SCOPE, "documentation", (request) => {
      const tagged = find(request);
      return json(200, toWire(tagged, tagged.tags));
    }),
    route("PUT", AT_SCOPE, "documentation", tagsBody, (request) => write(find(request), tagsOf(request))),
    route("PATCH", AT_SCOPE, "documentation", tagsBody, (request) => {
      const operation = String((request.body as { operation?: unknown } | undefined)?.operation ?? "Merge").toLowerCase();
      const [tagged, given] = [find(request), tagsOf(request)];
      const before = tagged.tags;
      const without = Object.fromEntries(Object.entries(before).filter(([name, value]) => given[name] !== value));
      return write(tagged, operation === "delete" ? without : operation === "replace" ? given : { ...before, ...given });
    }),
    route("DELETE", AT_SCOPE, "documentation", (request) => {
      find(request).setTags({});
      return empty(200);
    }),
    route("GET", "/subscriptions/{subscription}/tagNames", "documentation", ({ params }) => {
      const all = [...groupsOf(platform).list(), ...resources()].flatMap(({ tags }) => Object.entries(tags ?? {}));
      return json(200, { value: [...new Set(all.map(([name]) => name))].map((name) => tagName(name, all, params.subscription ?? "")) });
    }),
  ];
}

function toTagged({ setTags }: Service): (resource: ResourceSummary) => Tagged {
  return ({ id, tags = {} }) => ({
    id,
    tags,
    setTags: (next) => {
      if (!setTags) throw armError(501, "NotImplementedByLocalAzure", `Local Azure has no tags on '${id}'.`);
      setTags(id, next);
    },
  });
}

function tagName(name: string, all: readonly (readonly [string, string])[], subscription: string): object {
  const id = `/subscriptions/${subscription}/tagNames/${name}`;
  const values = all.filter(([known]) => known === name).map(([, value]) => value);
  const count = (value: number): object => ({ type: "Total", value });
  return {
    id,
    tagName: name,
    count: count(values.length),
    values: [...new Set(values)].map((value) => ({
      id: `${id}/tagValues/${value}`,
      tagValue: value,
      count: count(values.filter((other) => other === value).length),
    })),
  };
}

function tagsOf(request: EmulatorRequest): Tags {
  const tags = propertiesOf<{ tags: Readonly<Record<string, unknown>> }>(request).tags ?? {};
  return Object.fromEntries(Object.entries(tags).map(([name, value]) => [name, String(value)]));
}
