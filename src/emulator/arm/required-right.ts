/** What a request needs in ARM: an action, and the scope on which it must be allowed. */
export interface RequiredRight {
  /** `Microsoft.Web/sites/write` */
  readonly action: string;
  /** A resource ID, in the request's own spelling. */
  readonly scope: string;
  /** A role anywhere below the scope is enough, as for the state of an operation or the name of the subscription (inferred). */
  readonly isForAnyone?: boolean;
}

const VERBS: Readonly<Record<string, string>> = { GET: "read", HEAD: "read", PUT: "write", PATCH: "write", DELETE: "delete" };

/** Poll addresses are signed and name nothing: whoever could start an operation must be able to see its end. */
const POLLED = /\/(azureAsyncOperation|operationResults|operationStatuses)\//i;

/**
 * The right behind a request: types and names take turns in a path, `sites/shop/config/web` is `sites/config`; a POST names its action in its
 * last word; a list asks at what holds it (learn.microsoft.com/azure/role-based-access-control/resource-provider-operations).
 * `undefined` for what every signed-in principal may ask: subscriptions, tenants.
 */
export function requiredRight(method: string, path: string): RequiredRight | undefined {
  const words = path.split("/").filter(Boolean);
  const [first = "", subscription] = words;
  if (first.toLowerCase() !== "subscriptions" || subscription === undefined) return undefined;
  const root = `/${words.slice(0, 2).join("/")}`;
  if (words.length === 2) return { action: "Microsoft.Resources/subscriptions/read", scope: root, isForAnyone: true };
  const at = words.findLastIndex((word, index) => word.toLowerCase() === "providers" && index % 2 === 0 && index + 1 < words.length);
  const isOfProvider = at > 0 && words.length > at + 2;
  const namespace = isOfProvider ? (words[at + 1] ?? "") : "Microsoft.Resources";
  const below = words.slice(isOfProvider ? at + 2 : 2);
  const types = [...(isOfProvider ? [] : ["subscriptions"]), ...below.filter((_, index) => index % 2 === 0)];
  const isNamed = below.length % 2 === 0;
  const holder = words.slice(0, below.length === 1 ? (isOfProvider ? at : 2) : -1);
  const scope = `/${(isNamed ? words : holder).join("/")}`;
  const verb = VERBS[method] ?? "action";
  return { action: `${namespace}/${types.join("/")}/${verb}`, scope, ...(POLLED.test(path) ? { isForAnyone: true } : {}) };
}
