import type { Clock } from "../base/clock.ts";
import { parseResourceId, resourceGroupId, resourceId } from "../base/resource-id.ts";
import type { WebAppConfig } from "../cloud/app-service/web-apps.ts";
import type { Cloud } from "../cloud/cloud.ts";
import type { FirewallAccess } from "../cloud/firewall-access.ts";
import type { PostgresServer } from "../cloud/postgres-servers.ts";
import type { ResourceGroup } from "../cloud/resource-groups.ts";
import type { FirewallRule } from "../cloud/server-children.ts";
import type { AnyStep, Step } from "../engine/step.ts";
import type { Package } from "../package/pack.ts";
import { type AppSetup, ownerTag, type Setup } from "../project/setup.ts";
import { adoptionOf, mayClose } from "./adoption.ts";
import { type AppIdentity, identityIdOf } from "./app-identity.ts";
import { appServicePlan } from "./app-service-plan.ts";
import { appSettings } from "./app-settings.ts";
import { basicPublishing } from "./basic-publishing.ts";
import { database } from "./database.ts";
import { databaseAccess } from "./database-access.ts";
import { databasePrincipal } from "./database-principal.ts";
import { deployment } from "./deployment.ts";
import { entraAdministrator } from "./entra-administrator.ts";
import { firewallForAddresses, firewallForAzureServices } from "./firewall.ts";
import { logSettings } from "./log-settings.ts";
import { managedIdentity } from "./managed-identity.ts";
import { postgresServer } from "./postgres-server.ts";
import { resourceGroup } from "./resource-group.ts";
import { serviceConnection } from "./service-connection.ts";
import { webApp } from "./web-app.ts";
import { webAppConfiguration } from "./web-app-configuration.ts";

export interface GraphContext {
  readonly cloud: Cloud;
  readonly firewallAccess: FirewallAccess;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Given when the graph is to end in deployments. */
  readonly deployments?: {
    package(app: AppSetup): Promise<Package>;
    onDetail(step: string, text: string): void;
  };
}

/** Everything a project asks for, as steps; the product's table of contents. */
export function allSteps(setup: Setup, context: GraphContext): AnyStep[] {
  const { cloud, firewallAccess, clock, signal } = context;
  const group = setup.resourceGroup;
  const tags = { [ownerTag]: setup.owner };
  const location = setup.location;

  const groupStep = resourceGroup({ name: group, location, tags }, cloud.resourceGroups);
  const databases = cloud.databases(firewallAccess);
  const { tenantId, objectId } = cloud.caller;
  const adoption = adoptionOf(setup, objectId, async (at, administrators) => {
    return (await databases.ownAdministrator(at, administrators)) !== undefined;
  });
  const desiredServer = { ...setup.server, location, tenantId, tags, adoption };
  const server = postgresServer(desiredServer, cloud.postgresServers, { group: groupStep });
  const administrator = entraAdministrator(cloud.caller, group, cloud.postgresServers, databases, { server });
  const databaseStep = database(setup.database, group, cloud.postgresServers, { server });
  const identityIds = new Map(setup.apps.map((app) => [app.key, identityIdOf(setup, cloud.subscriptionId, app)]));
  const identities = identitySteps(setup, context, groupStep);
  const sites = setup.apps.map((app) => {
    const { key } = app;
    const plan = appServicePlan({ key, ...app.plan, site: app.name, location, tags }, cloud.webApps, { group: groupStep });
    const identity = identities.get(identityIds.get(key)?.toLowerCase() ?? "");
    const site = webApp({ key, name: app.name, location, config: configOf(app), tags }, cloud.webApps, {
      group: groupStep,
      plan,
      ...(identity && { identity }),
    });
    return { app, plan, site };
  });
  const firewallContext = {
    group,
    servers: cloud.postgresServers,
    owner: setup.owner,
    findLeftovers: firewallAccess.leftoversAmong,
    mayClose: (at: PostgresServer, rule: FirewallRule) => mayClose(setup, at, rule),
  };
  const firewall: AnyStep =
    setup.server.firewall === "azure-services"
      ? firewallForAzureServices(firewallContext, { server })
      : firewallForAddresses(firewallContext, {
          server,
          ...Object.fromEntries(sites.map(({ app: { key }, site }) => [`site ${key}`, site])),
        });
  const perApp = sites.map(({ app, plan, site }) => {
    const { key, role } = app;
    const configuration = webAppConfiguration(key, configOf(app), group, cloud.webApps, { site, plan });
    const publishing = basicPublishing(key, group, cloud.webApps, { site });
    const logs = logSettings(key, group, cloud.webApps, { site });
    const identitySubscriptionId = parseResourceId(identityIds.get(key) ?? "")?.subscriptionId;
    const linker = {
      key,
      name: app.linker,
      userName: role,
      clientType: app.clientType,
      leavesFirewall: setup.server.firewall === "app-addresses",
      ...(identitySubscriptionId && { identitySubscriptionId }),
    };
    const connection = serviceConnection(linker, cloud.linkers, {
      site,
      database: databaseStep,
      firewall,
    });
    const tokenScope = cloud.environment.scopes.postgres;
    const isUsualScope = tokenScope === "https://ossrdbms-aad.database.windows.net/.default";
    const settings = appSettings(
      { key, role, clientType: app.clientType, own: app.settings, ...(isUsualScope ? {} : { tokenScope }) },
      group,
      cloud.webApps,
      { site, server, database: databaseStep, connection },
    );
    const principal = databasePrincipal({ key, role }, databases, {
      server,
      administrator,
      site,
      database: databaseStep,
    });
    const access = databaseAccess({ key, role, level: app.access }, databases, {
      server,
      administrator,
      database: databaseStep,
      principal,
    });
    const steps: AnyStep[] = [plan, site, configuration, publishing, logs, connection, settings, principal, access];
    const { deployments } = context;
    if (deployments) {
      const deploymentContext = {
        webApps: cloud.webApps,
        group,
        scmSite: cloud.scmSite,
        site: cloud.site,
        clock,
        signal,
        onDetail: (text: string) => deployments.onDetail(`deployment ${key}`, text),
      };
      steps.push(
        deployment({ key, package: () => deployments.package(app), health: app.health }, deploymentContext, {
          site,
          configuration,
          publishing,
          logs,
          settings,
        }),
      );
    }
    return { key, site, steps };
  });
  return [groupStep, server, administrator, firewall, databaseStep, ...identities.values(), ...perApp.flatMap(({ steps }) => steps)];
}

/** The user-assigned identities of the apps by resource ID in lower case, one step each however many apps share it. */
function identitySteps(setup: Setup, { cloud }: GraphContext, group: Step<ResourceGroup>): Map<string, Step<AppIdentity>> {
  const steps = new Map<string, Step<AppIdentity>>();
  // A name before a resource ID: one that the project makes is made, also when another app names it in full.
  const ids = [...setup.apps].sort((left, right) => Number(left.identity?.startsWith("/")) - Number(right.identity?.startsWith("/")));
  for (const app of ids) {
    const id = identityIdOf(setup, cloud.subscriptionId, app);
    if (id === undefined || steps.has(id.toLowerCase())) continue;
    const isForeign = app.identity === id;
    const parsed = parseResourceId(id);
    const label = isForeign ? `${parsed?.resourceGroup}/${parsed?.path.at(-1)}` : (app.identity ?? "");
    const desired = { id, label, isForeign, location: setup.location, tags: { [ownerTag]: setup.owner } };
    steps.set(id.toLowerCase(), managedIdentity(desired, cloud.managedIdentities, isForeign ? {} : { group }));
  }
  return steps;
}

/** The steps whose names begin with one of these, with all they need. For the commands of single pieces. */
export function stepsNamed(steps: readonly AnyStep[], ...beginnings: readonly string[]): AnyStep[] {
  return steps.filter(({ name }) => beginnings.some((beginning) => name.startsWith(beginning)));
}

function configOf(app: AppSetup): Partial<WebAppConfig> {
  return {
    runtime: app.runtime,
    startup: app.startup,
    alwaysOn: true,
    ftpsState: "Disabled",
    minTlsVersion: "1.2",
    scmMinTlsVersion: "1.2",
    healthCheckPath: app.health,
  };
}

/** Resource ID of the app's web app, for callers that have no graph. */
export function siteId(setup: Setup, subscriptionId: string, app: AppSetup): string {
  return resourceId(resourceGroupId(subscriptionId, setup.resourceGroup), "Microsoft.Web", "sites", app.name);
}
