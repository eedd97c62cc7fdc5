import { KnownError } from "../base/errors.ts";
import { isSameId } from "../base/resource-id.ts";
import type { Cloud } from "../cloud/cloud.ts";
import { ownerTag, type Setup } from "../project/setup.ts";
import type { DatabaseDoor } from "./database-door.ts";
import { administratorLogin } from "./entra-administrator.ts";

const identityType = "microsoft.managedidentity/userassignedidentities";

/** One thing that `down` would take away. */
export interface Removal {
  readonly what: string;
  readonly why: string;
  remove(): Promise<void>;
}

/**
 * What this project created, in the order of removal: nothing without the project's tag, and nothing that something foreign lives in.
 * The resource group goes only when it carries the tag and holds nothing foreign; then it takes everything with it.
 */
export async function planRemoval(setup: Setup, cloud: Cloud, door: DatabaseDoor): Promise<{ removals: Removal[]; kept: string[] }> {
  const name = setup.resourceGroup;
  const group = await cloud.resourceGroups.get(name);
  if (!group) return { removals: [], kept: [] };
  const resources = await cloud.resourceGroups.resources(name);
  const isOurs = (tags: Readonly<Record<string, string>>): boolean => tags[ownerTag] === setup.owner;
  const foreign = resources.filter(({ tags }) => !isOurs(tags));
  const kept = foreign.map((resource) => `${resource.type} ${resource.name}`);
  if (isOurs(group.tags) && foreign.length === 0) {
    const inside = resources.map((resource) => `${resource.type.split("/").pop()} ${resource.name}`).join(", ");
    return {
      removals: [
        { what: `resource group ${name}`, why: inside ? `with ${inside}` : "empty", remove: () => cloud.resourceGroups.delete(name) },
      ],
      kept: [],
    };
  }
  if (isOurs(group.tags)) kept.push(`resource group ${name} (it holds things this project did not create)`);

  const has = (type: string, resource: string): boolean =>
    resources.some(
      (entry) =>
        entry.type.toLowerCase() === type.toLowerCase() && entry.name.toLowerCase() === resource.toLowerCase() && isOurs(entry.tags),
    );
  const removals: Removal[] = [];
  const isServerOurs = has("Microsoft.DBforPostgreSQL/flexibleServers", setup.server.name);
  for (const app of setup.apps) {
    if (has("Microsoft.Web/sites", app.name)) {
      // Before the web app: its tag is what says that the role is ours, also to a second run.
      if (!isServerOurs) removals.push(roleRemoval(setup, cloud, door, app.role));
      removals.push({
        what: `web app ${app.name}`,
        why: "created by this project",
        remove: () => tolerant(cloud.webApps.delete(name, app.name)),
      });
    }
    if (has("Microsoft.Web/serverfarms", app.plan.name)) {
      const plan = await cloud.webApps.getPlan(name, app.plan.name);
      const others = (await cloud.webApps.list(name)).filter((site) => plan && isSameId(site.planId, plan.id) && !isOurs(site.tags));
      if (others.length > 0) {
        kept.push(
          `App Service plan ${app.plan.name} (it runs ${others.map((site) => site.name).join(", ")}, which this project did not create)`,
        );
        continue;
      }
      removals.push({
        what: `App Service plan ${app.plan.name}`,
        why: "created by this project",
        remove: () => tolerant(cloud.webApps.deletePlan(name, app.plan.name)),
      });
    }
  }
  for (const identity of resources.filter(({ type, tags }) => type.toLowerCase() === identityType && isOurs(tags))) {
    const users = (await cloud.webApps.list(name)).filter(
      (site) => !isOurs(site.tags) && site.userIdentities.some(({ id }) => isSameId(id, identity.id)),
    );
    if (users.length > 0) {
      kept.push(
        `managed identity ${identity.name} (${users.map((site) => site.name).join(", ")} has it, which this project did not create)`,
      );
      continue;
    }
    removals.push({
      what: `managed identity ${identity.name}`,
      why: "created by this project",
      remove: () => cloud.managedIdentities.delete(identity.id),
    });
  }
  if (isServerOurs) {
    removals.push({
      what: `flexible server ${setup.server.name}`,
      why: "created by this project, with all its databases",
      remove: () => tolerant(cloud.postgresServers.delete(name, setup.server.name)),
    });
  }
  return { removals, kept };
}

/** The role of an app on somebody else's server: what it owns goes to the administrator. */
function roleRemoval(setup: Setup, cloud: Cloud, door: DatabaseDoor, role: string): Removal {
  return {
    what: `database role ${role}`,
    why: "its web app goes",
    remove: async () => {
      const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
      if (!server) return;
      const login = await administratorLogin({ cloud, door, group: setup.resourceGroup }, server);
      await door.through(server, () => cloud.principals.drop(server, login, { role, databases: [setup.database] }));
    },
  };
}

async function tolerant(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof KnownError) || error.code !== "azure/not-found") throw error;
  }
}
