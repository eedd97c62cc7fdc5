import { normalizeLocation } from "../base/resource-id.ts";
import type { Arm } from "./arm.ts";

/** A user-assigned managed identity. Made anew under its name it is another one: other principal, other client ID. */
interface UserIdentity {
  readonly id: string;
  readonly name: string;
  /** Normalised, `eastus`. */
  readonly location: string;
  /** Object ID of its service principal. */
  readonly principalId: string;
  readonly clientId: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** Microsoft.ManagedIdentity/userAssignedIdentities, by resource ID: they may lie in another resource group or subscription. */
export interface ManagedIdentities {
  get(id: string): Promise<UserIdentity | undefined>;
  /** Creates it, or keeps the one that is there and replaces its tags. */
  put(id: string, desired: { readonly location: string; readonly tags: Readonly<Record<string, string>> }): Promise<UserIdentity>;
  /** Absent already is fine. What it is assigned to keeps naming it. */
  delete(id: string): Promise<void>;
}

const API_VERSION = "api-version=2023-01-31";

interface WireIdentity {
  readonly id?: string;
  readonly name?: string;
  readonly location?: string;
  readonly tags?: Readonly<Record<string, string>> | null;
  readonly properties?: { readonly principalId?: string; readonly clientId?: string };
}

function toIdentity(body: unknown): UserIdentity {
  const { id, name, location, tags, properties } = (body ?? {}) as WireIdentity;
  return {
    id: id ?? "",
    name: name ?? "",
    location: normalizeLocation(location ?? ""),
    principalId: properties?.principalId ?? "",
    clientId: properties?.clientId ?? "",
    tags: tags ?? {},
  };
}

/** Without an SDK: three requests that answer at once (azure-rest-api-specs, specification/msi, 2023-01-31). */
export function managedIdentities(arm: Arm): ManagedIdentities {
  const path = (id: string): string => `${id.split("/").map(encodeURIComponent).join("/")}?${API_VERSION}`;
  const nameOf = (id: string): string => id.split("/").at(-1) ?? id;
  return {
    get: (id) =>
      arm.orUndefined(`read the managed identity ${nameOf(id)}`, async () => toIdentity((await arm.request("GET", path(id))).body)),
    put: (id, { location, tags }) =>
      arm.call(`create the managed identity ${nameOf(id)}`, async () =>
        toIdentity((await arm.request("PUT", path(id), { location, tags })).body),
      ),
    delete: async (id) => {
      await arm.orUndefined(`delete the managed identity ${nameOf(id)}`, () => arm.request("DELETE", path(id)));
    },
  };
}
