import { KnownError } from "../base/errors.ts";
import { isSameId } from "../base/resource-id.ts";
import type { Cloud } from "../cloud/cloud.ts";
import { placeholderOf } from "../cloud/database/ownership.ts";
import type { FirewallAccess } from "../cloud/firewall-access.ts";
import type { PostgresServer } from "../cloud/postgres-servers.ts";
import { ownerTag, type Setup } from "../project/setup.ts";
import { adoptionTagName, otherProjects, parseAdoptionTag } from "../steps/adoption.ts";
import { administratorLogin } from "../steps/entra-administrator.ts";

const serverType = "microsoft.dbforpostgresql/flexibleservers";
const siteType = "microsoft.web/sites";
const planType = "microsoft.web/serverfarms";
const identityType = "microsoft.managedidentity/userassignedidentities";

/** One thing that `down` would take away. */
export interface Removal {
  readonly what: string;
  readonly why: string;
  remove(): Promise<void>;
}

/**
 * What this project created, in the order of removal: nothing without the project's tag, and nothing that something foreign lives in.
 * On somebody else's server: what the project noted in its tag there (`steps/adoption.ts`).
 * The resource group goes only when it carries the tag and holds nothing foreign; then it takes everything with it.
 */
export async function planRemoval(
  setup: Setup,
  cloud: Cloud,
  firewallAccess: FirewallAccess,
): Promise<{ removals: Removal[]; kept: string[] }> {
  const name = setup.resourceGroup;
  const group = await cloud.resourceGroups.get(name);
  if (!group) return { removals: [], kept: [] };
  const resources = await cloud.resourceGroups.resources(name);
  const isOurs = (tags: Readonly<Record<string, string>>): boolean => tags[ownerTag] === setup.owner;
  const foreign = resources.filter(({ tags }) => !isOurs(tags));
  const kept = foreign.map((resource) => `${resource.type} ${resource.name}`);
  const server = resources.find(
    (one) => one.type.toLowerCase() === serverType && one.name.toLowerCase() === setup.server.name.toLowerCase(),
  );
  const tag = adoptionTagName(setup);
  const others = server ? otherProjects(tag, server.tags) : [];
  const isServerOurs = server !== undefined && isOurs(server.tags);
  const serverGoes = isServerOurs && others.length === 0;
  if (isServerOurs && !serverGoes) kept.push(`flexible server ${server.name} (also in use by the project ${others.join(", ")})`);
  if (isOurs(group.tags) && foreign.length === 0 && (serverGoes || !server)) {
    const inside = resources.map((resource) => `${resource.type.split("/").pop()} ${resource.name}`).join(", ");
    return {
      removals: [
        { what: `resource group ${name}`, why: inside ? `with ${inside}` : "empty", remove: () => cloud.resourceGroups.delete(name) },
      ],
      kept: [],
    };
  }
  if (isOurs(group.tags)) kept.push(`resource group ${name} (it holds things that stay)`);

  const has = (type: string, resource: string): boolean =>
    resources.some(
      (entry) =>
        entry.type.toLowerCase() === type.toLowerCase() && entry.name.toLowerCase() === resource.toLowerCase() && isOurs(entry.tags),
    );
  const ours = (type: string): string[] =>
    resources.filter((entry) => entry.type.toLowerCase() === type && isOurs(entry.tags)).map((entry) => entry.name);
  const removals: Removal[] = [];
  // Those of the file first, then those it no longer names: the tag says that they are ours. A role has the name of its web app.
  const inFile = setup.sites.filter((app) => has("Microsoft.Web/sites", app.address.app)).map((app) => app.address.app);
  const left = ours(siteType).filter((site) => !inFile.some((one) => one.toLowerCase() === site.toLowerCase()));
  for (const site of [...inFile, ...left]) {
    // Before the web app: its tag is what says that the role is ours, also to a second run.
    if (server && !serverGoes) removals.push(roleRemoval(setup, cloud, firewallAccess, site));
    removals.push({
      what: `web app ${site}`,
      why: inFile.includes(site) ? "created by this project" : "created by this project, no longer in its file",
      remove: () => tolerant(cloud.webApps.delete(name, site)),
    });
  }
  for (const plan of ours(planType)) {
    const found = await cloud.webApps.getPlan(name, plan);
    const others = (await cloud.webApps.list(name)).filter((site) => found && isSameId(site.planId, found.id) && !isOurs(site.tags));
    if (others.length > 0) {
      kept.push(`App Service plan ${plan} (it runs ${others.map((site) => site.name).join(", ")}, which this project did not create)`);
      continue;
    }
    removals.push({
      what: `App Service plan ${plan}`,
      why: "created by this project",
      remove: () => tolerant(cloud.webApps.deletePlan(name, plan)),
    });
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
  if (server && !isServerOurs && server.tags[tag] !== undefined) {
    const before = setup.sites.filter(({ address: { app } }) => !has("Microsoft.Web/sites", app)).map(({ role }) => role);
    if (before.length > 0) kept.push(`database role ${before.join(", ")} (this project did not create the web app)`);
    const found = await adoptionRemovals({ setup, cloud, firewallAccess, tag, isAlone: others.length === 0, left }, server.tags[tag]);
    removals.push(...found.removals);
    kept.push(...found.kept);
  }
  if (serverGoes) {
    removals.push({
      what: `flexible server ${setup.server.name}`,
      why: "created by this project, with all its databases",
      remove: () => tolerant(cloud.postgresServers.delete(name, setup.server.name)),
    });
  }
  return { removals, kept };
}

interface AdoptionContext {
  readonly setup: Setup;
  readonly cloud: Cloud;
  readonly firewallAccess: FirewallAccess;
  /** Name of the project's note. */
  readonly tag: string;
  /** No other project of this tool says that it works on the server. */
  readonly isAlone: boolean;
  /** Roles of web apps that the project made and that its file no longer names. */
  readonly left: readonly string[];
}

/** What the project made on somebody else's server, by its note there. The note goes last: a second run goes on from it. */
async function adoptionRemovals(
  context: AdoptionContext,
  note: string | undefined,
): Promise<{ readonly removals: readonly Removal[]; readonly kept: readonly string[] }> {
  const { setup, cloud, tag, isAlone } = context;
  const { resourceGroup: group } = setup;
  const server = await cloud.postgresServers.get(group, setup.server.name);
  if (!server) return { removals: [], kept: [] };
  const { name } = server;
  const { administrator, rule, database } = parseAdoptionTag(note);
  const removals: Removal[] = [];
  const kept: string[] = [];
  const isThere = database !== undefined && (await cloud.postgresServers.getDatabase(group, name, database)) !== undefined;
  const strangers = isThere ? await strangersIn(context, server, database) : "";
  if (isThere && strangers !== "") kept.push(`database ${database} of the server ${name} (${strangers})`);
  if (isThere && strangers === "") {
    removals.push({
      what: `database ${database}`,
      why: `created by this project on the server ${name}, with all that is in it`,
      remove: async () => {
        await cloud.postgresServers.deleteDatabase(group, name, database);
        await sweepPlaceholders(context, server);
      },
    });
  }
  // A run that ended between the two leaves them, with nothing to keep.
  if (database !== undefined && !isThere) {
    removals.push({ what: "placeholders of database roles", why: "they keep nothing", remove: () => sweepPlaceholders(context, server) });
  }
  const shared = "(other projects of this tool work on the server)";
  const az = `az postgres flexible-server`;
  const rules = rule === undefined ? [] : await cloud.postgresServers.listFirewallRules(group, name);
  if (rule !== undefined && rules.some((one) => one.name === rule)) {
    if (!isAlone) kept.push(`firewall rule ${rule} ${shared}: \`${az} firewall-rule delete -g ${group} -n ${name} --rule-name ${rule}\``);
    else {
      removals.push({
        what: `firewall rule ${rule}`,
        why: `created by this project on the server ${name}`,
        remove: () => cloud.postgresServers.deleteFirewallRule(group, name, rule),
      });
    }
  }
  const entry = (administrator === undefined ? [] : await cloud.postgresServers.listAdministrators(group, name)).find(
    ({ objectId }) => objectId === administrator,
  );
  if (entry && !isAlone) {
    kept.push(`administrator ${entry.name} ${shared}: \`${az} microsoft-entra-admin delete -g ${group} -s ${name} -i ${entry.objectId}\``);
  } else if (entry) {
    removals.push({
      what: `administrator ${entry.name}`,
      why: `added by this project to the server ${name}`,
      remove: () => cloud.postgresServers.deleteAdministrator(group, name, entry.objectId),
    });
  }
  removals.push({
    what: `tag ${tag}`,
    why: `this project's note on the server ${name}`,
    remove: async () => {
      const { [tag]: _note, ...tags } = (await cloud.postgresServers.get(group, name))?.tags ?? {};
      await tolerant(cloud.postgresServers.update(group, name, { tags }).then(() => {}));
    },
  });
  return { removals, kept };
}

/** Why the database must stay: tables of others are in it, or nobody could look. Empty: it holds nothing but the project's. */
async function strangersIn(
  { setup, cloud, firewallAccess, left }: AdoptionContext,
  server: PostgresServer,
  database: string,
): Promise<string> {
  try {
    const login = await administratorLogin({ cloud, firewallAccess, group: setup.resourceGroup }, server);
    const owners = await firewallAccess.withAccess(server, () => cloud.principals.owners(server, login, database));
    const roles = [...setup.sites.map(({ role }) => role), ...left];
    const ours = new Set([login, ...roles, ...roles.map(placeholderOf)]);
    const others = owners.filter((owner) => !ours.has(owner));
    return others.length === 0 ? "" : `${others.join(", ")} has tables in it`;
  } catch (error) {
    if (!(error instanceof KnownError) || error.code === "cancelled") throw error;
    return `what is in it could not be looked at: ${error.message}`;
  }
}

/** The placeholders of the project's roles go with what they kept. */
async function sweepPlaceholders({ setup, cloud, firewallAccess, left }: AdoptionContext, server: PostgresServer): Promise<void> {
  const login = await administratorLogin({ cloud, firewallAccess, group: setup.resourceGroup }, server);
  await firewallAccess.withAccess(server, () => cloud.principals.sweep(server, login, [...setup.sites.map(({ role }) => role), ...left]));
}

/** The role of an app on somebody else's server: what it owns in databases that stay goes to its placeholder. */
function roleRemoval(setup: Setup, cloud: Cloud, firewallAccess: FirewallAccess, role: string): Removal {
  return {
    what: `database role ${role}`,
    why: "its web app goes",
    remove: async () => {
      const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
      if (!server) return;
      const login = await administratorLogin({ cloud, firewallAccess, group: setup.resourceGroup }, server);
      await firewallAccess.withAccess(server, () => cloud.principals.drop(server, login, { role, databases: [setup.database] }));
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
