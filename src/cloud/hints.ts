import { KnownError } from "../base/errors.ts";

/**
 * What to do where the cause lies with the cloud, its portal, its support, or the way to it, in the words for Azure itself. An environment that has
 * none of these says something else under the same name. A hint that names one of them belongs here.
 */
export const hints = {
  unreachable: "check the network, proxy and the chosen cloud",
  authorityUnreachable:
    "check the network, the proxy and the chosen cloud; a proxy that opens TLS must have its certificate trusted (NODE_EXTRA_CA_CERTS)",
  slow: "run the same command again; if it stays so, look at Azure's status page and the network between",
  failed: "run the same command again to go on; if it stays so, look at Azure's status page",
  noRoom: "Azure has no room for it: run the same command again later, or choose another location",
  foreignAddress: "does a proxy rewrite Azure's answers? Otherwise run the same command again",
  foreignAnswer: "does something else answer in its place, a proxy perhaps? Otherwise run the same command again",
  foreignHost: "is it the right cloud (--cloud)? Otherwise something rewrites Azure's answers, a proxy perhaps",
  signIn: "sign in with `az login`",
  signInAnywhere: "sign in with `az login`; in CI set up workload identity, or use `--local` for local Azure",
  signInAgain: "sign in again with `az login`",
  signInAnew: "sign in again: `az logout`, then `az login`",
  signInToTenant: "sign in to the subscription's tenant: `az login --tenant TENANT`",
  signInToSite: "sign in again with `az login`; the account must belong to the tenant of the subscription",
  subscription: "check `--subscription` and the account: `az account list`",
  subscriptionDisabled: "the subscription is disabled: look at its state in the portal",
  subscriptionState: "look at its state in the portal; `--subscription` chooses another one",
  regionClosed: "this region is closed to the subscription: choose another location, or ask Azure support to open it",
  regionOrSku: 'choose another "location", "server.sku" or "server.version" in the project file, or ask Azure support to open the region',
  quota: "choose another SKU or location, or ask for quota in the portal",
  quotas: "ask for quota in the portal (Quotas), or choose another location",
  serverState: "look at it in the portal; run the command again when it is Ready",
  deploymentState: "look at it in the portal's deployment center, then deploy again",
  nameResolution: "check the name servers; a private server resolves in its own network only",
  databasePort: "let this network reach port 5432 (proxy, company firewall), or work from Azure Cloud Shell",
  databaseTrust: "remove the TLS proxy for this host, or update the trusted roots (NODE_EXTRA_CA_CERTS)",
  databaseTls: "the server's certificate is not trusted, or it offers no TLS: is something between this machine and Azure?",
  databaseUnknown: "the server's name does not resolve: is it deleted, or private (reachable from its network only)?",
  noResolver: "name resolution failed: check the network",
  databaseStopped: "nothing listens there: is the server stopped?",
  databaseSilent: "no answer: public access may be closed, or a firewall on the way blocks port 5432",
  stillRefused: "check that no network policy or private endpoint stands in between",
} as const;

export type HintName = keyof typeof hints;

/** What an environment says instead. */
export interface Hinted {
  readonly hints?: Readonly<Partial<Record<HintName, string>>>;
}

/** A hint as this environment has it. */
export function hintIn({ hints: own }: Hinted, hint: string): string {
  const name = (Object.keys(hints) as HintName[]).find((one) => hints[one] === hint);
  return (name && own?.[name]) ?? hint;
}

/** The error with its hint as this environment has it. */
export function wordedFor(environment: Hinted, error: unknown): unknown {
  if (!(error instanceof KnownError) || error.hint === undefined) return error;
  const hint = hintIn(environment, error.hint);
  const { code, message, cause, retryAfterMs } = error;
  return hint === error.hint ? error : new KnownError(code, message, { hint, cause, retryAfterMs });
}

/** The same adapter, whose failures have this environment's hints. */
export function wordedAdapter<T extends object>(environment: Hinted, adapter: T): T {
  if (!environment.hints) return adapter;
  return new Proxy(adapter, {
    get: (target, name, receiver) => {
      const member: unknown = Reflect.get(target, name, receiver);
      if (typeof member !== "function") return member;
      return (...given: unknown[]): unknown => {
        const result: unknown = Reflect.apply(member, target, given);
        if (!(result instanceof Promise)) return result;
        return result.catch((error: unknown) => {
          throw wordedFor(environment, error);
        });
      };
    },
  });
}
