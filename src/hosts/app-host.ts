import type { Clock } from "../base/clock.ts";
import type { AppServicePlan, WebApp } from "../cloud/app-service/web-apps.ts";
import type { Cloud } from "../cloud/cloud.ts";
import type { FirewallAccess } from "../cloud/firewall-access.ts";
import type { Administrator, Database, PostgresServer } from "../cloud/postgres-servers.ts";
import type { ResourceGroup } from "../cloud/resource-groups.ts";
import type { AnyStep, Step } from "../engine/step.ts";
import type { Package } from "../package/pack.ts";
import type { Setup, SiteSetup } from "../project/setup.ts";
import type { AppIdentity } from "../steps/app-identity.ts";
import type { deployPackage } from "../steps/deploy/deploy-package.ts";
import type { DeploymentState } from "../steps/deployment.ts";

/** A site, and what its steps work with. */
export interface SiteContext {
  readonly setup: Setup;
  readonly site: SiteSetup;
  /** Resource ID of the user-assigned identity that the site signs in with; absent: its system-assigned one. */
  readonly identityId: string | undefined;
  readonly cloud: Cloud;
  readonly firewallAccess: FirewallAccess;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Given when the graph is to end in deployments. */
  readonly deployments?: {
    package(site: SiteSetup): Promise<Package>;
    onDetail(step: string, text: string): void;
  };
}

/** What the site itself stands on. */
export interface SiteNeeds {
  readonly group: Step<ResourceGroup>;
  readonly plan: Step<AppServicePlan>;
  readonly identity?: Step<AppIdentity>;
}

/** What the steps of a site need of the project, and the site itself. */
export interface SharedSteps {
  readonly plan: Step<AppServicePlan>;
  readonly site: Step<WebApp>;
  readonly server: Step<PostgresServer>;
  readonly administrator: Step<Administrator>;
  readonly firewall: AnyStep;
  readonly database: Step<Database>;
}

/** The steps of one site, by what they are. */
export interface SiteSteps {
  readonly setup: SiteSetup;
  readonly plan: Step<AppServicePlan>;
  readonly site: Step<WebApp>;
  /** Runtime, start command, TLS. */
  readonly configuration: AnyStep;
  readonly publishing: AnyStep;
  readonly logs: AnyStep;
  readonly connection: AnyStep;
  readonly settings: AnyStep;
  readonly principal: AnyStep;
  readonly access: AnyStep;
  readonly deployment?: Step<DeploymentState>;
}

/** What kind of place an app runs in: everything that differs between the kinds, and nothing else asks which one it is. */
export interface AppHost {
  /** `web app`, in words for people. */
  readonly label: string;
  /** As the Azure CLI says it: `az webapp log tail`. */
  readonly azCommand: string;
  /** Paths of an app that can be asked whether it reaches its database, and to write a row and read it back. */
  readonly proof: { readonly database: string; readonly rows: string };
  site(context: SiteContext, needs: SiteNeeds): Step<WebApp>;
  /** The rest, in the order they are shown. */
  steps(context: SiteContext, shared: SharedSteps): SiteSteps;
  /** Brings a package onto a site that is there, without a graph. */
  readonly deploy: typeof deployPackage;
}
