import type { AccessLevel } from "../base/access-level.ts";
import type { DatabaseAccess } from "../cloud/database/access.ts";
import { accessDifferences } from "../cloud/database/access-differences.ts";
import type { Databases } from "../cloud/database/databases.ts";
import type { DatabasePrincipal } from "../cloud/database/roles.ts";
import type { PostgresServer } from "../cloud/postgres-servers.ts";
import type { Administrator, Database } from "../cloud/server-children.ts";
import { defineStep, type Step } from "../engine/step.ts";

/** The role's rights in the app's database: exactly the level, proved by what the database itself says. */
export const databaseAccess = (
  desired: { label: string; role: string; level: AccessLevel },
  databases: Databases,
  needs: {
    readonly server: Step<PostgresServer>;
    readonly administrator: Step<Administrator>;
    readonly database: Step<Database>;
    readonly principal: Step<DatabasePrincipal>;
  },
) =>
  defineStep<DatabaseAccess, typeof needs>({
    name: `database access ${desired.label}`,
    needs,
    lane: "database roles",
    read: ({ server, administrator, database }) => databases.at(server, administrator.name).in(database.name).access(desired.role),
    plan: (observed) => {
      if (!observed) return { kind: "create", reason: desired.level };
      const wrong = accessDifferences(observed, desired.level);
      if (wrong.length === 0) return { kind: "keep" };
      return {
        kind: "update",
        differences: [{ field: "access", observed: wrong.map(({ text }) => text).join("; "), desired: desired.level }],
      };
    },
    apply: (_change, { server, administrator, database }) =>
      databases.at(server, administrator.name).in(database.name).grant(desired.role, desired.level),
  });
