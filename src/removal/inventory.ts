import { memoize } from "../base/memoize.ts";
import { siteName } from "../base/site-address.ts";
import type { Site } from "../cloud/app-service/sites.ts";
import type { Cloud } from "../cloud/cloud.ts";
import type { Databases } from "../cloud/database/databases.ts";
import type { FirewallAccess } from "../cloud/firewall-access.ts";
import type { ResourceGroup } from "../cloud/resource-groups.ts";
import { ownerTag, type Setup } from "../project/setup.ts";
import { adoptionTagName } from "../steps/adoption.ts";

/** One resource of the group, as Azure lists them. */
export type Resource = Awaited<ReturnType<Cloud["resourceGroups"]["resources"]>>[number];

/** What is in the project's resource group, and whose it is. */
export interface Inventory {
  readonly setup: Setup;
  readonly cloud: Cloud;
  readonly databases: Databases;
  /** Name of the resource group. */
  readonly group: string;
  readonly isGroupOurs: boolean;
  /** Those of the project, by its tag; those of the file first. */
  readonly ours: readonly Resource[];
  readonly foreign: readonly Resource[];
  /** The server of the project file, whoever made it. */
  readonly server: Resource | undefined;
  /** Name of the tag with which the project says on somebody else's server that it works there. */
  readonly tag: string;
  isOurs(tagged: { readonly tags: Readonly<Record<string, string>> }): boolean;
  /** All web apps of the group, asked for once. */
  sites(): Promise<Site[]>;
}

/** `undefined`: there is no such group. */
export async function takeInventory(setup: Setup, cloud: Cloud, firewallAccess: FirewallAccess): Promise<Inventory | undefined> {
  const found: ResourceGroup | undefined = await cloud.resourceGroups.get(setup.resourceGroup);
  if (!found) return undefined;
  const resources = await cloud.resourceGroups.resources(found.name);
  const isOurs: Inventory["isOurs"] = ({ tags }) => tags[ownerTag] === setup.owner;
  const fileOrder = ({ name }: Resource): number => {
    const index = setup.sites.findIndex(({ address }) => siteName(address).toLowerCase() === name.toLowerCase());
    return index < 0 ? setup.sites.length : index;
  };
  return {
    setup,
    cloud,
    databases: cloud.databases(firewallAccess),
    group: setup.resourceGroup,
    isGroupOurs: isOurs(found),
    ours: resources.filter(isOurs).sort((left, right) => fileOrder(left) - fileOrder(right)),
    foreign: resources.filter((resource) => !isOurs(resource)),
    server: resources.find((one) => isServer(one) && one.name.toLowerCase() === setup.server.name.toLowerCase()),
    tag: adoptionTagName(setup),
    isOurs,
    sites: memoize(() => cloud.sites.list(setup.resourceGroup)),
  };
}

function isServer({ type }: Resource): boolean {
  return type.toLowerCase() === "microsoft.dbforpostgresql/flexibleservers";
}
