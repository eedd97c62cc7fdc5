import type { Service } from "../../platform.ts";
import type { Collection, Store } from "../../store.ts";
import { locations } from "./locations.ts";

type RegistrationState = "Registered" | "Registering" | "Unregistered";

export interface ProviderView {
  readonly namespace: string;
  readonly state: RegistrationState;
  readonly resourceTypes: readonly { readonly type: string; readonly apiVersions: readonly string[] }[];
}

/** Resource providers and their registration in the one subscription. All are registered from the start. */
export interface Providers {
  list(): readonly ProviderView[];
  find(namespace: string): ProviderView | undefined;
  register(namespace: string): void;
  unregister(namespace: string): void;
  /** A reader saw `Registering`: the next one sees `Registered`. */
  advance(namespace: string): void;
}

/** Known to Azure without routes of their own here. */
const OTHERS = ["Microsoft.Insights", "Microsoft.OperationalInsights", "Microsoft.Authorization", "Microsoft.Storage"];

export function createProviders(store: Store, services: () => readonly Service[]): Providers {
  const states: Collection<{ state: RegistrationState }> = store.collection("providers");
  const view = (namespace: string, service: Service | undefined): ProviderView => ({
    namespace,
    state: states.get(namespace)?.state ?? "Registered",
    resourceTypes: service ? typesOf(service) : [],
  });
  const list = (): readonly ProviderView[] => {
    const known = services().filter((service) => service.namespace.startsWith("Microsoft."));
    const others = OTHERS.filter((namespace) => !known.some((service) => isSame(service.namespace, namespace)));
    return [...known.map((service) => view(service.namespace, service)), ...others.map((namespace) => view(namespace, undefined))];
  };
  return {
    list,
    find: (namespace) => list().find((provider) => isSame(provider.namespace, namespace)),
    register: (namespace) => {
      if (states.get(namespace)?.state === "Unregistered") states.set(namespace, { state: "Registering" });
    },
    unregister: (namespace) => states.set(namespace, { state: "Unregistered" }),
    advance: (namespace) => {
      if (states.get(namespace)?.state === "Registering") states.set(namespace, { state: "Registered" });
    },
  };
}

/** Resource types as the routes spell them: `sites`, `sites/slots`. */
function typesOf(service: Service): { type: string; apiVersions: readonly string[] }[] {
  const types = new Set<string>();
  for (const { path, isUnlisted } of service.routes) {
    if (isUnlisted) continue;
    const after = path.split(`/providers/${service.namespace}/`).at(1);
    if (!after) continue;
    const type = after.split("/").filter((segment, index) => index % 2 === 0 && !segment.startsWith("{"));
    if (type.length > 0) types.add(type.join("/"));
  }
  return [...types].map((type) => ({ type, apiVersions: service.apiVersions }));
}

/** ARM's JSON for a provider (learn.microsoft.com/rest/api/resources/providers/get, 2025-04-01). */
export function providerToWire(provider: ProviderView, subscriptionId: string): object {
  return {
    id: `/subscriptions/${subscriptionId}/providers/${provider.namespace}`,
    namespace: provider.namespace,
    resourceTypes: provider.resourceTypes.map(({ type, apiVersions }) => ({
      resourceType: type,
      locations: locations.map(({ displayName }) => displayName),
      apiVersions,
      capabilities: "None",
    })),
    registrationState: provider.state,
    registrationPolicy: "RegistrationRequired",
  };
}

function isSame(left: string, right: string): boolean {
  return left.toLowerCase() === right.toLowerCase();
}
