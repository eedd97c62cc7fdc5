import { retry } from "../../base/retry.ts";
import type { CloudContext } from "../connection.ts";
import { pauseWithin, scmClient } from "./client.ts";
import { deployments, type ScmDeployments } from "./deployments.ts";
import { logFiles, type ScmLogFiles } from "./log-files.ts";

/** The SCM site (Kudu) of one web app, with a bearer token on each call. */
export interface ScmSite extends ScmDeployments, ScmLogFiles {
  /** Wakes the SCM container: the first call after a create or a settings change may take minutes. */
  warmUp(): Promise<void>;
  /** App settings as the SCM container sees them now. */
  getSettings(): Promise<Record<string, string>>;
}

const WARM_UP_DEADLINE_MS = 5 * 60_000;

export function scmSite(context: CloudContext, site: { readonly name: string; readonly scmHost: string }): ScmSite {
  const { clock, onProgress, signal } = context;
  const client = scmClient(context, site);
  return {
    ...deployments(client),
    ...logFiles(client),
    warmUp: async () => {
      await retry(() => client.succeed("wake the SCM site", "/api/deployments?warmup=true"), {
        clock,
        signal,
        pauseMs: (trouble) => {
          const ms = pauseWithin(WARM_UP_DEADLINE_MS, trouble);
          if (ms !== undefined) onProgress?.("waking the SCM site");
          return ms;
        },
      });
    },
    getSettings: async () => (await client.readJson<Record<string, string>>("read the settings", "/api/settings")) ?? {},
  };
}
