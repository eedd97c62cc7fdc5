/** The parts of an ARM resource ID below a resource group: `/subscriptions/{s}/resourceGroups/{g}/providers/{namespace}/{type}/{name}/…`. */
export interface ResourceId {
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  /** `Microsoft.Web`; empty for a resource group itself. */
  readonly namespace: string;
  /** Type and name in turn, `["sites", "shop", "slots", "staging"]`. */
  readonly path: readonly string[];
}

const PATTERN = /^\/subscriptions\/([^/]+)\/resourceGroups\/([^/]+)(?:\/providers\/([^/]+)\/(.+))?$/i;

/** Reads an ARM resource ID; `undefined` when the text is none. Names keep their case; Azure compares IDs without case. */
export function parseResourceId(id: string): ResourceId | undefined {
  const match = PATTERN.exec(id.replace(/\/+$/, ""));
  if (!match?.[1] || !match[2]) return undefined;
  return {
    subscriptionId: match[1],
    resourceGroup: match[2],
    namespace: match[3] ?? "",
    path: match[4]?.split("/") ?? [],
  };
}

export function resourceGroupId(subscriptionId: string, resourceGroup: string): string {
  return `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}`;
}

/** `resourceId(group, "Microsoft.Web", "sites", "shop")` */
export function resourceId(groupId: string, namespace: string, ...path: readonly string[]): string {
  return `${groupId}/providers/${namespace}/${path.join("/")}`;
}

export function isSameId(left: string, right: string): boolean {
  return left.replace(/^\/*|\/+$/g, "").toLowerCase() === right.replace(/^\/*|\/+$/g, "").toLowerCase();
}

/** `East US 2` and `eastus2` are one location; ARM answers with either form. */
export function normalizeLocation(location: string): string {
  return location.replace(/\s+/g, "").toLowerCase();
}
