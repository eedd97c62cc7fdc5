import type { Clock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import { describeStatus, type SiteResponse } from "../cloud/app-service/site-client.ts";
import type { WebApp } from "../cloud/app-service/web-apps.ts";
import type { Cloud } from "../cloud/cloud.ts";
import { describeExtraGrants, extraGrantHint } from "../cloud/database/extra-grants.ts";
import { accessDifferences } from "../cloud/database/principals.ts";
import type { FirewallAccess } from "../cloud/firewall-access.ts";
import type { Setup } from "../project/setup.ts";
import type { SiteSetup } from "../project/site-setup.ts";
import { identityVerdict, readIdentity, withEffectiveIdentity } from "../steps/app-identity.ts";
import { settingsOf } from "../steps/app-settings.ts";
import { administratorOf } from "../steps/entra-administrator.ts";
import { describeRule, exposureOf } from "../steps/firewall.ts";
import { secretSettingNames } from "../steps/secret-settings.ts";
import { authTypeOf } from "../steps/service-connection.ts";

/** The way out of a routine that works with the rights of an administrator. */
export const LENT_POWERS_HINT =
  "run `passwordless-pg connect` and, for each routine: ALTER ROUTINE … SECURITY INVOKER, or REVOKE EXECUTE ON ROUTINE … FROM PUBLIC, or give it to a role without rights with OWNER TO";

/** The verdict of one check; `detail` is the evidence. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  /** What it leads to, when it is not ok. */
  readonly meaning?: string;
  readonly hint?: string;
}

type Verdict = Omit<Check, "name">;

export interface VerifyContext {
  readonly setup: Setup;
  readonly cloud: Cloud;
  readonly firewallAccess: FirewallAccess;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** A short text that no other run uses, for the row that is written and read. */
  readonly marker: string;
  onCheck?(check: Check): void;
}

interface CheckDefinition {
  readonly name: string;
  run(): Promise<Verdict>;
}

/**
 * Proves the chain from the control plane to a row that the app wrote and read with its token.
 * Every check runs, also after others failed; a check that cannot look says so and is not ok. Throws only on Ctrl-C.
 */
export async function verify(context: VerifyContext): Promise<Check[]> {
  const facts = gather(context);
  const definitions = [...serverChecks(context, facts), ...context.setup.sites.flatMap((app) => appChecks(context, facts, app))];
  return Promise.all(
    definitions.map(async ({ name, run }) => {
      const check = { name, ...(await run().catch((error: unknown) => cannotLook(error))) };
      context.onCheck?.(check);
      return check;
    }),
  );
}

function cannotLook(error: unknown): Verdict {
  if (!(error instanceof KnownError) || error.code === "cancelled") throw error;
  return { ok: false, detail: error.message, ...(error.hint ? { hint: error.hint } : {}) };
}

/** Everything the checks look at, each asked for once. */
export function gather({ setup, cloud, firewallAccess }: VerifyContext) {
  const { resourceGroup: group } = setup;
  const server = memoize(
    async () => (await cloud.postgresServers.get(group, setup.server.name)) ?? absent(`flexible server ${setup.server.name}`),
  );
  const administrators = memoize(async () => cloud.postgresServers.listAdministrators(group, (await server()).name));
  const administrator = memoize(async () => {
    const at = await server();
    return administratorOf(cloud.caller, await administrators(), (login) =>
      firewallAccess.withAccess(at, () => cloud.principals.canSignIn(at, login)),
    );
  });
  const login = memoize(async () => (await administrator())?.name ?? cloud.caller.name);
  const database = memoize(
    async () =>
      (await cloud.postgresServers.getDatabase(group, (await server()).name, setup.database)) ?? absent(`database ${setup.database}`),
  );
  /** The user-assigned identity of the app with this web app; `undefined` for a system-assigned one. */
  const identity = memoizeByKey(async (name) => {
    const app = setup.sites.find((one) => one.address.app === name);
    return app && readIdentity(setup, cloud, app);
  });
  const site = memoizeByKey(async (name) => {
    const [found, chosen] = await Promise.all([cloud.webApps.get(group, name), identity(name)]);
    return withEffectiveIdentity(found ?? absent(`web app ${name}`), chosen);
  });
  const settings = memoizeByKey((name) => cloud.webApps.getSettings(group, name).then((found) => found ?? absent(`web app ${name}`)));
  const principal = memoizeByKey(async (role) => {
    const [at, as] = await Promise.all([server(), login()]);
    return firewallAccess.withAccess(at, () => cloud.principals.find(at, as, role));
  });
  const access = memoizeByKey(async (role) => {
    if (!(await principal(role))) return absent(`role ${role}`);
    const [at, as] = await Promise.all([server(), login()]);
    return firewallAccess.withAccess(at, () => cloud.principals.access(at, as, setup.database, role));
  });
  const extraGrants = memoizeByKey(async (role) => {
    if (!(await principal(role))) return absent(`role ${role}`);
    const [at, as] = await Promise.all([server(), login()]);
    const level = setup.sites.find((app) => app.role === role)?.access ?? "read";
    return firewallAccess.withAccess(at, () => cloud.principals.extraGrants(at, as, setup.database, role, level));
  });
  return { server, administrators, administrator, login, database, identity, site, settings, principal, access, extraGrants };
}

type Facts = ReturnType<typeof gather>;

export function absent(what: string): never {
  throw new KnownError("azure/not-found", `${what} does not exist`, { hint: "run `passwordless-pg init`" });
}

function serverChecks({ setup, cloud, firewallAccess }: VerifyContext, facts: Facts): CheckDefinition[] {
  const repair = "run `passwordless-pg init`";
  return [
    {
      name: "server is ready",
      run: async () => {
        const { state, version, host } = await facts.server();
        return verdict(
          state === "Ready",
          `${host} runs PostgreSQL ${version}, state ${state}`,
          "start it with `passwordless-pg server start`",
        );
      },
    },
    {
      name: "server takes Entra tokens only",
      run: async () => {
        const { passwordAuth, entraAuth } = await facts.server();
        return verdict(!passwordAuth && entraAuth, `passwordAuth ${onOff(passwordAuth)}, activeDirectoryAuth ${onOff(entraAuth)}`, repair);
      },
    },
    {
      name: "caller is Entra administrator",
      run: async () => {
        const found = await facts.administrator();
        return verdict(
          found !== undefined,
          found ? `${found.name} (${found.type})` : `${cloud.caller.name} is none of the server's administrators`,
          repair,
        );
      },
    },
    {
      name: "firewall is narrow",
      run: async () => {
        const rules = await cloud.postgresServers.listFirewallRules(setup.resourceGroup, (await facts.server()).name);
        const exposure = exposureOf(rules, setup.server.firewall);
        const leftovers = firewallAccess.leftoversAmong(rules);
        const detail = rules.map(describeRule).join(", ") || "no rule";
        if (exposure) return { ok: false, detail: exposure.words, hint: "`passwordless-pg doctor` names the command that removes it" };
        if (leftovers.length > 0) return { ok: false, detail: `left open by an earlier run: ${detail}`, hint: repair };
        return verdict(rules.length > 0, detail, repair);
      },
    },
    {
      name: "database exists",
      run: async () => {
        const { name, charset } = await facts.database();
        return verdict(true, `${name} (${charset})`, repair);
      },
    },
    {
      name: "caller signs in to PostgreSQL over verified TLS",
      run: async () => {
        const role = setup.sites[0]?.role ?? "";
        await facts.principal(role);
        return verdict(true, `as ${await facts.login()} with a token`, repair);
      },
    },
  ];
}

function appChecks(context: VerifyContext, facts: Facts, app: SiteSetup): CheckDefinition[] {
  const { setup, cloud } = context;
  const group = setup.resourceGroup;
  const repair = "run `passwordless-pg init`";
  const site = (): Promise<WebApp> => facts.site(app.address.app);
  const named = (name: string, run: () => Promise<Verdict>): CheckDefinition => ({ name: `${app.label}: ${name}`, run });
  return [
    named("web app runs, HTTPS only", async () => {
      const { state, httpsOnly, url } = await site();
      return verdict(state === "Running" && httpsOnly, `${url} ${state}, httpsOnly ${httpsOnly}`, repair);
    }),
    named("TLS 1.2 or newer, FTPS off", async () => {
      const config = (await cloud.webApps.getConfig(group, (await site()).name)) ?? absent(`configuration of ${app.address.app}`);
      const ok = Number(config.minTlsVersion) >= 1.2 && Number(config.scmMinTlsVersion) >= 1.2 && config.ftpsState === "Disabled";
      return verdict(ok, `minTlsVersion ${config.minTlsVersion}, SCM ${config.scmMinTlsVersion}, ftpsState ${config.ftpsState}`, repair);
    }),
    named("basic publishing credentials are off", async () => {
      const policies =
        (await cloud.webApps.getPublishingPolicies(group, (await site()).name)) ?? absent(`publishing policies of ${app.address.app}`);
      return verdict(!policies.scm && !policies.ftp, `scm ${onOff(policies.scm)}, ftp ${onOff(policies.ftp)}`, repair);
    }),
    named("managed identity is on", async () => {
      const { ok, detail } = identityVerdict(await site(), await facts.identity(app.address.app));
      return verdict(ok, detail, repair);
    }),
    named("service connection names the role", async () => {
      const [{ id, clientId }, { id: targetId }] = await Promise.all([site(), facts.database()]);
      const linker = (await cloud.linkers.get(id, app.linker)) ?? absent(`service connection ${app.linker}`);
      const ok =
        linker.userName === app.role &&
        linker.authType === authTypeOf(app.identity !== undefined) &&
        (app.identity === undefined || linker.clientId === clientId) &&
        linker.targetId.toLowerCase() === targetId.toLowerCase();
      return verdict(
        ok,
        `${linker.name} → ${linker.targetId.split("/").pop()} as ${linker.userName ?? "(nobody)"}, ${linker.provisioningState}`,
        repair,
      );
    }),
    named("settings are complete", async () => {
      const [settings, server, database, { clientId }] = await Promise.all([
        facts.settings(app.address.app),
        facts.server(),
        facts.database(),
        site(),
      ]);
      const wanted = Object.entries(
        settingsOf({ label: app.label, role: app.role, clientType: app.clientType, own: app.settings }, server, database, clientId),
      );
      const wrong = wanted.filter(([name, value]) => settings[name] !== value).map(([name]) => name);
      return verdict(
        wrong.length === 0,
        wrong.length === 0 ? wanted.map(([name]) => name).join(", ") : `missing or changed: ${wrong.join(", ")}`,
        repair,
      );
    }),
    named("settings hold no secret", async () => {
      const names = secretSettingNames(await facts.settings(app.address.app)).join(", ");
      return verdict(
        names === "",
        names ? `looks like a secret: ${names}` : "none found",
        "remove that setting; the app signs in with its identity",
      );
    }),
    named("role is labelled with the identity", async () => {
      const [{ principalId }, principal] = await Promise.all([site(), facts.principal(app.role)]);
      if (!principal) return { ok: false, detail: `role ${app.role} does not exist`, hint: repair };
      const ok = principal.objectId.toLowerCase() === principalId?.toLowerCase() && principal.type === "service";
      return verdict(
        ok,
        ok ? `${app.role} is ${principalId}` : `${app.role} is ${principal.objectId || "nobody"}, the identity is ${principalId}`,
        repair,
      );
    }),
    named("role is not privileged", async () => {
      const [principal, access] = await Promise.all([facts.principal(app.role), facts.access(app.role)]);
      const powers = [
        principal?.isAdmin && "administrator",
        access.isSuperuser && "superuser",
        access.canCreateRole && "CREATEROLE",
        access.canCreateDatabase && "CREATEDB",
        access.canBypassRls && "BYPASSRLS",
        access.ownsOutsidePublic > 0 && `owns ${access.ownsOutsidePublic} objects outside schema public`,
        access.memberOf.length > 0 && `member of ${access.memberOf.join(", ")}`,
        access.lentPowers.length > 0 && `may call, with an administrator's rights, ${access.lentPowers.join(", ")}`,
      ].filter((power): power is string => typeof power === "string");
      return verdict(
        powers.length === 0,
        powers.length === 0 ? "no administrative right, member of no role" : powers.join(", "),
        access.lentPowers.length > 0 ? LENT_POWERS_HINT : "take these rights from the role",
      );
    }),
    named(`access is exactly "${app.access}"`, async () => {
      const [access, extra] = await Promise.all([facts.access(app.role), facts.extraGrants(app.role)]);
      const differences = accessDifferences(access, app.access);
      const found = [...differences, ...(extra.total > 0 ? [`also has ${describeExtraGrants(extra)}`] : [])];
      const hints = [...(differences.length > 0 ? [repair] : []), ...(extra.total > 0 ? [extraGrantHint(extra)] : [])];
      return verdict(
        found.length === 0,
        found.length === 0 ? `on ${access.tables.total} tables of ${setup.database}` : found.join("; "),
        hints.join("; "),
      );
    }),
    named("app answers", async () => {
      const path = app.health || "/";
      const response = await onceStarted(context, () => site().then((app) => cloud.site(app).get(path)));
      const isPlaceholder = /Your web app is running and waiting for your content/i.test(response.body);
      const ok = !isPlaceholder && (app.health ? response.status >= 200 && response.status < 300 : response.status < 500);
      return verdict(
        ok,
        isPlaceholder ? `${path} is App Service's placeholder page` : `${path} ${describeStatus(response)}`,
        "run `passwordless-pg deploy`, then `passwordless-pg logs tail`",
      );
    }),
    ...rowChecks(context, facts, app),
  ];
}

/** The last link: the app itself, over its own token. The templates have the routes; other apps are judged by their health path. */
function rowChecks(context: VerifyContext, facts: Facts, app: SiteSetup): CheckDefinition[] {
  const site = (): Promise<WebApp> => facts.site(app.address.app);
  const { clock, cloud, marker, signal } = context;
  const hint = "`passwordless-pg logs tail` shows what the app says";
  /** Else no container of the app can sign in, the next one neither; what keeps us from looking is told by the checks of identity and role. */
  const canSignIn = async (): Promise<boolean> => {
    const look = Promise.all([site(), facts.identity(app.address.app), facts.principal(app.role), facts.access(app.role)]);
    return look.then(
      ([web, identity, principal, access]) =>
        identityVerdict(web, identity).ok &&
        principal?.objectId.toLowerCase() === web.principalId?.toLowerCase() &&
        access.connect &&
        access.loginBlockers.length === 0,
      () => false,
    );
  };
  const databaseRoute = memoize(async () => {
    const web = await site();
    const client = cloud.site(web);
    const look = async () => {
      const response = await onceStarted(context, () => client.get("/healthz/database", { timeoutMs: 60_000 }));
      const body = asJson(response.body);
      // An app may answer anything to a path it does not know; the templates' answer names a status.
      const isThere = typeof body.status === "string" || response.status >= 500;
      return { response, body, isThere, isFine: response.status === 200 && body.user === app.role && body.tls === true };
    };
    // Azure's clock and ours may differ: never longer than from now.
    const until = Math.min(web.changedAt ?? 0, clock.now()) + restartingMs;
    for (;;) {
      const found = await look();
      if (found.isFine || !found.isThere || clock.now() >= until || !(await canSignIn())) return found;
      await clock.sleep(1_000, signal);
    }
  });
  const notAsked: Verdict = { ok: true, detail: "not asked: the app has no /healthz/database; its health path stands for it" };
  return [
    {
      name: `${app.label}: app signs in with its token`,
      run: async () => {
        const { response, body, isThere, isFine } = await databaseRoute();
        if (!isThere) return notAsked;
        if (isFine) {
          const version = typeof body.serverVersion === "string" ? `, PostgreSQL ${body.serverVersion}` : "";
          return { ok: true, detail: `as ${app.role} over TLS${version}` };
        }
        return { ok: false, detail: `${describeStatus(response)} ${oneLine(response.body)}`, hint };
      },
    },
    {
      name: `${app.label}: app writes and reads a row`,
      run: async () => {
        if (app.access === "read") return { ok: true, detail: 'not asked: access level "read" writes nothing' };
        if (!(await databaseRoute()).isThere) return notAsked;
        const client = cloud.site(await site());
        const written = await onceStarted(context, () => client.post("/items", { name: marker }, { timeoutMs: 60_000 }));
        if (written.status !== 201) return { ok: false, detail: `POST /items ${describeStatus(written)} ${oneLine(written.body)}`, hint };
        const { id } = asJson(written.body);
        const read = await onceStarted(context, () => client.get(`/items/${encodeURIComponent(String(id))}`));
        const isSame = read.status === 200 && asJson(read.body).name === marker;
        return verdict(
          isSame,
          isSame ? `item ${String(id)} came back` : `GET /items/${String(id)} ${describeStatus(read)} ${oneLine(read.body)}`,
          hint,
        );
      },
    },
  ];
}

/** A web app that was just restarted answers 502 to 504 with App Service's own page for some seconds; the app's own 503 counts at once. */
const startingMs = 30_000;

/** So long after a change of the web app its container of before may still answer, with the settings and the identity it had (inferred). */
const restartingMs = 60_000;

async function onceStarted({ clock, signal }: VerifyContext, ask: () => Promise<SiteResponse>): Promise<SiteResponse> {
  const deadline = clock.now() + startingMs;
  for (;;) {
    const response = await ask();
    const isPlatforms = response.status >= 502 && response.status <= 504 && Object.keys(asJson(response.body)).length === 0;
    if (!isPlatforms || clock.now() >= deadline) return response;
    await clock.sleep(500, signal);
  }
}

function verdict(ok: boolean, detail: string, hint: string): Verdict {
  return ok ? { ok, detail } : { ok, detail, hint };
}

function onOff(value: boolean): string {
  return value ? "Enabled" : "Disabled";
}

export function asJson(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

export function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").slice(0, 300);
}

export function memoize<T>(ask: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | undefined;
  return () => {
    answer ??= ask();
    return answer;
  };
}

export function memoizeByKey<T>(ask: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const answers = new Map<string, Promise<T>>();
  return (key) => {
    const answer = answers.get(key) ?? ask(key);
    answers.set(key, answer);
    return answer;
  };
}
