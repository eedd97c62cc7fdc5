import { parseResourceId } from "../base/resource-id.ts";
import type { AppServicePlan } from "../cloud/app-service/web-apps.ts";
import type { Cloud } from "../cloud/cloud.ts";
import type { Administrator, Database, FirewallRule, PostgresServer } from "../cloud/postgres-servers.ts";
import type { ResourceGroup } from "../cloud/resource-groups.ts";
import type { AnyStep, Step } from "../engine/step.ts";
import type { SiteContext, SiteSteps } from "../hosts/app-host.ts";
import { hosts } from "../hosts/hosts.ts";
import { ownerTag, type Setup, type SiteSetup, sitesOf } from "../project/setup.ts";
import { adoptionOf, mayClose } from "../steps/adoption.ts";
import { type AppIdentity, identityIdOf } from "../steps/app-identity.ts";
import { appServicePlan } from "../steps/app-service-plan.ts";
import { database } from "../steps/database.ts";
import { administratorOf, entraAdministrator } from "../steps/entra-administrator.ts";
import { type Firewall, firewall } from "../steps/firewall.ts";
import { managedIdentity } from "../steps/managed-identity.ts";
import { postgresServer } from "../steps/postgres-server.ts";
import { resourceGroup } from "../steps/resource-group.ts";
import { refuseTaken, serverName } from "../steps/taken-names.ts";

export type GraphContext = Omit<SiteContext, "setup" | "site" | "identityId">;

/** The steps of a project by what they are. */
export interface ProjectGraph {
  readonly group: Step<ResourceGroup>;
  readonly server: Step<PostgresServer>;
  readonly administrator: Step<Administrator>;
  readonly firewall: Step<Firewall>;
  readonly database: Step<Database>;
  readonly identities: readonly Step<AppIdentity>[];
  readonly plans: readonly Step<AppServicePlan>[];
  readonly sites: readonly SiteSteps[];
  /** All of them, in the order they are shown. */
  readonly steps: readonly AnyStep[];
}

/** Everything a project asks for, as steps: the product's table of contents. */
export function projectGraph(setup: Setup, context: GraphContext): ProjectGraph {
  const group = resourceGroup({ name: setup.resourceGroup, ...placeOf(setup) }, context.cloud.resourceGroups);
  const { server, administrator } = serverSteps(setup, context, group);
  const databaseStep = database({ name: setup.database, group: setup.resourceGroup }, context.cloud.postgresServers, { server });
  const identities = identitySteps(setup, context.cloud, group);
  const plans = planSteps(setup, context.cloud, group);
  const begun = sitesOf(setup).map((site) => beginSite({ ...context, setup, site }, { group, identities, plans }));
  const firewallStep = firewall(
    firewallContext(setup, context),
    server,
    begun.map(({ site }) => site),
  );
  const shared = { server, administrator, firewall: firewallStep, database: databaseStep };
  const sites = begun.map(({ context: own, plan, site }) => hosts[own.site.host].steps(own, { ...shared, plan, site }));
  const steps = [group, server, administrator, firewallStep, databaseStep, ...identities.values(), ...sites.flatMap(stepsOf)];
  return { group, ...shared, identities: [...identities.values()], plans: [...plans.values()], sites, steps };
}

/** The steps of one site, its App Service plan first. */
export function stepsOf({ setup: _setup, ...steps }: SiteSteps): AnyStep[] {
  return Object.values(steps);
}

function placeOf({ location, owner }: Setup): { readonly location: string; readonly tags: Record<string, string> } {
  return { location, tags: { [ownerTag]: owner } };
}

function serverSteps(setup: Setup, context: GraphContext, group: Step<ResourceGroup>) {
  const { cloud, firewallAccess } = context;
  const { caller, postgresServers } = cloud;
  const canSignIn = (at: PostgresServer, login: string) => firewallAccess.withAccess(at, () => cloud.principals.canSignIn(at, login));
  const adoption = adoptionOf(setup, caller.objectId, async (at, administrators) => {
    return (await administratorOf(caller, administrators, (login) => canSignIn(at, login))) !== undefined;
  });
  const desired = { ...setup.server, ...placeOf(setup), tenantId: caller.tenantId, adoption };
  const name = serverName({ setup, cloud });
  const server = postgresServer(desired, postgresServers, { group }, () => refuseTaken({ setup, cloud }, name));
  const administrator = entraAdministrator(caller, setup.resourceGroup, postgresServers, canSignIn, { server });
  return { server, administrator };
}

function firewallContext(setup: Setup, { cloud, firewallAccess }: GraphContext): Parameters<typeof firewall>[0] {
  return {
    policy: setup.server.firewall,
    group: setup.resourceGroup,
    servers: cloud.postgresServers,
    owner: setup.owner,
    findLeftovers: firewallAccess.leftoversAmong,
    mayClose: (at: PostgresServer, rule: FirewallRule) => mayClose(setup, at, rule),
  };
}

/** The App Service plans by name; each knows one of its sites, which may be in a plan of another name. */
function planSteps(setup: Setup, { webApps }: Cloud, group: Step<ResourceGroup>): ReadonlyMap<string, Step<AppServicePlan>> {
  const sites = sitesOf(setup);
  return new Map(
    setup.plans.flatMap((plan) => {
      const site = sites.find((one) => one.plan === plan.name);
      if (!site) return [];
      const desired = { ...plan, ...placeOf(setup), label: site.label, site: site.address };
      return [[plan.name, appServicePlan(desired, webApps, { group })] as const];
    }),
  );
}

interface SitePlaces {
  readonly group: Step<ResourceGroup>;
  readonly identities: ReadonlyMap<string, Step<AppIdentity>>;
  readonly plans: ReadonlyMap<string, Step<AppServicePlan>>;
}

function beginSite(given: Omit<SiteContext, "identityId">, { group, identities, plans }: SitePlaces) {
  const identityId = identityIdOf(given.setup, given.cloud.subscriptionId, given.site);
  const context: SiteContext = { ...given, identityId };
  const plan = plans.get(given.site.plan);
  if (!plan) throw new Error(`site ${given.site.label} is in plan ${given.site.plan}, which is not in the setup`);
  const identity = identityId === undefined ? undefined : identities.get(identityId.toLowerCase());
  const site = hosts[given.site.host].site(context, { group, plan, ...(identity && { identity }) });
  return { context, plan, site };
}

/** The user-assigned identities of the sites by resource ID in lower case, one step each however many share it. */
function identitySteps(setup: Setup, { subscriptionId, managedIdentities }: Cloud, group: Step<ResourceGroup>) {
  const steps = new Map<string, Step<AppIdentity>>();
  for (const { identity } of byNameFirst(sitesOf(setup))) {
    const id = identityIdOf(setup, subscriptionId, identity === undefined ? {} : { identity });
    if (id === undefined || steps.has(id.toLowerCase())) continue;
    const isForeign = identity === id;
    const parsed = parseResourceId(id);
    const label = isForeign ? `${parsed?.resourceGroup}/${parsed?.path.at(-1)}` : (identity ?? "");
    steps.set(
      id.toLowerCase(),
      managedIdentity({ id, label, isForeign, ...placeOf(setup) }, managedIdentities, isForeign ? {} : { group }),
    );
  }
  return steps;
}

/** A name before a resource ID: one that the project makes is made, also when another site names it in full. */
function byNameFirst(sites: readonly SiteSetup[]): SiteSetup[] {
  return [...sites].sort((left, right) => Number(left.identity?.startsWith("/")) - Number(right.identity?.startsWith("/")));
}
