import { parseResourceId } from "../base/resource-id.ts";
import type { Databases } from "../cloud/database/databases.ts";
import type { FirewallAccess } from "../cloud/firewall-access.ts";
import type { PostgresServer } from "../cloud/postgres-servers.ts";
import type { ResourceGroup } from "../cloud/resource-groups.ts";
import type { Administrator, Database, FirewallRule } from "../cloud/server-children.ts";
import type { AnyStep, Step } from "../engine/step.ts";
import type { ConnectedSite, HostContext, PlacedSite } from "../hosts/app-host.ts";
import { hosts } from "../hosts/hosts.ts";
import { ownerTag, type Setup } from "../project/setup.ts";
import type { SiteSetup } from "../project/site-setup.ts";
import { adoptionOf, mayClose } from "../steps/adoption.ts";
import { type AppIdentity, identityIdOf } from "../steps/app-identity.ts";
import { database } from "../steps/database.ts";
import { databaseAccess } from "../steps/database-access.ts";
import { databasePrincipal } from "../steps/database-principal.ts";
import { entraAdministrator } from "../steps/entra-administrator.ts";
import { type Firewall, firewall } from "../steps/firewall.ts";
import { managedIdentity } from "../steps/managed-identity.ts";
import { postgresServer } from "../steps/postgres-server.ts";
import { resourceGroup } from "../steps/resource-group.ts";
import { refuseTakenName, serverName } from "../steps/taken-names.ts";

export interface GraphContext extends Omit<HostContext, "setup"> {
  readonly firewallAccess: FirewallAccess;
}

/** The steps of one site, by what they are. */
interface SiteSteps extends PlacedSite, ConnectedSite {
  readonly setup: SiteSetup;
  readonly principal: AnyStep;
  readonly access: AnyStep;
}

/** Everything a project asks for, as steps by what they are: a step is had by its member, never found again by its name. */
export interface ProjectGraph {
  readonly group: Step<ResourceGroup>;
  readonly server: Step<PostgresServer>;
  readonly administrator: Step<Administrator>;
  readonly firewall: Step<Firewall>;
  readonly database: Step<Database>;
  readonly identities: readonly Step<AppIdentity>[];
  readonly sites: readonly SiteSteps[];
  /** All of them. */
  readonly steps: readonly AnyStep[];
}

type Shared = Pick<ProjectGraph, "group" | "server" | "administrator" | "firewall" | "database">;
type Context = GraphContext & { readonly setup: Setup; readonly databases: Databases };

/** The product's table of contents. */
export function projectGraph(setup: Setup, given: GraphContext): ProjectGraph {
  const context = { ...given, setup, databases: given.cloud.databases(given.firewallAccess) };
  const tags = { [ownerTag]: setup.owner };
  const group = resourceGroup({ name: setup.resourceGroup, location: setup.location, tags }, given.cloud.resourceGroups);
  const { server, administrator } = serverSteps(context, group);
  const databaseStep = database(setup.database, setup.resourceGroup, given.cloud.postgresServers, { server });
  const identities = identitySteps(context, group);
  const placed = setup.sites.map((site) => {
    const identity = identities.get(identityIdOf(setup, given.cloud.subscriptionId, site)?.toLowerCase() ?? "");
    return { site, placed: hosts[site.host].place(site, context, { group, ...(identity && { identity }) }) };
  });
  const placedSites = placed.map((one) => one.placed.site);
  const firewallStep = firewall(firewallContext(context), server, placedSites);
  const shared = { group, server, administrator, firewall: firewallStep, database: databaseStep };
  const sites = placed.map((one) => siteSteps(one.site, one.placed, context, shared));
  const steps = [group, server, administrator, firewallStep, databaseStep, ...identities.values(), ...sites.flatMap(stepsOf)];
  return { ...shared, identities: [...identities.values()], sites, steps };
}

function serverSteps(context: Context, group: Step<ResourceGroup>) {
  const { setup, cloud, databases } = context;
  const { caller, postgresServers } = cloud;
  const adoption = adoptionOf(setup, caller.objectId, async (at, administrators) => {
    return (await databases.ownAdministrator(at, administrators)) !== undefined;
  });
  const desired = {
    ...setup.server,
    ...{ location: setup.location, tenantId: caller.tenantId, tags: { [ownerTag]: setup.owner }, adoption },
    precheck: refuseTakenName(context, serverName(context)),
  };
  const server = postgresServer(desired, postgresServers, { group });
  return { server, administrator: entraAdministrator({ caller, group: setup.resourceGroup }, postgresServers, databases, { server }) };
}

/** The user-assigned identities of the sites by resource ID in lower case, one step each however many sites share it. */
function identitySteps({ setup, cloud }: Context, group: Step<ResourceGroup>): Map<string, Step<AppIdentity>> {
  const steps = new Map<string, Step<AppIdentity>>();
  // A name before a resource ID: one that the project makes is made, also when another site names it in full.
  const sites = [...setup.sites].sort((left, right) => Number(left.identity?.startsWith("/")) - Number(right.identity?.startsWith("/")));
  for (const site of sites) {
    const id = identityIdOf(setup, cloud.subscriptionId, site);
    if (id === undefined || steps.has(id.toLowerCase())) continue;
    const isForeign = site.identity === id;
    const parsed = parseResourceId(id);
    const label = isForeign ? `${parsed?.resourceGroup}/${parsed?.path.at(-1)}` : (site.identity ?? "");
    const desired = { id, label, isForeign, location: setup.location, tags: { [ownerTag]: setup.owner } };
    steps.set(id.toLowerCase(), managedIdentity(desired, cloud.managedIdentities, isForeign ? {} : { group }));
  }
  return steps;
}

function firewallContext({ setup, cloud, firewallAccess }: Context): Parameters<typeof firewall>[0] {
  return {
    policy: setup.server.firewall,
    group: setup.resourceGroup,
    servers: cloud.postgresServers,
    owner: setup.owner,
    findLeftovers: firewallAccess.leftoversAmong,
    mayClose: (at: PostgresServer, rule: FirewallRule) => mayClose(setup, at, rule),
  };
}

function siteSteps(site: SiteSetup, placed: PlacedSite, context: Context, shared: Shared): SiteSteps {
  const { databases } = context;
  const { server, administrator, database: databaseStep } = shared;
  const { label, role, access: level } = site;
  const needs = { server, administrator, database: databaseStep };
  const principal = databasePrincipal({ label, role }, databases, { ...needs, site: placed.site });
  const access = databaseAccess({ label, role, level }, databases, { ...needs, principal });
  const connected = hosts[site.host].connect(site, context, { ...shared, ...placed });
  return { setup: site, ...placed, ...connected, principal, access };
}

function stepsOf({ plan, site, hardening, connection, settings, principal, access, deployment }: SiteSteps): AnyStep[] {
  return [plan, site, ...hardening, connection, settings, principal, access, ...(deployment ? [deployment] : [])];
}
