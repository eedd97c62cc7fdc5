import type { Arm } from "./arm.ts";

interface SubscriptionState {
  /** `Enabled`, `Disabled`, `Warned`, … */
  readonly state: string;
  /** How far this machine's clock is ahead of Azure's, to the second; `undefined` when the answer had no date. */
  readonly clockAheadMs?: number;
}

/** What a region offers this subscription in flexible servers. */
interface RegionOffer {
  readonly isClosed: boolean;
  /** Azure's words for it. */
  readonly reason?: string;
  /** Names of the SKUs on offer; empty when the answer lists none. */
  readonly skus: readonly string[];
  /** Major versions on offer; empty when the answer lists none. */
  readonly versions: readonly string[];
}

/** The subscription itself. */
export interface Subscription {
  read(): Promise<SubscriptionState>;
  /** `Registered`, `Registering`, `NotRegistered`, `Unregistered`. */
  registrationOf(namespace: string): Promise<string>;
  /** Registers a resource provider and waits for the end, five minutes at most. */
  register(namespace: string): Promise<void>;
  /** Api-version 2025-08-01, `capabilities` of a location. A SKU on this list may still be refused at creation (no quota, no capacity). */
  offerOf(location: string): Promise<RegionOffer>;
  /** Quota of flexible servers in a location that is used up, in words. */
  usedUpQuota(location: string): Promise<string[]>;
}

interface WireCapability {
  readonly restricted?: string;
  readonly reason?: string | null;
  readonly supportedServerEditions?: readonly {
    readonly supportedServerSkus?: readonly { readonly name?: string; readonly status?: string }[];
  }[];
  readonly supportedServerVersions?: readonly { readonly name?: string; readonly status?: string }[];
}

interface WireUsage {
  readonly name?: { readonly value?: string; readonly localizedValue?: string };
  readonly currentValue?: number;
  readonly limit?: number;
}

const isOffered = ({ status }: { readonly status?: string }): boolean => status === undefined || /^(available|default)$/i.test(status);

export function subscription(arm: Arm): Subscription {
  const { clock, subscriptionId } = arm.context;
  const path = `/subscriptions/${subscriptionId}`;
  const postgres = (location: string): string => `${path}/providers/Microsoft.DBforPostgreSQL/locations/${encodeURIComponent(location)}`;
  return {
    read: () =>
      arm.call("read the subscription", async () => {
        const { body, header } = await arm.request("GET", `${path}?api-version=2022-12-01`);
        const date = Date.parse(header("date") ?? "");
        const state = (body as { state?: string } | undefined)?.state ?? "Enabled";
        return { state, ...(Number.isNaN(date) ? {} : { clockAheadMs: Math.round((clock.now() - date) / 1000) * 1000 }) };
      }),
    registrationOf: (namespace) =>
      arm.call(`read the registration of ${namespace}`, async () => {
        const { body } = await arm.request("GET", `${path}/providers/${namespace}?api-version=2021-04-01`);
        return (body as { registrationState?: string } | undefined)?.registrationState ?? "NotRegistered";
      }),
    register: (namespace) => arm.register(namespace),
    offerOf: (location) =>
      arm.call(`read what ${location} offers`, async () => {
        const { body } = await arm.request("GET", `${postgres(location)}/capabilities?api-version=2025-08-01`);
        const [offer] = (body as { value?: readonly WireCapability[] } | undefined)?.value ?? [];
        const skus = (offer?.supportedServerEditions ?? []).flatMap((edition) => edition.supportedServerSkus ?? []);
        return {
          isClosed: /^enabled$/i.test(offer?.restricted ?? ""),
          ...(offer?.reason ? { reason: offer.reason } : {}),
          skus: skus.filter(isOffered).map(({ name }) => name ?? ""),
          versions: (offer?.supportedServerVersions ?? []).filter(isOffered).map(({ name }) => name ?? ""),
        };
      }),
    usedUpQuota: (location) =>
      arm.call(`read the quota of ${location}`, async () => {
        const { body } = await arm.request("GET", `${postgres(location)}/resourceType/flexibleServers/usages?api-version=2025-08-01`);
        const usages = (body as { value?: readonly WireUsage[] } | undefined)?.value ?? [];
        return usages
          .filter(({ currentValue = 0, limit = Number.POSITIVE_INFINITY }) => limit >= 0 && currentValue >= limit)
          .map(({ name, currentValue, limit }) => `${name?.localizedValue ?? name?.value ?? "quota"}: ${currentValue} of ${limit}`);
      }),
  };
}
