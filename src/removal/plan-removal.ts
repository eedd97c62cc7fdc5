import type { Cloud } from "../cloud/cloud.ts";
import type { FirewallAccess } from "../cloud/firewall-access.ts";
import type { Setup } from "../project/setup.ts";
import { planAdoptionRemoval } from "./adoption-removal.ts";
import { type Inventory, type Resource, takeInventory } from "./inventory.ts";
import type { Removal, RemovalPlan } from "./removal.ts";
import { created, kindOf, resourceKinds } from "./resource-kinds.ts";
import { roleRemoval } from "./role-removal.ts";

const nothing: RemovalPlan = { removals: [], kept: [] };

/**
 * What this project created, in the order of removal: nothing without the project's tag, and nothing that something foreign lives in.
 * On somebody else's server: what the project noted in its tag there (`steps/adoption.ts`).
 * The resource group goes only when it carries the tag and holds nothing foreign; then it takes everything with it.
 */
export async function planRemoval(setup: Setup, cloud: Cloud, firewallAccess: FirewallAccess): Promise<RemovalPlan> {
  const inventory = await takeInventory(setup, cloud, firewallAccess);
  if (!inventory) return nothing;
  const { server, isOurs, isGroupOurs, group } = inventory;
  const serverStays = server !== undefined && (!isOurs(server) || (await whyKept(inventory, server)) !== undefined);
  if (isGroupOurs && inventory.foreign.length === 0 && !serverStays) return { removals: [groupRemoval(inventory)], kept: [] };
  const parts = [
    { removals: [], kept: inventory.foreign.map(({ type, name }) => `${type} ${name}`) },
    isGroupOurs ? { removals: [], kept: [`resource group ${group} (it holds things that stay)`] } : nothing,
    ...(await Promise.all(inRemovalOrder(inventory).map((resource) => planOne(inventory, resource, serverStays)))),
    server && !isOurs(server) ? await planAdoptionRemoval(inventory, server) : nothing,
  ];
  return { removals: parts.flatMap(({ removals }) => removals), kept: parts.flatMap(({ kept }) => kept) };
}

function groupRemoval({ group, ours, cloud }: Inventory): Removal {
  const inside = ours.map(({ type, name }) => `${type.split("/").pop()} ${name}`).join(", ");
  return { what: `resource group ${group}`, why: inside ? `with ${inside}` : "empty", remove: () => cloud.resourceGroups.delete(group) };
}

/** Those of types that this version does not know stand first: they are kept. */
function inRemovalOrder({ ours }: Inventory): Resource[] {
  const types = Object.keys(resourceKinds);
  return [...ours].sort((left, right) => types.indexOf(left.type.toLowerCase()) - types.indexOf(right.type.toLowerCase()));
}

async function planOne(inventory: Inventory, resource: Resource, serverStays: boolean): Promise<RemovalPlan> {
  const kind = kindOf(resource);
  const what = `${kind?.label ?? resource.type} ${resource.name}`;
  const reason = await whyKept(inventory, resource);
  if (!kind || reason !== undefined) return { removals: [], kept: [`${what} (${reason})`] };
  const own: Removal = { what, why: kind.why?.(inventory, resource) ?? created, remove: () => kind.remove(inventory, resource) };
  // Before what signs in as it: its tag is what says that the role is ours, also to a second run.
  return { removals: kind.hasRole && serverStays ? [roleRemoval(inventory, resource.name), own] : [own], kept: [] };
}

/** Why one of the project's resources stays; `undefined` when it may go. */
async function whyKept(inventory: Inventory, resource: Resource): Promise<string | undefined> {
  const kind = kindOf(resource);
  return kind ? kind.usedBy?.(inventory, resource) : "this version does not know how to remove it";
}
