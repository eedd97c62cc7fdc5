import type { Clock } from "../base/clock.ts";
import type { Check } from "../checks/check.ts";
import type { SiteFacts } from "../checks/facts.ts";
import type { AppServicePlan } from "../cloud/app-service/plans.ts";
import type { Site } from "../cloud/app-service/sites.ts";
import type { Cloud } from "../cloud/cloud.ts";
import type { PostgresServer } from "../cloud/postgres-servers.ts";
import type { ResourceGroup } from "../cloud/resource-groups.ts";
import type { Database } from "../cloud/server-children.ts";
import type { AnyStep, Step } from "../engine/step.ts";
import type { Package } from "../package/pack.ts";
import type { Setup } from "../project/setup.ts";
import type { SiteSetup } from "../project/site-setup.ts";
import type { AppIdentity } from "../steps/app-identity.ts";
import type { deployPackage } from "../steps/deploy/deploy-package.ts";
import type { DeploymentState } from "../steps/deployment.ts";

/** What the steps of all sites share. */
export interface HostContext {
  readonly setup: Setup;
  readonly cloud: Cloud;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Given when the graph is to end in deployments. */
  readonly deployments?: {
    package(site: SiteSetup): Promise<Package>;
    onDetail(step: string, text: string): void;
  };
}

/** The site itself and what it runs on; other steps need them. */
export interface PlacedSite {
  readonly plan: Step<AppServicePlan>;
  readonly site: Step<Site>;
}

/** What makes the site an app of the database. */
export interface ConnectedSite {
  /** What no credentials and no logs pass by. */
  readonly hardening: readonly AnyStep[];
  readonly connection: AnyStep;
  readonly settings: Step<Record<string, string>>;
  readonly deployment?: Step<DeploymentState>;
}

/** One kind of host: everything that is so for its sites and not for others. Nothing outside asks which kind it is. */
export interface AppHost {
  /** As people say it: `web app`. */
  readonly noun: string;
  /** What is asked of its sites, in the order of the chain. */
  readonly checks: readonly Check<SiteFacts>[];
  /** Steps that need nothing of the database. */
  place(
    site: SiteSetup,
    context: HostContext,
    needs: { readonly group: Step<ResourceGroup>; readonly identity?: Step<AppIdentity> },
  ): PlacedSite;
  /** The rest. */
  connect(
    site: SiteSetup,
    context: HostContext,
    needs: PlacedSite & { readonly server: Step<PostgresServer>; readonly database: Step<Database>; readonly firewall: AnyStep },
  ): ConnectedSite;
  /** Brings a package onto a site that is there, without a graph. Throws `deploy/…`. */
  readonly deploy: typeof deployPackage;
}
