import type { TokenClaims } from "../../base/jwt.ts";
import { type ArmError, armError } from "../http/arm-error.ts";
import type { Access, Directory, Endpoints } from "../platform.ts";
import { type RequiredRight, requiredRight } from "./required-right.ts";

/** What rights are judged by. */
export interface RightsDependencies {
  readonly access: Access;
  readonly directory: Pick<Directory, "find">;
  readonly endpoints: Endpoints;
}

/** Which items of a list the caller may see. */
export type Seen = "all" | ((id: string) => boolean);

/** Refuses what the caller's roles do not allow. A list at a scope that only holds what it may see is answered in part (inferred). */
export function requireRight(dependencies: RightsDependencies, { oid = "", ...claims }: TokenClaims, method: string, path: string): Seen {
  const { access, endpoints } = dependencies;
  const right = requiredRight(method, path);
  const root = `/subscriptions/${endpoints.subscriptionId}`;
  if (!right) return (id) => !isWithinSubscription(id) || access.isAllowedBelow(oid, "Microsoft.Resources/subscriptions/read", id);
  const { action, scope } = right;
  if (access.isAllowed(oid, action, scope)) return "all";
  if (right.isForAnyone && access.isAllowedBelow(oid, action, root)) return "all";
  const isList = method === "GET" && !isSameScope(scope, path);
  if (isList && access.isAllowedBelow(oid, action, scope)) return (id) => access.isAllowed(oid, action, id);
  throw forbidden(dependencies, { ...claims, oid }, right);
}

function isSameScope(scope: string, path: string): boolean {
  return scope.toLowerCase() === path.toLowerCase();
}

function isWithinSubscription(id: string): boolean {
  return /^\/subscriptions\//i.test(id);
}

interface LinkedBody {
  readonly identity?: { readonly userAssignedIdentities?: Readonly<Record<string, unknown>> | null } | null;
  readonly properties?: { readonly serverFarmId?: unknown; readonly targetService?: { readonly id?: unknown } | null } | null;
}

/** The rights on other resources that a body needs: else a role on one app were a way to every identity, plan and server. */
function linkedRights(body: unknown): readonly RequiredRight[] {
  const { identity, properties } = (body ?? {}) as LinkedBody;
  const plan = properties?.serverFarmId;
  const target = properties?.targetService?.id;
  return [
    ...Object.keys(identity?.userAssignedIdentities ?? {}).map((scope) => ({
      action: "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
      scope,
    })),
    ...(typeof plan === "string" ? [{ action: "Microsoft.Web/serverFarms/join/action", scope: plan }] : []),
    // Service Connector writes firewall rules there on behalf of the caller; which right it asks for first is inferred.
    ...(typeof target === "string" ? [{ action: "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules/write", scope: target }] : []),
  ];
}

/** Refuses a body that ties the resource to others on which its caller has no right. */
export function requireLinkedRights(
  { access }: RightsDependencies,
  { oid = "", appid = "", upn }: TokenClaims,
  { method, path, body }: { readonly method: string; readonly path: string; readonly body: unknown },
): void {
  const missing = linkedRights(body).find(({ action, scope }) => !access.isAllowed(oid, action, scope));
  if (!missing) return;
  const own = requiredRight(method, path);
  throw armError(
    403,
    "LinkedAuthorizationFailed",
    `The client '${upn ?? appid}' with object id '${oid}' has permission to perform action '${own?.action}' on scope '${own?.scope}'; however, it does not have permission to perform action '${missing.action}' on the linked scope(s) '${missing.scope}' or the linked scope(s) are invalid.`,
  );
}

/** The text as ARM's front end has it (azure/ci-identity.md section 6). */
function forbidden({ directory }: RightsDependencies, { oid = "", appid, upn }: TokenClaims, { action, scope }: RequiredRight): ArmError {
  const name = upn ?? appid ?? directory.find(oid)?.displayName ?? oid;
  return armError(
    403,
    "AuthorizationFailed",
    `The client '${name}' with object id '${oid}' does not have authorization to perform action '${action}' over scope '${scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
    { headers: { "x-ms-failure-cause": "gateway" } },
  );
}
