import { connectionBudget } from "../advice/connections.ts";
import { siteName } from "../base/site-address.ts";
import { hinders } from "../cloud/database/access-differences.ts";
import { quoteIdentifier } from "../cloud/database/sql.ts";
import { type Check, fix, toFinding } from "./check.ts";
import type { ProjectFacts } from "./facts.ts";

/** The database that all apps share. */
export const databaseChecks: readonly Check<ProjectFacts>[] = [
  {
    code: "database/exists",
    name: "database exists",
    meaning: "the apps get `database does not exist`",
    repair: fix,
    proof: true,
    look: async ({ server, database }) => {
      await server();
      return database().then(({ name, charset }) => ({ ok: true, detail: `${name} (${charset})` }), toFinding);
    },
  },
  {
    code: "database/schema-public",
    name: "only roles with the right create in schema public",
    meaning: "every role of the server can put tables and functions in the apps' way (PostgreSQL 14 and older allow it by default)",
    repair: "run `passwordless-pg connect` and then: REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    look: async ({ sites: [first] }) => {
      const access = await first?.access();
      if (!access) return undefined;
      const isOpen = access.isSchemaCreatePublic;
      return { ok: !isOpen, detail: isOpen ? "PUBLIC has CREATE on schema public" : "PUBLIC has no CREATE" };
    },
  },
  {
    code: "database/no-misleading-setting",
    name: "database starts with no misleading setting",
    meaning: "the apps find other tables by their unqualified names, may not write, or work as another role",
    repair: "run `passwordless-pg connect` and then, for each of them: ALTER DATABASE … RESET …",
    look: async ({ sites, context: { setup } }) => {
      const access = await Promise.all(sites.map(async (site) => ({ level: site.app.access, ...(await site.access()) })));
      const found = access.flatMap(({ level, misleadingSettings }) =>
        misleadingSettings.filter((setting) => setting.scope === "database" && hinders(setting, level)),
      );
      if (found.length === 0) return { ok: true, detail: "none" };
      const names = [...new Set(found.map(({ name }) => name))];
      const reset = names.map((name) => `ALTER DATABASE ${quoteIdentifier(setup.database)} RESET ${name}`).join("; ");
      return {
        ok: false,
        detail: [...new Set(found.map(({ name, value }) => `${name} = ${value}`))].join(", "),
        // A session of the administrator starts with it too.
        hint: `run \`passwordless-pg connect\` and then: SET default_transaction_read_only = off; ${reset}`,
      };
    },
  },
  {
    code: "database/connections",
    name: "connections suffice for the apps",
    meaning: "under load the apps get `sorry, too many clients already` (53300)",
    repair: "make the pools smaller (DB_POOL_SIZE, WEB_CONCURRENCY), have fewer instances, or take a larger server",
    look: async ({ parameter, sites }) => {
      const [{ value }, users] = await Promise.all([
        parameter("max_connections"),
        Promise.all(
          sites.map(async ({ app, settings, plan }) => ({
            name: siteName(app.address),
            settings: await settings(),
            instances: (await plan()).capacity,
          })),
        ),
      ]);
      const { isEnough, needed, usable, parts } = connectionBudget(users, Number(value));
      return { ok: isEnough, detail: `${parts.join(", ")}: ${needed} of ${usable} usable (max_connections ${value})` };
    },
  },
];
