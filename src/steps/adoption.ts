import type { PostgresServer, PostgresServers } from "../cloud/postgres-servers.ts";
import type { Administrator, FirewallRule } from "../cloud/server-children.ts";
import { adoptionTagPrefix, ownerTag, type Setup } from "../project/setup.ts";
import { azureServicesRule, isAllOfAzure, wantedRules } from "./firewall.ts";

/**
 * Service Connector opens a server to Azure by such a rule. Its name is neither documented nor recorded: inferred from that of the portal
 * (`AllowAllAzureServicesAndResourcesWithinAzureIps_2020-9-8_14-53-19`, turbot/steampipe-mod-azure-compliance#290).
 */
const connectorRuleName = /^AllowAllAzureServicesAndResourcesWithinAzureIps(_|$)/;

/**
 * What a project notes on a server that is not its own: in one tag, written before it makes anything there, what it is going to make.
 * `down` takes away exactly that. Without this tag nothing on such a server counts as the project's.
 */
export interface Adoption {
  /** Name of the tag, `passwordless-pg-NAME`. */
  readonly tag: string;
  readonly owner: string;
  readonly database: string;
  /** Object ID of the caller. */
  readonly administratorId: string;
  /** Does one of these let the caller in, itself or a group? Else the project is going to add the caller. */
  isLetIn(server: PostgresServer, administrators: readonly Administrator[]): Promise<boolean>;
  /** The rule the project wants by name; those for single addresses are not noted, they would not fit into a tag. */
  readonly rule: FirewallRule | undefined;
}

/** Name of the tag. */
export function adoptionTagName({ name }: Pick<Setup, "name">): string {
  return `${adoptionTagPrefix}${name}`;
}

export function adoptionOf(setup: Setup, administratorId: string, isLetIn: Adoption["isLetIn"]): Adoption {
  return {
    tag: adoptionTagName(setup),
    owner: setup.owner,
    database: setup.database,
    administratorId,
    isLetIn,
    rule: wantedRules(setup.server.firewall)[0],
  };
}

/** The server is somebody else's, and this project has not said yet that it works there. */
export function isUnadopted({ tag, owner }: Adoption, { tags }: PostgresServer): boolean {
  return tags[ownerTag] !== owner && tags[tag] === undefined;
}

/** Value of the tag: what is not there now, and so will be the project's. Azure takes 256 characters. */
export async function adoptionTagValue(
  { database, administratorId, isLetIn, rule }: Adoption,
  group: string,
  server: PostgresServer,
  servers: PostgresServers,
): Promise<string> {
  const { name } = server;
  const [found, administrators, rules] = await Promise.all([
    servers.getDatabase(group, name, database),
    servers.listAdministrators(group, name),
    servers.listFirewallRules(group, name),
  ]);
  const words = [
    !(await isLetIn(server, administrators)) && `administrator=${administratorId}`,
    rule && !rules.some(({ start, end }) => start === rule.start && end === rule.end) && `rule=${rule.name}`,
    !found && `database=${encodeURIComponent(database)}`,
  ].filter((word) => typeof word === "string");
  const value = ["made", ...words].join(" ");
  return value.length <= 256 ? value : value.slice(0, value.lastIndexOf(" "));
}

/** What the tag says the project has made; `undefined` for what it has not. */
export function parseAdoptionTag(value: string | undefined): {
  readonly administrator?: string;
  readonly rule?: string;
  readonly database?: string;
} {
  const pairs = (value ?? "").matchAll(/\b(administrator|rule|database)=(\S+)/g);
  return Object.fromEntries([...pairs].map(([, kind, name = ""]) => [kind, decoded(name)]));
}

/** A tag can be changed by hand. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/**
 * Is it, by its name, a rule for all of Azure that the project or Service Connector made, on a server where it is the project's to take away?
 * On somebody else's server others may live on it, unless the project has noted that it made it.
 */
export function mayClose(setup: Pick<Setup, "name" | "owner">, { tags }: Pick<PostgresServer, "tags">, rule: FirewallRule): boolean {
  if (!isAllOfAzure(rule) || (rule.name !== azureServicesRule.name && !connectorRuleName.test(rule.name))) return false;
  return tags[ownerTag] === setup.owner || parseAdoptionTag(tags[adoptionTagName(setup)]).rule === rule.name;
}

/** Names of the other projects that have said that they work on this server. */
export function otherProjects(tag: string, tags: Readonly<Record<string, string>>): string[] {
  return Object.keys(tags)
    .filter((name) => name.startsWith(adoptionTagPrefix) && name !== tag)
    .map((name) => name.slice(adoptionTagPrefix.length));
}
