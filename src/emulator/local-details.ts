import { join } from "node:path";
import { type ClockMode, formatClockMode } from "./clock-mode.ts";
import type { Foundation } from "./foundation.ts";
import type { Endpoints } from "./platform.ts";

/** What a client needs to talk to this local Azure. Holds no secret, only the names of the files that do. */
export interface LocalDetails {
  readonly home: string;
  readonly arm: string;
  readonly authority: string;
  readonly tenantId: string;
  readonly subscriptionId: string;
  readonly clientId: string;
  readonly clientSecretFile: string;
  readonly userPrincipalName: string;
  readonly userPasswordFile: string;
  readonly caFile: string;
  readonly caBundleFile: string;
  readonly controlKeyFile: string;
  /** `fast`, or `recorded:SCALE`; absent in what an older daemon told of itself. */
  readonly clock?: string;
  /** The same under the name of the version before; goes with the next one. */
  readonly pace: string;
  /** Absent in what an older daemon told of itself. */
  readonly tokenLifetimeSeconds?: number;
}

export function localDetails(
  { home, directory, certificates }: Foundation,
  endpoints: Endpoints,
  {
    clockMode = { kind: "fast" },
    tokenLifetimeSeconds,
  }: { readonly clockMode: ClockMode | undefined; readonly tokenLifetimeSeconds: number },
): LocalDetails {
  const key = (name: string): string => join(home.keys, name);
  return {
    home: home.root,
    arm: endpoints.resourceManager,
    authority: endpoints.authority,
    tenantId: endpoints.tenantId,
    subscriptionId: endpoints.subscriptionId,
    clientId: directory.app.appId ?? "",
    clientSecretFile: key("client-secret"),
    userPrincipalName: directory.user.userPrincipalName ?? "",
    userPasswordFile: key("user-password"),
    caFile: certificates.caFile,
    caBundleFile: certificates.bundleFile,
    controlKeyFile: key("control-key"),
    clock: formatClockMode(clockMode),
    pace: formatClockMode(clockMode),
    tokenLifetimeSeconds,
  };
}
