import type { Caller } from "../credential.ts";
import type { Administrator } from "../server-children.ts";

/**
 * The one of the administrators under whose name the server lets the caller in. Itself is found by object ID (ARM's `name` is the principal
 * name, for guests not their address); a group by the token's `groups`, and where the token names none by trying the login.
 */
export async function ownAdministrator(
  caller: Caller,
  administrators: readonly Administrator[],
  canSignIn: (login: string) => Promise<boolean>,
): Promise<Administrator | undefined> {
  const own = administrators.find(({ objectId }) => objectId.toLowerCase() === caller.objectId.toLowerCase());
  if (own) return own;
  const groups = administrators.filter(({ type }) => type === "Group");
  const known = groups.find(({ objectId }) => caller.groups.includes(objectId.toLowerCase()));
  if (known) return known;
  for (const group of groups) {
    if (await canSignIn(group.name)) return group;
  }
  return undefined;
}
