import type { SiteConfigResource } from "@azure/arm-appservice";
import { defined } from "../../base/defined.ts";

/** The parts of `config/web` this tool sets. */
export interface SiteConfig {
  /** `linuxFxVersion`, `PYTHON|3.12`. */
  readonly runtime: string;
  /** `appCommandLine`; empty when App Service is to find out itself. */
  readonly startup: string;
  readonly alwaysOn: boolean;
  /** `Disabled`, `FtpsOnly`, `AllAllowed`. */
  readonly ftpsState: string;
  readonly minTlsVersion: string;
  readonly scmMinTlsVersion: string;
  /** Empty when no health check is set. */
  readonly healthCheckPath: string;
}

export function toConfig(config: SiteConfigResource): SiteConfig {
  return {
    runtime: config.linuxFxVersion ?? "",
    startup: config.appCommandLine ?? "",
    alwaysOn: config.alwaysOn ?? false,
    ftpsState: config.ftpsState ?? "",
    minTlsVersion: config.minTlsVersion ?? "",
    scmMinTlsVersion: config.scmMinTlsVersion ?? "",
    healthCheckPath: config.healthCheckPath ?? "",
  };
}

export function fromConfig(config: Partial<SiteConfig>): SiteConfigResource {
  const { runtime, startup, alwaysOn, ftpsState, minTlsVersion, scmMinTlsVersion, healthCheckPath } = config;
  return defined({
    linuxFxVersion: runtime,
    appCommandLine: startup,
    alwaysOn,
    ftpsState,
    minTlsVersion,
    scmMinTlsVersion,
    healthCheckPath,
  });
}
