import { isSameId, parseResourceId } from "../base/resource-id.ts";
import type { Site } from "../cloud/app-service/sites.ts";
import { quoteIdentifier } from "../cloud/database/sql.ts";
import type { Warning } from "../engine/report.ts";
import { ownerTag, type Setup } from "../project/setup.ts";
import { resourceKinds } from "./resource-kinds.ts";

const { "microsoft.web/sites": siteKind, "microsoft.web/serverfarms": planKind } = resourceKinds;

/** A web app that this project made and that its file no longer names. */
export interface Orphan {
  readonly site: Site;
  /** Name of its App Service plan, where no web app of the file is in it. */
  readonly plan?: string;
}

/** Of all web apps of the group: those with this project's tag that are not in its file, as after an app's name or key was changed. */
export function findOrphans(sites: readonly Site[], setup: Setup): Orphan[] {
  const isInFile = ({ name }: Site): boolean => setup.sites.some((app) => app.address.app.toLowerCase() === name.toLowerCase());
  const used = sites.filter(isInFile).map(({ planId }) => planId);
  return sites
    .filter((site) => site.tags[ownerTag] === setup.owner && !isInFile(site))
    .map((site) => {
      const plan = used.some((id) => isSameId(id, site.planId)) ? undefined : parseResourceId(site.planId)?.path.at(-1);
      return { site, ...(plan !== undefined && { plan }) };
    });
}

/** What is said of them, by `doctor` and before `init`. The role of an app has the name of its web app. */
export function describeOrphans(orphans: readonly Orphan[], { resourceGroup: group }: Setup): Omit<Warning, "name"> {
  const named = orphans.map(({ site, plan }) => `${site.name}${plan === undefined ? "" : ` (${planKind.label} ${plan})`}`);
  const one = orphans.length === 1;
  const apps = `${siteKind.label}${one ? "" : "s"}`;
  const roles = orphans.map(({ site }) => site.name).join(", ");
  const tell = `${apps} ${named.join(", ")} ${one ? "carries" : "carry"} this project's tag but ${one ? "is" : "are"} not in the project file`;
  const removals = orphans.map(({ site }) => `\`az webapp delete -g ${group} -n ${site.name}\``).join(", ");
  const clean = orphans.map(({ site }) => removeRole(quoteIdentifier(site.name))).join(" ");
  return {
    detail: `${tell}: still there and paid for; the database ${one ? "role" : "roles"} ${roles} may still sign in`,
    hint: `put the old name back into the project file, or remove what is left: ${removals}; then in \`passwordless-pg connect\`: ${clean}`,
  };
}

/** What it owns goes to the caller, as with `down`. */
function removeRole(role: string): string {
  return `GRANT ${role} TO CURRENT_USER; REASSIGN OWNED BY ${role} TO CURRENT_USER; DROP OWNED BY ${role}; DROP ROLE ${role};`;
}
