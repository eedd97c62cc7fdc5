import { KnownError } from "../base/errors.ts";
import { siteName } from "../base/site-address.ts";
import { placeholderRole } from "../cloud/database/ownership.ts";
import type { PostgresServer } from "../cloud/postgres-servers.ts";
import { otherProjects, parseAdoptionTag } from "../steps/adoption.ts";
import type { Inventory, Resource } from "./inventory.ts";
import type { Removal, RemovalPlan } from "./removal.ts";
import { kindOf, orAbsent } from "./resource-kinds.ts";

interface AdoptionContext extends Pick<Inventory, "cloud" | "databases" | "tag" | "group"> {
  readonly server: PostgresServer;
  /** No other project of this tool says that it works on the server. */
  readonly isAlone: boolean;
  /** Roles of the web apps that the project made, also of those that its file no longer names. */
  readonly ourRoles: readonly string[];
}

/** What the project made on somebody else's server, by its note there. The note goes last: a second run goes on from it. */
export async function planAdoptionRemoval(inventory: Inventory, { tags }: Resource): Promise<RemovalPlan> {
  const { setup, cloud, group, tag } = inventory;
  if (tags[tag] === undefined) return { removals: [], kept: [] };
  const sites = inventory.ours.filter((one) => kindOf(one)?.hasRole).map(({ name }) => name);
  const isMade = (name: string): boolean => sites.some((one) => one.toLowerCase() === name.toLowerCase());
  const before = setup.sites.filter(({ address }) => !isMade(siteName(address))).map(({ role }) => role);
  const kept = before.length > 0 ? [`database role ${before.join(", ")} (this project did not create the web app)`] : [];
  const server = await cloud.postgresServers.get(group, setup.server.name);
  if (!server) return { removals: [], kept };
  const ourRoles = [...new Set([...setup.sites.map(({ role }) => role), ...sites])];
  const context = { ...inventory, server, ourRoles, isAlone: otherProjects(tag, tags).length === 0 };
  const { administrator, rule, database } = parseAdoptionTag(tags[tag]);
  const parts = await Promise.all([
    database === undefined ? [] : planDatabase(context, database),
    rule === undefined ? [] : planRule(context, rule),
    administrator === undefined ? [] : planAdministrator(context, administrator),
  ]);
  const found = [...parts.flat(), tagRemoval(context)];
  return {
    removals: found.filter((one) => typeof one !== "string"),
    kept: [...kept, ...found.filter((one) => typeof one === "string")],
  };
}

/** A removal, or what stays and why. */
type Planned = (Removal | string)[];

async function planDatabase(context: AdoptionContext, database: string): Promise<Planned> {
  const { cloud, group, server } = context;
  const { name } = server;
  // A run that ended between the two leaves them, with nothing to keep.
  if ((await cloud.postgresServers.getDatabase(group, name, database)) === undefined) {
    return [{ what: "placeholders of database roles", why: "they keep nothing", remove: () => sweepPlaceholders(context) }];
  }
  const strangers = await strangersIn(context, database);
  if (strangers !== "") return [`database ${database} of the server ${name} (${strangers})`];
  const remove = async (): Promise<void> => {
    await cloud.postgresServers.deleteDatabase(group, name, database);
    await sweepPlaceholders(context);
  };
  return [{ what: `database ${database}`, why: `created by this project on the server ${name}, with all that is in it`, remove }];
}

const shared = "(other projects of this tool work on the server)";

async function planRule({ cloud, group, server: { name }, isAlone }: AdoptionContext, rule: string): Promise<Planned> {
  const rules = await cloud.postgresServers.listFirewallRules(group, name);
  if (!rules.some((one) => one.name === rule)) return [];
  const what = `firewall rule ${rule}`;
  if (!isAlone) {
    return [`${what} ${shared}: \`az postgres flexible-server firewall-rule delete -g ${group} -n ${name} --rule-name ${rule}\``];
  }
  const why = `created by this project on the server ${name}`;
  return [{ what, why, remove: () => cloud.postgresServers.deleteFirewallRule(group, name, rule) }];
}

async function planAdministrator({ cloud, group, server: { name }, isAlone }: AdoptionContext, administrator: string): Promise<Planned> {
  const entries = await cloud.postgresServers.listAdministrators(group, name);
  const entry = entries.find(({ objectId }) => objectId === administrator);
  if (!entry) return [];
  const what = `administrator ${entry.name}`;
  if (!isAlone) {
    return [`${what} ${shared}: \`az postgres flexible-server microsoft-entra-admin delete -g ${group} -s ${name} -i ${entry.objectId}\``];
  }
  const why = `added by this project to the server ${name}`;
  return [{ what, why, remove: () => cloud.postgresServers.deleteAdministrator(group, name, entry.objectId) }];
}

function tagRemoval({ cloud, group, server: { name }, tag }: AdoptionContext): Removal {
  return {
    what: `tag ${tag}`,
    why: `this project's note on the server ${name}`,
    remove: async () => {
      const { [tag]: _note, ...tags } = (await cloud.postgresServers.get(group, name))?.tags ?? {};
      await orAbsent(cloud.postgresServers.update(group, name, { tags }));
    },
  };
}

/** Why the database must stay: tables of others are in it, or nobody could look. Empty: it holds nothing but the project's. */
async function strangersIn({ databases, server, ourRoles }: AdoptionContext, database: string): Promise<string> {
  try {
    const roles = await databases.asAdministrator(server);
    const owners = await roles.in(database).owners();
    const ours = new Set([roles.login, ...ourRoles, ...ourRoles.map(placeholderRole)]);
    const others = owners.filter((owner) => !ours.has(owner));
    return others.length === 0 ? "" : `${others.join(", ")} has tables in it`;
  } catch (error) {
    if (!(error instanceof KnownError) || error.code === "cancelled") throw error;
    return `what is in it could not be looked at: ${error.message}`;
  }
}

/** The placeholders of the project's roles go with what they kept. */
async function sweepPlaceholders({ databases, server, ourRoles }: AdoptionContext): Promise<void> {
  await (await databases.asAdministrator(server)).sweep(ourRoles);
}
