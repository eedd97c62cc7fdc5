import { randomUUID } from "node:crypto";
import { isSameId } from "../../../base/resource-id.ts";
import type { Directory, DirectoryPrincipal } from "../../platform.ts";
import type { Store } from "../../store.ts";

/** The names a fresh tenant is seeded with. */
const seedNames = {
  user: "Dana Local",
  userPrincipalName: "dana@local.example",
  servicePrincipal: "passwordless-pg-local",
  group: "Local Database Administrators",
} as const;

/** With the person and the application that a tenant is seeded with. */
export interface TenantDirectory extends Directory {
  readonly user: DirectoryPrincipal;
  readonly app: DirectoryPrincipal;
}

/** The tenant's users, groups and service principals, kept in the store. Seeded with one of each at first use. */
export function openDirectory(store: Store): TenantDirectory {
  const rows = store.collection<DirectoryPrincipal>("directory");
  if (rows.list().length === 0) for (const principal of seeds()) rows.set(principal.objectId, principal);
  const listeners: (() => void)[] = [];
  const changed = (): void => {
    for (const listener of listeners) listener();
  };
  const seed = (matches: (principal: DirectoryPrincipal) => boolean): DirectoryPrincipal => {
    const found = rows.list().find(matches);
    if (!found) throw new Error("The directory has lost one of its seeds.");
    return found;
  };
  return {
    user: seed((row) => row.userPrincipalName === seedNames.userPrincipalName),
    app: seed((row) => row.displayName === seedNames.servicePrincipal && !row.managedIdentityOf),
    find: (objectId) => rows.get(objectId),
    findByAppId: (appId) => rows.list().find((row) => row.appId === appId.toLowerCase()),
    findByName: (name) => {
      const wanted = name.toLowerCase();
      const byUpn = rows.list().filter((row) => row.userPrincipalName?.toLowerCase() === wanted);
      return byUpn.length > 0 ? byUpn : rows.list().filter((row) => row.displayName.toLowerCase() === wanted);
    },
    list: () => rows.list(),
    findByResource: (resourceId) => rows.list().find((row) => row.managedIdentityOf && isSameId(row.managedIdentityOf, resourceId)),
    createManagedIdentity: (resourceId, displayName) => {
      const principal: DirectoryPrincipal = {
        objectId: randomUUID(),
        type: "ServicePrincipal",
        displayName,
        appId: randomUUID(),
        managedIdentityOf: resourceId,
      };
      rows.set(principal.objectId, principal);
      changed();
      return principal;
    },
    remove: (objectId) => {
      if (rows.delete(objectId)) changed();
    },
    groupsOf: (objectId) =>
      rows
        .list()
        .filter((row) => row.members?.includes(objectId.toLowerCase()))
        .map((row) => row.objectId),
    onChange: (listener) => void listeners.push(listener),
  };
}

function seeds(): readonly DirectoryPrincipal[] {
  const user: DirectoryPrincipal = {
    objectId: randomUUID(),
    type: "User",
    displayName: seedNames.user,
    userPrincipalName: seedNames.userPrincipalName,
  };
  const app: DirectoryPrincipal = {
    objectId: randomUUID(),
    type: "ServicePrincipal",
    displayName: seedNames.servicePrincipal,
    appId: randomUUID(),
  };
  const group: DirectoryPrincipal = { objectId: randomUUID(), type: "Group", displayName: seedNames.group, members: [user.objectId] };
  return [user, app, group];
}
