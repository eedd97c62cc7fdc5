import { parseResourceId } from "../base/resource-id.ts";
import { webAppChecks } from "../checks/web-app-checks.ts";
import type { SiteConfig } from "../cloud/app-service/site-config.ts";
import { environments } from "../cloud/environment.ts";
import { ownerTag } from "../project/setup.ts";
import type { SiteSetup } from "../project/site-setup.ts";
import { identityIdOf } from "../steps/app-identity.ts";
import { appServicePlan } from "../steps/app-service-plan.ts";
import { appSettings } from "../steps/app-settings.ts";
import { basicPublishing } from "../steps/basic-publishing.ts";
import { deployPackage } from "../steps/deploy/deploy-package.ts";
import { type DeploymentNeeds, deployment } from "../steps/deployment.ts";
import { isOpenToAzure } from "../steps/firewall.ts";
import { logSettings } from "../steps/log-settings.ts";
import { serviceConnection } from "../steps/service-connection.ts";
import { refuseTakenName, webAppName } from "../steps/taken-names.ts";
import { webApp } from "../steps/web-app.ts";
import { webAppConfiguration } from "../steps/web-app-configuration.ts";
import type { AppHost, HostContext } from "./app-host.ts";

/** App Service, code on Linux. */
export const webapp: AppHost = {
  noun: "web app",
  deploy: deployPackage,
  checks: webAppChecks,
  place: (site, context, needs) => {
    const { cloud, setup } = context;
    const { label, address } = site;
    const common = { label, location: setup.location, tags: { [ownerTag]: setup.owner } };
    const plan = appServicePlan({ ...common, ...planOf(site, context), site: address }, cloud, { group: needs.group });
    const desired = { ...common, name: address.app, config: configOf(site), precheck: refuseTakenName(context, webAppName(context, site)) };
    return { plan, site: webApp(desired, cloud.sites.at(address), { ...needs, plan }) };
  },
  connect: (site, context, needs) => {
    const { cloud } = context;
    const { label } = site;
    const adapter = cloud.sites.at(site.address);
    const { plan, site: siteStep, server, database, firewall } = needs;
    const on = { site: siteStep };
    const configuration = webAppConfiguration(label, configOf(site), adapter, { ...on, plan });
    const publishing = basicPublishing(label, adapter, on);
    const logs = logSettings(label, adapter, on);
    const connection = serviceConnection(linkerOf(site, context), cloud.linkers, { ...on, database, firewall });
    const settings = appSettings(settingsFor(site, context), adapter, { ...on, server, database, connection });
    const deployed = deploymentOf(site, context, { ...on, configuration, publishing, logs, settings });
    return { hardening: [configuration, publishing, logs], connection, settings, ...(deployed && { deployment: deployed }) };
  },
};

function planOf({ plan: name }: SiteSetup, { setup }: HostContext) {
  const plan = setup.plans.find((one) => one.name === name);
  if (!plan) throw new Error(`there is no plan ${name} in the setup`);
  return plan;
}

function configOf({ runtime, startup, health }: SiteSetup): Partial<SiteConfig> {
  return {
    runtime,
    startup,
    alwaysOn: true,
    ftpsState: "Disabled",
    minTlsVersion: "1.2",
    scmMinTlsVersion: "1.2",
    healthCheckPath: health,
  };
}

function linkerOf(site: SiteSetup, { cloud, setup }: HostContext) {
  const identity = parseResourceId(identityIdOf(setup, cloud.subscriptionId, site) ?? "");
  return {
    label: site.label,
    name: site.linker,
    userName: site.role,
    clientType: site.clientType,
    leavesFirewall: !isOpenToAzure(setup.server.firewall),
    ...(identity && { identitySubscriptionId: identity.subscriptionId }),
  };
}

function settingsFor({ label, role, clientType, settings: own }: SiteSetup, { cloud }: HostContext) {
  const tokenScope = cloud.environment.scopes.postgres;
  return { label, role, clientType, own, ...(tokenScope === environments.public.scopes.postgres ? {} : { tokenScope }) };
}

function deploymentOf(site: SiteSetup, { cloud, clock, signal, deployments }: HostContext, needs: DeploymentNeeds) {
  if (!deployments) return undefined;
  const { label, address, health } = site;
  const context = {
    adapter: cloud.sites.at(address),
    scmSite: cloud.scmSite,
    site: cloud.site,
    clock,
    signal,
    onDetail: (text: string) => deployments.onDetail(`deployment ${label}`, text),
  };
  return deployment({ label, package: () => deployments.package(site), health }, context, needs);
}
