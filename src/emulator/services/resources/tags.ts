import { isSameId } from "../../../base/resource-id.ts";
import { armFront } from "../../http/arm-error.ts";
import { createRouter, type EmulatorRequest, empty, json, type Route, route } from "../../http/router.ts";
import type { Platform, ResourceSummary, Service } from "../../platform.ts";
import { groupsOf, requireKnownGroup } from "./groups.ts";

type Tags = Readonly<Record<string, string>>;

/** What carries tags: a resource group or a resource in one. */
interface Tagged {
  readonly id: string;
  readonly tags: Tags;
}

const AT_SCOPE = "/{scope...}/providers/Microsoft.Resources/tags/default";

/**
 * Tags of a resource group or a resource as a resource of their own (`az tag`): learn.microsoft.com/rest/api/resources/tags.
 * A write goes on as the PATCH of what is tagged; that a flexible server takes it while it is still at work is inferred.
 */
export function tagRoutes(platform: Platform, services: () => readonly Service[]): readonly Route[] {
  const resources = (): readonly ResourceSummary[] =>
    groupsOf(platform)
      .list()
      .flatMap((group) => services().flatMap((service) => service.resources?.(group.id) ?? []));
  const find = ({ params }: EmulatorRequest): Tagged => {
    const id = `/${params.scope}`;
    const resource = resources().find((known) => isSameId(known.id, id));
    if (resource) return { id: resource.id, tags: resource.tags ?? {} };
    const group = requireKnownGroup(platform, id);
    if (isSameId(group.id, id)) return { id: group.id, tags: group.tags ?? {} };
    throw armFront(404, "ResourceNotFound", `The resource '${id}' was not found.`); // text inferred
  };
  const toWire = ({ id }: Tagged, tags: Tags): object => ({
    id: `${id}/providers/Microsoft.Resources/tags/default`,
    name: "default",
    type: "Microsoft.Resources/tags",
    properties: { tags },
  });
  const write = async (request: EmulatorRequest, tags: Tags): Promise<Response> => {
    const tagged = find(request);
    const service = services().find(({ routes }) => createRouter(routes).find("PATCH", tagged.id));
    const match = service && createRouter(service.routes).find("PATCH", tagged.id);
    if (!match) throw armFront(501, "NotImplementedByLocalAzure", `Local Azure has no tags on '${tagged.id}'.`);
    const apiVersion = service.apiVersions.at(-1) ?? request.apiVersion;
    const answer = await match.route.handle({ ...request, method: "PATCH", params: match.params, body: { tags }, apiVersion });
    return answer.ok ? json(200, toWire(tagged, tags)) : answer;
  };
  return [
    route("GET", AT_SCOPE, "documentation", (request) => {
      const tagged = find(request);
      return json(200, toWire(tagged, tagged.tags));
    }),
    route("PUT", AT_SCOPE, "documentation", (request) => write(request, tagsOf(request.body))),
    route("PATCH", AT_SCOPE, "documentation", (request) => {
      const operation = String((request.body as { operation?: unknown } | undefined)?.operation ?? "Merge").toLowerCase();
      const [before, given] = [find(request).tags, tagsOf(request.body)];
      const without = Object.fromEntries(Object.entries(before).filter(([name, value]) => given[name] !== value));
      return write(request, operation === "delete" ? without : operation === "replace" ? given : { ...before, ...given });
    }),
    route("DELETE", AT_SCOPE, "documentation", async (request) => {
      const answer = await write(request, {});
      return answer.ok ? empty(200) : answer;
    }),
    route("GET", "/subscriptions/{subscription}/tagNames", "documentation", ({ params }) => {
      const all = [...groupsOf(platform).list(), ...resources()].flatMap(({ tags }) => Object.entries(tags ?? {}));
      return json(200, { value: [...new Set(all.map(([name]) => name))].map((name) => tagName(name, all, params.subscription ?? "")) });
    }),
  ];
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

function tagsOf(body: unknown): Tags {
  const tags = (body as { properties?: { tags?: unknown } } | undefined)?.properties?.tags;
  if (typeof tags !== "object" || tags === null) return {};
  return Object.fromEntries(Object.entries(tags).map(([name, value]) => [name, String(value)]));
}
