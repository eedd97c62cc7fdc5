import { describeExtraGrants, extraGrantHint } from "../cloud/database/extra-grants.ts";
import { accessDifferences } from "../cloud/database/principals.ts";
import type { SiteSetup } from "../project/site-setup.ts";
import type { Condition, DoctorContext, MoreFacts } from "./facts.ts";
import { absent, LENT_POWERS_HINT } from "./verify.ts";

const fix = "run `passwordless-pg doctor --fix`";

/** The differences of access by the condition that speaks of them; the first that fits. The rest is too much. */
const kinds: readonly (readonly [name: string, meaning: string, pattern: RegExp])[] = [
  [
    "role holds no administrative right",
    "it may make roles and databases or pass by row security",
    /create roles|create databases|superuser|bypasses|replicate/,
  ],
  ["role is a member of no role", "it has all rights of that role too (azure_pg_admin: of an administrator)", /^is a member of/],
  [
    "role starts with no misleading setting",
    "unqualified names find other tables, writes are refused, or the app works as another role",
    /^starts with/,
  ],
  ["role may connect to the database", "the app gets `permission denied for database`", /may not connect|temporary tables/],
  ["role may sign in", "the app gets `role is not permitted to log in` or `too many connections for role`", /^is barred/],
  ["role may use schema public", "the app gets `permission denied for schema public`", /may not (use|create in) schema/],
  ["later tables serve the role", "tables made after this day are closed to the app", /lacks privileges on .* made later/],
  ["sequence rights are complete", "inserts into serial columns get `permission denied for sequence`", /only .* sequences$/],
  ["table rights are complete", "the app gets `permission denied for table`", /only .* tables$/],
];

/** The database role of one app and its rights, as the database itself says them. */
export function roleConditions({ setup }: DoctorContext, facts: MoreFacts, app: SiteSetup): Condition[] {
  const principal = async () => (await facts.principal(app.role)) ?? absent(`role ${app.role}`);
  type Found = readonly [ok: boolean, detail: string, hint?: string];
  const define = (name: string, meaning: string, hint: string, look: () => Promise<Found | undefined>): Condition => ({
    name: `${app.label}: ${name}`,
    meaning,
    hint,
    look: async () => {
      const found = await look();
      if (!found) return undefined;
      const [ok, detail, exact] = found;
      return { ok, detail, ...(exact === undefined ? {} : { hint: exact }) };
    },
  });
  const differences = async (): Promise<string[]> => accessDifferences(await facts.access(app.role), app.access);
  const isKnown = (words: string): boolean => kinds.some(([, , pattern]) => pattern.test(words));
  return [
    define("role exists", "the app gets `password authentication failed`", fix, async () => {
      const found = await facts.principal(app.role);
      return [found !== undefined, found ? app.role : `${app.role} is absent`];
    }),
    define(
      "role is known to Entra",
      "a role with a password (or none) has the app's name: no token opens it",
      "drop or rename that role, or give the app another name; what it owns can be handed over with REASSIGN OWNED",
      async () => {
        const { type } = await principal();
        return [type !== "none", type === "none" ? "an ordinary role without a label" : `type ${type}`];
      },
    ),
    define("role is of type service", "the server takes a user's tokens for it, not the app's", fix, async () => {
      const { type } = await principal();
      return type === "none" ? undefined : [type === "service", `type ${type}`];
    }),
    define("role is labelled with the identity", "the app was made anew under the same name: its tokens are refused", fix, async () => {
      const [{ objectId, type }, { principalId }] = await Promise.all([principal(), facts.site(app.address.app)]);
      if (type === "none") return undefined;
      return [objectId.toLowerCase() === principalId?.toLowerCase(), `label ${objectId || "(none)"}, identity ${principalId ?? "(none)"}`];
    }),
    define(
      "role is no administrator",
      "the app may do anything in every database of the server",
      `run \`az postgres flexible-server microsoft-entra-admin delete -g ${setup.resourceGroup} -s ${setup.server.name} --object-id ID\`, then \`passwordless-pg init\``,
      async () => {
        const [{ isAdmin }, administrators, { principalId }] = await Promise.all([
          principal(),
          facts.administrators(),
          facts.site(app.address.app),
        ]);
        const byId = administrators.find(({ objectId }) => objectId.toLowerCase() === principalId?.toLowerCase());
        return [
          !isAdmin && !byId,
          byId ? `the identity is administrator ${byId.name}` : isAdmin ? "labelled as administrator" : "an ordinary role",
        ];
      },
    ),
    define(
      "identity has one role",
      "which role the app gets depends on its DB_USER; tables made under the other belong to that one",
      "hand its tables over (REASSIGN OWNED BY … TO …) and drop it with `passwordless-pg connect`",
      async () => {
        const { principalId } = await facts.site(app.address.app);
        // Apps that share a user-assigned identity have a role each, with the same access (the project file is refused otherwise).
        const isOfProject = (role: string): boolean => setup.sites.some((one) => one.role === role && one.identity !== undefined);
        const others = (await facts.roles()).filter(
          ({ objectId, role }) =>
            principalId !== undefined && objectId.toLowerCase() === principalId.toLowerCase() && role !== app.role && !isOfProject(role),
        );
        return [others.length === 0, others.length === 0 ? app.role : `also ${others.map(({ role }) => role).join(", ")}`];
      },
    ),
    ...kinds.map(([name, meaning, pattern]) =>
      define(name, meaning, fix, async () => {
        const found = (await differences()).filter((words) => pattern.test(words));
        return [found.length === 0, found.join("; ") || `access "${app.access}"`];
      }),
    ),
    define(
      "role owns nothing beyond schema public",
      "it can change or drop that, and the level says nothing of it",
      "run `passwordless-pg connect` and hand it over: ALTER … OWNER TO, or REASSIGN OWNED",
      async () => {
        const { ownsOutsidePublic } = await facts.access(app.role);
        return [ownsOutsidePublic === 0, `${ownsOutsidePublic} objects`];
      },
    ),
    define(
      "role calls nothing with an administrator's rights",
      "a SECURITY DEFINER routine works with the rights of its owner, and its owner may make roles: whoever may call it can become one",
      LENT_POWERS_HINT,
      async () => {
        const { lentPowers } = await facts.access(app.role);
        return [lentPowers.length === 0, lentPowers.join(", ") || "no SECURITY DEFINER routine of an administrator"];
      },
    ),
    define(
      `role may do no more than "${app.access}"`,
      "an error or a break-in in the app reaches further than it should",
      fix,
      async () => {
        const found = (await differences()).filter((words) => !isKnown(words));
        return [found.length === 0, found.join("; ") || `access "${app.access}"`];
      },
    ),
    define(
      "role was granted nothing beyond its level",
      "somebody gave it more by name: an error or a break-in in the app reaches that too",
      "run `passwordless-pg connect` and REVOKE it, unless it is wanted",
      async () => {
        const extra = await facts.extraGrants(app.role);
        if (extra.total === 0)
          return [true, `looked at database ${setup.database}, at what all databases share, and for traces in the others`];
        return [false, describeExtraGrants(extra), extraGrantHint(extra)];
      },
    ),
    define(
      "tables belong to the role or the administrator",
      "the app may use them but not alter or drop them: migrations get `must be owner of table`",
      "sign in as their owner and run ALTER TABLE … OWNER TO, or let that owner run the migrations",
      async () => {
        const { foreignTables } = await facts.access(app.role);
        const apps = setup.sites.map(({ role }) => `(${role})`);
        const strange = foreignTables.filter((table) => !apps.some((owner) => table.endsWith(owner)));
        if (app.access !== "owner") return undefined;
        return [strange.length === 0, strange.slice(0, 5).join(", ") || "all of them"];
      },
    ),
    define(
      "nobody else may change the tables",
      "PUBLIC, that is every role of the server, may change rows",
      "run `passwordless-pg connect` and then: REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON TABLE … FROM PUBLIC",
      async () => {
        const { publicTables } = await facts.access(app.role);
        return [publicTables.length === 0, publicTables.join(", ") || "no right of PUBLIC"];
      },
    ),
  ];
}
