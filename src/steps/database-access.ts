import {
  type AccessLevel,
  accessDifferences,
  type DatabaseAccess,
  type DatabasePrincipal,
  type Principals,
} from "../cloud/database/principals.ts";
import type { FirewallAccess } from "../cloud/firewall-access.ts";
import type { PostgresServer } from "../cloud/postgres-servers.ts";
import type { Administrator, Database } from "../cloud/server-children.ts";
import { defineStep, type Step } from "../engine/step.ts";

/** The role's rights in the app's database: exactly the level, proved by what the database itself says. */
export const databaseAccess = (
  desired: { key: string; role: string; level: AccessLevel },
  principals: Principals,
  firewallAccess: FirewallAccess,
  needs: {
    readonly server: Step<PostgresServer>;
    readonly administrator: Step<Administrator>;
    readonly database: Step<Database>;
    readonly principal: Step<DatabasePrincipal>;
  },
) =>
  defineStep<DatabaseAccess, typeof needs>({
    name: `database access ${desired.key}`,
    needs,
    lane: "database roles",
    read: ({ server, administrator, database }) =>
      firewallAccess.withAccess(server, () => principals.access(server, administrator.name, database.name, desired.role)),
    plan: (observed) => {
      if (!observed) return { kind: "create", reason: desired.level };
      const wrong = accessDifferences(observed, desired.level);
      if (wrong.length === 0) return { kind: "keep" };
      return { kind: "update", differences: [{ field: "access", observed: wrong.join("; "), desired: desired.level }] };
    },
    apply: async (_change, { server, administrator, database }) => {
      await firewallAccess.withAccess(server, () =>
        principals.grant(server, administrator.name, database.name, desired.role, desired.level),
      );
    },
  });
