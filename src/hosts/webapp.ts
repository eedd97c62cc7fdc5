import { parseResourceId } from "../base/resource-id.ts";
import type { Cloud } from "../cloud/cloud.ts";
import { environments } from "../cloud/environment.ts";
import { ownerTag } from "../project/setup.ts";
import { appSettings } from "../steps/app-settings.ts";
import { basicPublishing } from "../steps/basic-publishing.ts";
import { databaseAccess } from "../steps/database-access.ts";
import { databasePrincipal } from "../steps/database-principal.ts";
import { deployPackage } from "../steps/deploy/deploy-package.ts";
import { deployment } from "../steps/deployment.ts";
import { isOpenToAzure } from "../steps/firewall.ts";
import { logSettings } from "../steps/log-settings.ts";
import { serviceConnection } from "../steps/service-connection.ts";
import { refuseTaken, webAppName } from "../steps/taken-names.ts";
import { webApp } from "../steps/web-app.ts";
import { webAppConfiguration } from "../steps/web-app-configuration.ts";
import type { AppHost, SharedSteps, SiteContext, SiteNeeds, SiteSteps } from "./app-host.ts";

/** App Service on Linux: the platform builds the package and keeps the app running. */
export const webapp: AppHost = {
  label: "web app",
  azCommand: "webapp",
  proof: { database: "/healthz/database", rows: "/items" },
  site,
  steps,
  deploy: deployPackage,
};

function site(context: SiteContext, needs: SiteNeeds) {
  const { setup, site, cloud } = context;
  const desired = { site, location: setup.location, tags: { [ownerTag]: setup.owner } };
  const name = webAppName(context, { key: site.label, name: site.address.app });
  return webApp(desired, cloud.webApps, needs, () => refuseTaken(context, name));
}

function steps(context: SiteContext, shared: SharedSteps): SiteSteps {
  const { site: setup, cloud } = context;
  const { plan, site, database } = shared;
  const configuration = webAppConfiguration(setup, cloud.webApps, { site, plan });
  const publishing = basicPublishing(setup, cloud.webApps, { site });
  const logs = logSettings(setup, cloud.webApps, { site });
  const connection = connectionOf(context, shared);
  const settings = appSettings({ ...setup, ...tokenScopeOf(cloud) }, cloud.webApps, { site, server: shared.server, database, connection });
  const { principal, access } = roleSteps(context, shared);
  const last = deploymentOf(context, { site, configuration, publishing, logs, settings });
  const own = { setup, plan, site, configuration, publishing, logs, connection, settings, principal, access };
  return { ...own, ...(last && { deployment: last }) };
}

/** Apps ask for tokens of the public cloud by themselves. */
function tokenScopeOf({ environment: { scopes } }: Cloud): { readonly tokenScope?: string } {
  return scopes.postgres === environments.public.scopes.postgres ? {} : { tokenScope: scopes.postgres };
}

function connectionOf({ setup, site: own, identityId, cloud }: SiteContext, { site, database, firewall }: SharedSteps) {
  const subscriptionId = parseResourceId(identityId ?? "")?.subscriptionId;
  const desired = {
    ...own,
    leavesFirewall: !isOpenToAzure(setup.server.firewall),
    ...(subscriptionId && { identitySubscriptionId: subscriptionId }),
  };
  return serviceConnection(desired, cloud.linkers, { site, database, firewall });
}

function roleSteps({ site: own, cloud, firewallAccess }: SiteContext, { server, administrator, site, database }: SharedSteps) {
  const { label: key, role, access: level } = own;
  const principal = databasePrincipal({ key, role }, cloud.principals, firewallAccess, { server, administrator, site, database });
  const access = databaseAccess({ key, role, level }, cloud.principals, firewallAccess, { server, administrator, database, principal });
  return { principal, access };
}

function deploymentOf({ site, cloud, clock, signal, deployments }: SiteContext, needs: Parameters<typeof deployment>[2]) {
  if (!deployments) return undefined;
  const onDetail = (text: string): void => deployments.onDetail(`deployment ${site.label}`, text);
  const context = { webApps: cloud.webApps, scmSite: cloud.scmSite, site: cloud.site, clock, signal, onDetail };
  return deployment({ ...site, package: () => deployments.package(site) }, context, needs);
}
