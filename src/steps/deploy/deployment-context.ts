import type { Clock } from "../../base/clock.ts";
import type { SiteClient } from "../../cloud/app-service/site-client.ts";
import type { WebApp, WebApps } from "../../cloud/app-service/web-apps.ts";
import type { ScmSite } from "../../cloud/scm/scm-site.ts";

/** What a deployment works with. */
export interface DeploymentContext {
  readonly webApps: WebApps;
  scmSite(site: WebApp): ScmSite;
  site(site: WebApp): SiteClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Lines of the build log and what is waited for. */
  onDetail(text: string): void;
}
