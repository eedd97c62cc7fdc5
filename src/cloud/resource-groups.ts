import type { CloudContext } from "./connection.ts";

export interface ResourceGroup {
  readonly id: string;
  readonly name: string;
  /** Normalised, `eastus`. */
  readonly location: string;
  readonly tags: Readonly<Record<string, string>>;
}

export interface ResourceSummary {
  readonly id: string;
  readonly name: string;
  /** `Microsoft.Web/sites` */
  readonly type: string;
  readonly tags: Readonly<Record<string, string>>;
}

export interface Subscription {
  readonly subscriptionId: string;
  readonly displayName: string;
  readonly tenantId: string;
  /** `Enabled`, `Disabled`, `Warned`, … */
  readonly state: string;
}

export interface ResourceGroups {
  get(name: string): Promise<ResourceGroup | undefined>;
  put(name: string, desired: { readonly location: string; readonly tags: Readonly<Record<string, string>> }): Promise<ResourceGroup>;
  /** Everything in the group, of any provider. */
  resources(name: string): Promise<ResourceSummary[]>;
  /** Deletes the group with everything in it and waits for the end; absent already is fine. */
  delete(name: string): Promise<void>;
}

/** Subscriptions the credential can see; works with any text as `subscriptionId`. */
export async function listSubscriptions(_context: Omit<CloudContext, "subscriptionId">): Promise<Subscription[]> {
  throw new Error("not written yet");
}
