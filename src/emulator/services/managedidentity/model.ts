import type { Platform } from "../../platform.ts";
import type { Collection } from "../../store.ts";

/** A user-assigned identity as the store keeps it. Its client ID is that of its principal in the directory. */
export interface Identity {
  readonly id: string;
  readonly name: string;
  readonly resourceGroup: string;
  /** Normalised, `eastus`. */
  readonly location: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** Object ID of its service principal: another one after it was deleted and made again. */
  readonly principalId: string;
}

/** User-assigned identities by resource ID. */
export function identitiesOf(platform: Pick<Platform, "store">): Collection<Identity> {
  return platform.store.collection<Identity>("managed-identities");
}

/** 3 to 128 letters, digits, hyphens and underscores, beginning with a letter or digit (Azure's resource name rules). */
export function isIdentityName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_-]{2,127}$/.test(name);
}
