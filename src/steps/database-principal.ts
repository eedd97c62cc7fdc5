import type { Site } from "../cloud/app-service/sites.ts";
import type { Databases } from "../cloud/database/databases.ts";
import type { DatabasePrincipal } from "../cloud/database/roles.ts";
import type { PostgresServer } from "../cloud/postgres-servers.ts";
import type { Administrator, Database } from "../cloud/server-children.ts";
import { type Change, defineStep, type Step } from "../engine/step.ts";

/** The PostgreSQL role the web app signs in as, labelled with the object ID of its managed identity. */
export const databasePrincipal = (
  desired: { label: string; role: string },
  databases: Databases,
  needs: {
    readonly server: Step<PostgresServer>;
    readonly administrator: Step<Administrator>;
    readonly site: Step<Site>;
    readonly database: Step<Database>;
  },
) =>
  defineStep<DatabasePrincipal, typeof needs>({
    name: `database principal ${desired.label}`,
    needs,
    lane: "database roles",
    read: ({ server, administrator }) => databases.at(server, administrator.name).find(desired.role),
    plan: (observed, { site }) => planPrincipal(observed, desired.role, site.principalId),
    apply: async (change, { server, administrator, site, database }) => {
      const app = { role: desired.role, objectId: site.principalId ?? "" };
      const roles = databases.at(server, administrator.name);
      await (change.kind === "create" ? roles.create(app) : roles.repair(app, [database.name]));
    },
  });

function planPrincipal(observed: DatabasePrincipal | undefined, role: string, objectId: string | undefined): Change {
  if (!observed) return { kind: "create", reason: role };
  if (observed.isAdmin) {
    return {
      kind: "blocked",
      reason: `role ${role} is an administrator of the server`,
      hint: `remove it with \`az postgres flexible-server microsoft-entra-admin delete\`, or give the app another name`,
    };
  }
  if (observed.type === "none") {
    return {
      kind: "blocked",
      reason: `role ${role} exists and is not an Entra role`,
      hint: "drop that role, or give the app another name",
    };
  }
  if (observed.objectId.toLowerCase() === objectId?.toLowerCase() && observed.type === "service") return { kind: "keep" };
  return {
    kind: "update",
    differences: [{ field: "objectId", observed: observed.objectId, desired: objectId ?? "(that of the new identity)" }],
  };
}
