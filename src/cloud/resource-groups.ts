import { memoize } from "../base/memoize.ts";
import { normalizeLocation } from "../base/resource-id.ts";
import { type Arm, openArm } from "./arm.ts";
import type { CloudContext } from "./connection.ts";
import { fromSimplePoller } from "./operations.ts";

type Tags = Readonly<Record<string, string>>;

export interface ResourceGroup {
  readonly id: string;
  readonly name: string;
  /** Normalised, `eastus`. */
  readonly location: string;
  readonly tags: Tags;
}

interface ResourceSummary {
  readonly id: string;
  readonly name: string;
  /** `Microsoft.Web/sites` */
  readonly type: string;
  readonly tags: Tags;
}

interface Subscription {
  readonly subscriptionId: string;
  readonly displayName: string;
  readonly tenantId: string;
  /** `Enabled`, `Disabled`, `Warned`, … */
  readonly state: string;
}

export interface ResourceGroups {
  get(name: string): Promise<ResourceGroup | undefined>;
  put(name: string, desired: { readonly location: string; readonly tags: Tags }): Promise<ResourceGroup>;
  /** Everything in the group, of any provider. */
  resources(name: string): Promise<ResourceSummary[]>;
  /** Those of this type and name anywhere in the subscription, as far as the caller may see; one of the last minutes may be missing. */
  find(type: string, name: string): Promise<ResourceSummary[]>;
  /** Deletes the group with everything in it and waits for the end; absent already is fine. */
  delete(name: string): Promise<void>;
}

const DELETE_DEADLINE_MS = 30 * 60_000;

function toGroup(group: { id?: string; name?: string; location: string; tags?: Record<string, string> }): ResourceGroup {
  return { id: group.id ?? "", name: group.name ?? "", location: normalizeLocation(group.location), tags: group.tags ?? {} };
}

type WireResource = { id?: string; name?: string; type?: string; tags?: Record<string, string> };

async function summaries(resources: AsyncIterable<WireResource>): Promise<ResourceSummary[]> {
  const found: ResourceSummary[] = [];
  for await (const { id, name, type, tags } of resources) {
    found.push({ id: id ?? "", name: name ?? "", type: type ?? "", tags: tags ?? {} });
  }
  return found;
}

export function resourceGroups(arm: Arm): ResourceGroups {
  const { context, clientOptions } = arm;
  const client = memoize(async () => {
    const { ResourceManagementClient } = await import("@azure/arm-resources");
    return new ResourceManagementClient(context.credential, context.subscriptionId, clientOptions);
  });

  return {
    get: (name) => arm.orUndefined(`read the resource group ${name}`, async () => toGroup(await (await client()).resourceGroups.get(name))),
    put: (name, { location, tags }) =>
      arm.call(`put the resource group ${name}`, async () =>
        toGroup(await (await client()).resourceGroups.createOrUpdate(name, { location, tags: { ...tags } })),
      ),
    resources: (name) =>
      arm.call(`list the resources of ${name}`, async () => summaries((await client()).resources.listByResourceGroup(name))),
    find: (type, name) =>
      arm.call(`look for ${name}`, async () => {
        const filter = `resourceType eq '${type}' and name eq '${name.replaceAll("'", "''")}'`;
        return summaries((await client()).resources.list({ filter }));
      }),
    delete: async (name) => {
      const what = `delete the resource group ${name}`;
      await arm.orUndefined(what, async () => {
        const sdk = await client();
        await arm.operate(what, async () => fromSimplePoller(await sdk.resourceGroups.beginDelete(name)), {
          deadlineMs: DELETE_DEADLINE_MS,
        });
      });
    },
  };
}

interface WireSubscription {
  readonly subscriptionId: string;
  readonly displayName?: string;
  readonly tenantId?: string;
  readonly state?: string;
}

/** Subscriptions the credential can see. (`GET /subscriptions`, api-version 2022-12-01; arm-resources 7 no longer has this client.) */
export async function listSubscriptions(context: Omit<CloudContext, "subscriptionId">): Promise<Subscription[]> {
  const arm = openArm({ ...context, subscriptionId: "" });
  return arm.call("list your subscriptions", async () => {
    const found: Subscription[] = [];
    let next: string | undefined = "/subscriptions?api-version=2022-12-01";
    while (next) {
      const { body } = await arm.request("GET", next);
      const page = body as { value?: readonly WireSubscription[]; nextLink?: string };
      for (const { subscriptionId, displayName, tenantId, state } of page.value ?? []) {
        found.push({ subscriptionId, displayName: displayName ?? subscriptionId, tenantId: tenantId ?? "", state: state ?? "Enabled" });
      }
      next = page.nextLink;
    }
    return found;
  });
}
