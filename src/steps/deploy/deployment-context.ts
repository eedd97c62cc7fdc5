import type { Clock } from "../../base/clock.ts";
import type { SiteClient } from "../../cloud/app-service/site-client.ts";
import type { Site, SiteAdapter } from "../../cloud/app-service/sites.ts";
import type { ScmSite } from "../../cloud/scm/scm-site.ts";

/** What a deployment works with. */
export interface DeploymentContext {
  readonly adapter: SiteAdapter;
  scmSite(site: Site): ScmSite;
  site(site: Site): SiteClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Lines of the build log and what is waited for. */
  onDetail(text: string): void;
}
