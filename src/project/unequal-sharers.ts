import type { AccessLevel } from "../base/access-level.ts";
import { parseResourceId } from "../base/resource-id.ts";
import type { Problem } from "./problems.ts";

interface Site {
  readonly label: string;
  readonly access: AccessLevel;
  readonly identity?: string;
}

/** Whoever has an identity may sign in as any of its roles: apps that share one must be allowed the same. */
export function unequalSharers(sites: readonly Site[], resourceGroup: string): Problem[] {
  const named = sites.flatMap(({ label, access, identity }) =>
    identity ? [{ label, access, identity: plainly(identity, resourceGroup) }] : [],
  );
  return named.flatMap(({ label, access, identity }, index) => {
    const other = named.slice(0, index).find((one) => one.identity === identity && one.access !== access);
    if (!other) return [];
    const text = `apps: ${other.label} ("${other.access}") and ${label} ("${access}") share an identity, and each could sign in as the other; give them the same access, or each its own identity`;
    return [{ code: "apps-clash", text }];
  });
}

/** `group/name` of an identity, to compare. */
function plainly(identity: string, resourceGroup: string): string {
  const parsed = parseResourceId(identity);
  return (parsed ? `${parsed.resourceGroup}/${parsed.path.at(-1)}` : `${resourceGroup}/${identity}`).toLowerCase();
}
