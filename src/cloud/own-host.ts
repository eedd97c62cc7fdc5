import { KnownError } from "../base/errors.ts";
import { hints } from "./hints.ts";

/** `name[:port]` and nothing else: a `user@`, a path or a blank would lead a token to another host than the one that is read there. */
const HOST = /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?::\d{1,5})?$/i;

/**
 * The host that Azure named for `what`, to which a token is about to be sent: only below one of the `domains` of the chosen cloud (any host where
 * none are given). Throws `azure/invalid` before anything is sent.
 */
export function ownHost(what: string, host: string, domains: readonly string[] | undefined): string {
  const name = host.replace(/:\d+$/, "").toLowerCase();
  const isOurs = domains === undefined || domains.some((domain) => name === domain || name.endsWith(`.${domain}`));
  if (HOST.test(host) && isOurs) return host;
  const where = domains === undefined ? "" : `, which is not below ${domains.join(" or ")}`;
  throw new KnownError(
    "azure/invalid",
    `Azure names ${JSON.stringify(host.slice(0, 100))} as the host of ${what}${where}: no token is sent there`,
    {
      hint: hints.foreignHost,
    },
  );
}

/** Is the address on this origin's host or on one below it (a region's own, `eastus.management.azure.com`)? */
export function isOfOrigin(address: string, origin: string): boolean {
  const [url, home] = [new URL(address), new URL(origin)];
  return (
    url.protocol === home.protocol &&
    url.port === home.port &&
    (url.hostname === home.hostname || url.hostname.endsWith(`.${home.hostname}`))
  );
}

/** The SDKs follow `Location`, `Azure-AsyncOperation` and `nextLink` wherever they lead, with the token. Throws `azure/failed`. */
export function refuseForeign(address: string, resourceManager: string): void {
  if (isOfOrigin(address, resourceManager)) return;
  throw new KnownError("azure/failed", `Azure sent an address on another host (${new URL(address).origin}): not followed`, {
    hint: hints.foreignAddress,
  });
}
