import { type AccessDifferenceCode, accessDifferences } from "../cloud/database/access-differences.ts";
import { describeExtraGrants, extraGrantHint } from "../cloud/database/extra-grants.ts";
import { type Check, fix } from "./check.ts";
import type { SiteFacts } from "./facts.ts";

const unprivileged = "role is not privileged";
const exact = ({ app }: SiteFacts): string => `access is exactly "${app.access}"`;

/** That there is a role, that it is the app's, and that it stands above nothing. */
const identityChecks: readonly Check<SiteFacts>[] = [
  {
    code: "role/exists",
    name: "role exists",
    meaning: "the app gets `password authentication failed`",
    repair: fix,
    look: async ({ findPrincipal, app }) => {
      const found = await findPrincipal();
      return { ok: found !== undefined, detail: found ? app.role : `${app.role} is absent` };
    },
  },
  {
    code: "role/labelled",
    name: "role is labelled with the identity",
    meaning: "the server refuses the app's tokens: the role is a user's or has a password, or the app was made anew under the same name",
    repair: fix,
    proof: true,
    look: async ({ principal, site, app }) => {
      const [{ objectId, type }, { principalId }] = await Promise.all([principal(), site()]);
      if (type === "none") {
        const hint = "drop or rename that role, or give the app another name; what it owns can be handed over with REASSIGN OWNED";
        return { ok: false, detail: `${app.role} is an ordinary role without a label`, hint };
      }
      if (type !== "service") return { ok: false, detail: `${app.role} is of type ${type}, not service` };
      const ok = objectId.toLowerCase() === principalId?.toLowerCase();
      const identity = principalId ?? "(none)";
      return { ok, detail: ok ? `${app.role} is ${identity}` : `${app.role} is ${objectId || "nobody"}, the identity is ${identity}` };
    },
  },
  {
    code: "role/no-administrator",
    name: "role is no administrator",
    meaning: "the app may do anything in every database of the server",
    repair: ({ context: { setup } }) =>
      `run \`az postgres flexible-server microsoft-entra-admin delete -g ${setup.resourceGroup} -s ${setup.server.name} --object-id ID\`, then \`passwordless-pg init\``,
    proof: unprivileged,
    look: async ({ principal, administrators, site }) => {
      const [{ isAdmin }, entries, { principalId }] = await Promise.all([principal(), administrators(), site()]);
      const entry = entries.find(({ objectId }) => objectId.toLowerCase() === principalId?.toLowerCase());
      const label = isAdmin ? "labelled as administrator" : "no administrator";
      return { ok: !isAdmin && !entry, detail: entry ? `the identity is administrator ${entry.name}` : label };
    },
  },
  {
    code: "role/only-one",
    name: "identity has one role",
    meaning: "which role the app gets depends on its DB_USER; tables made under the other belong to that one",
    repair: "hand its tables over (REASSIGN OWNED BY … TO …) and drop it with `passwordless-pg connect`",
    look: async ({ site, roles, app, context: { setup } }) => {
      const { principalId } = await site();
      // Apps that share a user-assigned identity have a role each, with the same access (the project file is refused otherwise).
      const isOfProject = (role: string): boolean => setup.sites.some((one) => one.role === role && one.identity !== undefined);
      const others = (await roles()).filter(
        ({ objectId, role }) =>
          principalId !== undefined && objectId.toLowerCase() === principalId.toLowerCase() && role !== app.role && !isOfProject(role),
      );
      return { ok: others.length === 0, detail: others.length === 0 ? app.role : `also ${others.map(({ role }) => role).join(", ")}` };
    },
  },
];

/** How the access of the role differs from that of its level, each difference in the check of its code. */
const differences: Readonly<
  Record<
    AccessDifferenceCode,
    Pick<Check<SiteFacts>, "code" | "name" | "meaning" | "proof"> & {
      /** What is told when there is none; else the level. */
      readonly well?: string;
    }
  >
> = {
  "administrative-right": {
    code: "role/no-admin-right",
    name: "role holds no administrative right",
    meaning: "it may make roles and databases or pass by row security",
    proof: unprivileged,
    well: "no administrative right",
  },
  membership: {
    code: "role/no-member",
    name: "role is a member of no role",
    meaning: "it has all rights of that role too (azure_pg_admin: of an administrator)",
    proof: unprivileged,
    well: "member of no role",
  },
  "misleading-setting": {
    code: "role/no-misleading-setting",
    name: "role starts with no misleading setting",
    meaning: "unqualified names find other tables, writes are refused, or the app works as another role",
  },
  connect: {
    code: "role/connect",
    name: "role may connect to the database",
    meaning: "the app gets `permission denied for database`",
  },
  login: {
    code: "role/login",
    name: "role may sign in",
    meaning: "the app gets `role is not permitted to log in` or `too many connections for role`",
  },
  schema: {
    code: "role/schema",
    name: "role may use schema public",
    meaning: "the app gets `permission denied for schema public`",
  },
  "later-objects": {
    code: "role/later-tables",
    name: "later tables serve the role",
    meaning: "tables made after this day are closed to the app",
  },
  sequences: {
    code: "role/sequences",
    name: "sequence rights are complete",
    meaning: "inserts into serial columns get `permission denied for sequence`",
  },
  tables: {
    code: "role/tables",
    name: "table rights are complete",
    meaning: "the app gets `permission denied for table`",
  },
  excess: {
    code: "role/no-more",
    name: ({ app }) => `role may do no more than "${app.access}"`,
    meaning: "an error or a break-in in the app reaches further than it should",
  },
};

const accessChecks = Object.entries(differences).map(
  ([difference, { well, ...check }]): Check<SiteFacts> => ({
    proof: exact,
    ...check,
    repair: fix,
    look: async ({ access, app }) => {
      const found = accessDifferences(await access(), app.access).filter(({ code }) => code === difference);
      return { ok: found.length === 0, detail: found.map(({ text }) => text).join("; ") || (well ?? `level "${app.access}"`) };
    },
  }),
);

/** What no level says, and what others may do. */
const surroundingChecks: readonly Check<SiteFacts>[] = [
  {
    code: "role/owns-nothing-else",
    name: "role owns nothing beyond schema public",
    meaning: "it can change or drop that, and the level says nothing of it",
    repair: "run `passwordless-pg connect` and hand it over: ALTER … OWNER TO, or REASSIGN OWNED",
    proof: unprivileged,
    look: async ({ access }) => {
      const { ownsOutsidePublic: count } = await access();
      return { ok: count === 0, detail: count === 0 ? "owner of nothing elsewhere" : `owns ${count} objects outside schema public` };
    },
  },
  {
    code: "role/no-lent-power",
    name: "role calls nothing with an administrator's rights",
    meaning:
      "a SECURITY DEFINER routine works with the rights of its owner, and its owner may make roles: whoever may call it can become one",
    repair:
      "run `passwordless-pg connect` and, for each routine: ALTER ROUTINE … SECURITY INVOKER, or REVOKE EXECUTE ON ROUTINE … FROM PUBLIC, or give it to a role without rights with OWNER TO",
    proof: unprivileged,
    look: async ({ access }) => {
      const { lentPowers } = await access();
      const detail = lentPowers.length > 0 && `may call, with an administrator's rights, ${lentPowers.join(", ")}`;
      return { ok: !detail, detail: detail || "no SECURITY DEFINER routine of an administrator" };
    },
  },
  {
    code: "role/no-extra-grant",
    name: "role was granted nothing beyond its level",
    meaning: "somebody gave it more by name: an error or a break-in in the app reaches that too",
    repair: "run `passwordless-pg connect` and REVOKE it, unless it is wanted",
    proof: exact,
    look: async ({ access, extraGrants, context: { setup } }) => {
      const [extra, { tables }] = await Promise.all([extraGrants(), access()]);
      if (extra.total > 0) return { ok: false, detail: `also has ${describeExtraGrants(extra)}`, hint: extraGrantHint(extra) };
      const detail = `on ${tables.total} tables of ${setup.database}; looked at what all databases share too, and for traces in the others`;
      return { ok: true, detail };
    },
  },
  {
    code: "role/tables-own",
    name: "tables belong to the role or the administrator",
    meaning: "the app may use them but not alter or drop them: migrations get `must be owner of table`",
    repair: "sign in as their owner and run ALTER TABLE … OWNER TO, or let that owner run the migrations",
    look: async ({ access, app, context: { setup } }) => {
      if (app.access !== "owner") return undefined;
      const { foreignTables } = await access();
      const strange = foreignTables.filter((table) => !setup.sites.some(({ role }) => table.endsWith(`(${role})`)));
      return { ok: strange.length === 0, detail: strange.slice(0, 5).join(", ") || "all of them" };
    },
  },
  {
    code: "role/no-public-write",
    name: "nobody else may change the tables",
    meaning: "PUBLIC, that is every role of the server, may change rows",
    repair: "run `passwordless-pg connect` and then: REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON TABLE … FROM PUBLIC",
    look: async ({ access }) => {
      const { publicTables } = await access();
      return { ok: publicTables.length === 0, detail: publicTables.join(", ") || "no right of PUBLIC" };
    },
  },
];

/** The database role of one app and its rights, as the database itself says them. */
export const roleChecks: readonly Check<SiteFacts>[] = [...identityChecks, ...accessChecks, ...surroundingChecks];
