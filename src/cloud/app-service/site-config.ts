import type { SiteConfigResource } from "@azure/arm-appservice";

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
  return {
    ...(runtime !== undefined && { linuxFxVersion: runtime }),
    ...(startup !== undefined && { appCommandLine: startup }),
    ...(alwaysOn !== undefined && { alwaysOn }),
    ...(ftpsState !== undefined && { ftpsState }),
    ...(minTlsVersion !== undefined && { minTlsVersion }),
    ...(scmMinTlsVersion !== undefined && { scmMinTlsVersion }),
    ...(healthCheckPath !== undefined && { healthCheckPath }),
  };
}
