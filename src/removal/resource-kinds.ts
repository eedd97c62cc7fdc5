import { KnownError } from "../base/errors.ts";
import { isSameId } from "../base/resource-id.ts";
import { siteName } from "../base/site-address.ts";
import type { Site } from "../cloud/app-service/sites.ts";
import { otherProjects } from "../steps/adoption.ts";
import type { Inventory, Resource } from "./inventory.ts";

/** The types of resources that steps create in the project's group, in the order of their removal; in lower case, as Azure compares them. */
export type OwnedType =
  | "microsoft.web/sites"
  | "microsoft.web/serverfarms"
  | "microsoft.managedidentity/userassignedidentities"
  | "microsoft.dbforpostgresql/flexibleservers";

interface ResourceKind {
  /** As people call it: `web app`. */
  readonly label: string;
  /** Its identity signs in to the database under a role named as it. */
  readonly hasRole?: true;
  /** Why it is the project's to remove, where that is not all there is to say. */
  why?(inventory: Inventory, resource: Resource): string;
  /** What of others lives in it, as a reason to keep it; `undefined` when nothing does. */
  usedBy?(inventory: Inventory, resource: Resource): Promise<string | undefined>;
  /** Waits for the end; absent already is fine. */
  remove(inventory: Inventory, resource: Resource): Promise<void>;
}

/** What `down` and `doctor` know of each type. One that is not here is never removed, and that is told. */
export const resourceKinds: Readonly<Record<OwnedType, ResourceKind>> = {
  "microsoft.web/sites": {
    label: "web app",
    hasRole: true,
    why: ({ setup }, { name }) =>
      setup.sites.some(({ address }) => siteName(address).toLowerCase() === name.toLowerCase())
        ? created
        : `${created}, no longer in its file`,
    remove: ({ cloud, group }, { name }) => orAbsent(cloud.sites.at({ group, app: name }).delete()),
  },
  "microsoft.web/serverfarms": {
    label: "App Service plan",
    usedBy: async (inventory, { id }) => {
      const names = await strangersAmong(inventory, (site) => isSameId(site.planId, id));
      return names && `it runs ${names}, which this project did not create`;
    },
    remove: ({ cloud, group }, { name }) => orAbsent(cloud.plans.delete(group, name)),
  },
  "microsoft.managedidentity/userassignedidentities": {
    label: "managed identity",
    usedBy: async (inventory, { id }) => {
      const names = await strangersAmong(inventory, (site) => site.userIdentities.some((one) => isSameId(one.id, id)));
      return names && `${names} has it, which this project did not create`;
    },
    remove: ({ cloud }, { id }) => cloud.managedIdentities.delete(id),
  },
  "microsoft.dbforpostgresql/flexibleservers": {
    label: "flexible server",
    why: () => `${created}, with all its databases`,
    usedBy: async ({ tag }, { tags }) => {
      const others = otherProjects(tag, tags);
      return others.length === 0 ? undefined : `also in use by the project ${others.join(", ")}`;
    },
    remove: ({ cloud, group }, { name }) => orAbsent(cloud.postgresServers.delete(group, name)),
  },
};

/** Why most of it goes. */
export const created = "created by this project";

/** The kind of a resource as Azure lists it; `undefined` for one that this version does not know. */
export function kindOf({ type }: Pick<Resource, "type">): ResourceKind | undefined {
  const key = type.toLowerCase();
  return Object.hasOwn(resourceKinds, key) ? resourceKinds[key as OwnedType] : undefined;
}

/** Names of the web apps of others that this is so of; `undefined` when there is none. */
async function strangersAmong({ sites, isOurs }: Inventory, isSo: (site: Site) => boolean): Promise<string | undefined> {
  const found = (await sites()).filter((site) => !isOurs(site) && isSo(site));
  return found.map(({ name }) => name).join(", ") || undefined;
}

/** Gone already is gone. */
export async function orAbsent(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof KnownError) || error.code !== "azure/not-found") throw error;
  }
}
