import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../base/clock.ts";
import { type BuildLog, type BuildLogEntry, createBuildLog } from "../../machines/build/log.ts";

/** The logs of a site's deployments: in memory while one runs, then in a file each. */
export interface DeploymentLogs {
  begin(id: string): BuildLog;
  /** Writes the log to its file: nothing more will be said. */
  end(id: string): void;
  /** Empty when the deployment was killed before its log was written. */
  read(id: string): readonly BuildLogEntry[];
}

export function createDeploymentLogs(siteFolder: () => string, clock: Clock): DeploymentLogs {
  const running = new Map<string, BuildLog>();
  const fileOf = (id: string): string => join(siteFolder(), "deployments", `${id}.json`);
  return {
    begin: (id) => {
      const log = createBuildLog(clock);
      running.set(id, log);
      return log;
    },
    end: (id) => {
      const log = running.get(id);
      if (log) writeFileSync(fileOf(id), JSON.stringify(log.entries));
      running.delete(id);
    },
    read: (id) => {
      const log = running.get(id);
      if (log) return log.entries;
      try {
        return JSON.parse(readFileSync(fileOf(id), "utf8")) as BuildLogEntry[];
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
        throw error;
      }
    },
  };
}
