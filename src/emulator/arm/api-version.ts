import { parseResourceId } from "../../base/resource-id.ts";
import { armError } from "../http/arm-error.ts";
import type { Service } from "../platform.ts";

/** Refuses an api-version that the service does not answer, in ARM's words for it. `now` in epoch milliseconds. */
export function requireApiVersion(service: Service, path: string, version: string, now: number): void {
  if (service.apiVersions.includes(version) || service.hiddenApiVersions?.includes(version)) return;
  if (isNewerThanKnown(service, version, now)) return;
  const supported = service.apiVersions.join(", ");
  const type = parseResourceId(path)?.path.filter((_, index) => index % 2 === 0) ?? [];
  if (type.length === 0) {
    throw armError(
      400,
      "InvalidApiVersionParameter",
      `The api-version '${version}' is invalid. The supported versions are '${supported}'.`,
    );
  }
  throw armError(
    400,
    "NoRegisteredProviderFound",
    `No registered resource provider found for location 'global' and API version '${version}' for type '${type.join("/")}'. The supported api-versions are '${supported}'. The supported locations are ''.`,
  );
}

/**
 * SDKs go on to new api-versions every few months. One that is younger than all known here and not of the future may well exist in Azure:
 * it is answered in the shape of the newest known. Versions that only look like one stay refused.
 */
function isNewerThanKnown(service: Service, version: string, now: number): boolean {
  if (!/^\d{4}-\d\d-\d\d(-preview)?$/.test(version)) return false;
  const date = version.slice(0, 10);
  return date <= new Date(now).toISOString().slice(0, 10) && service.apiVersions.every((known) => known.slice(0, 10) < date);
}
