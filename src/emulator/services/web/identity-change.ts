import { isSameId } from "../../../base/resource-id.ts";
import { armError } from "../../http/arm-error.ts";
import type { Directory } from "../../platform.ts";
import { type AssignedIdentity, isUserIdentityId } from "./model.ts";
import type { Sites } from "./sites.ts";

/** `identity` of a site's body: ARM's common shape for managed identities. */
export interface IdentityBody {
  readonly type?: string;
  /** By resource ID; `null` takes the identity away. */
  readonly userAssignedIdentities?: Readonly<Record<string, object | null>>;
}

type Assigned = Readonly<Record<string, AssignedIdentity>>;

/**
 * Refuses a body that names an identity which does not exist, or none where one is needed, before anything is changed.
 * Status and code are those met with on other providers (`FailedIdentityOperation`); the words are inferred.
 */
export function checkIdentities(directory: Directory, siteId: string, body: IdentityBody | undefined, before: Assigned = {}): void {
  if (!has(body, "UserAssigned")) return;
  const wanted = Object.entries(body?.userAssignedIdentities ?? {}).filter(([, value]) => value !== null);
  for (const [id] of wanted) {
    const isKnown = Object.keys(before).some((known) => isSameId(known, id));
    if (!isKnown && (!isUserIdentityId(id) || !directory.findByResource(id))) throw failed(siteId, `Resource '${id}' was not found.`);
  }
  if (wanted.length === 0 && Object.keys(before).length === 0) {
    throw failed(siteId, "The request format was unexpected : Request requires identities to be assigned.");
  }
}

function failed(siteId: string, words: string) {
  const response = JSON.stringify({ error: { code: "BadRequest", message: words } });
  return armError(
    400,
    "FailedIdentityOperation",
    `Identity operation for resource '${siteId}' failed with error 'Failed to perform resource identity operation. Status: 'BadRequest'. Response: '${response}'.'.`,
  );
}

/**
 * Makes the identities of a site what a body says. `type` names the kinds that are to be there; PUT replaces the map of user-assigned ones,
 * PATCH merges into it (ARM's common rules for managed identities). One that is assigned already stays what it was: it is taken up
 * anew only after it was taken away (inferred: Microsoft's pages say that a deleted identity leaves its assignments behind).
 */
export function changeIdentities(
  directory: Directory,
  sites: Sites,
  siteId: string,
  body: IdentityBody | undefined,
  method: "PUT" | "PATCH",
): void {
  if (body?.type === undefined) return;
  if (has(body, "SystemAssigned")) sites.enableSystemIdentity(siteId);
  else sites.disableSystemIdentity(siteId);
  const before = sites.get(siteId)?.userIdentities ?? {};
  const after = has(body, "UserAssigned") ? merged(directory, before, body.userAssignedIdentities ?? {}, method) : {};
  if (JSON.stringify(before) !== JSON.stringify(after)) sites.update(siteId, { userIdentities: after }, true);
}

function merged(
  directory: Directory,
  before: Assigned,
  wanted: Readonly<Record<string, object | null>>,
  method: "PUT" | "PATCH",
): Assigned {
  const named = Object.entries(wanted);
  const isNamed = (id: string): boolean => named.some(([other]) => isSameId(other, id));
  const kept = method === "PATCH" ? Object.entries(before).filter(([id]) => !isNamed(id)) : [];
  const given = named
    .filter(([, value]) => value !== null)
    .flatMap(([id]) => {
      const known = Object.entries(before).find(([other]) => isSameId(other, id));
      if (known) return [known];
      const principal = directory.findByResource(id);
      return principal?.appId ? [[id, { principalId: principal.objectId, clientId: principal.appId }] as const] : [];
    });
  return Object.fromEntries([...kept, ...given]);
}

function has(body: IdentityBody | undefined, kind: string): boolean {
  return (body?.type ?? "").split(",").some((word) => word.trim().toLowerCase() === kind.toLowerCase());
}
