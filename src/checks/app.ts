import { isSameId } from "../base/resource-id.ts";
import { describeStatus, type SiteResponse } from "../cloud/app-service/site-client.ts";
import type { WebAppConfig } from "../cloud/app-service/web-apps.ts";
import type { SiteSetup } from "../project/site-setup.ts";
import { identityVerdict } from "../steps/app-identity.ts";
import { settingsOf } from "../steps/app-settings.ts";
import { deployedOn } from "../steps/deployment.ts";
import { missingIdentityHint } from "../steps/managed-identity.ts";
import { secretSettingNames } from "../steps/secret-settings.ts";
import { authTypeOf } from "../steps/service-connection.ts";
import { takenBy, webAppName } from "../steps/taken-names.ts";
import type { Condition, DoctorContext, MoreFacts } from "./facts.ts";
import { absent, asJson, memoize, oneLine } from "./verify.ts";

const fix = "run `passwordless-pg doctor --fix`";
const init = "run `passwordless-pg init`";
const deploy = "run `passwordless-pg deploy`, then `passwordless-pg logs tail`";

type Finding = readonly [ok: boolean, detail: string];
type Define = (name: string, meaning: string, hint: string, look: () => Promise<Finding | undefined>) => Condition;

/** Web app, plan, configuration, service connection, settings, and the running code of one app. */
export function appConditions(context: DoctorContext, facts: MoreFacts, app: SiteSetup): Condition[] {
  const define: Define = (name, meaning, hint, look) => ({
    name: `${app.label}: ${name}`,
    meaning,
    hint,
    look: async () => {
      const found = await look();
      return found && { ok: found[0], detail: found[1] };
    },
  });
  return [
    ...siteConditions(context, facts, app, define),
    ...configConditions(facts, app, define),
    ...connectionConditions(facts, app, define),
    ...settingConditions(facts, app, define),
    ...codeConditions(context, facts, app, define),
  ];
}

function siteConditions({ cloud, setup }: DoctorContext, facts: MoreFacts, app: SiteSetup, define: Define): Condition[] {
  const site = () => facts.site(app.address.app);
  return [
    {
      ...define("web app exists", "there is nothing that could run the app", init, async () => [true, (await site()).url]),
      isRoot: true,
    },
    {
      ...define(
        "web app name is free",
        "the web app cannot be created: names of web apps are shared by all of Azure",
        `choose another "apps.${app.label}.name" in the project file`,
        async () => undefined,
      ),
      look: async () => {
        if (await cloud.webApps.get(setup.resourceGroup, app.address.app)) return undefined;
        const taken = await takenBy({ setup, cloud }, webAppName({ cloud }, app));
        return taken ? { ok: false, detail: taken.detail, hint: taken.hint } : { ok: true, detail: app.address.app };
      },
    },
    define("web app runs", "every request gets 403 Site Disabled", fix, async () => {
      const { state } = await site();
      return [state === "Running", state];
    }),
    {
      ...define("managed identity is on", "the app gets no token", fix, async () => undefined),
      look: async () => {
        const identity = await facts.identity(app.address.app);
        // Not for `--fix` or `init` to make; told also before there is a web app.
        if (identity && !identity.principalId && app.identity === identity.id) {
          return { ok: false, detail: `there is no user-assigned identity ${identity.id}`, hint: missingIdentityHint };
        }
        return identityVerdict(await site(), identity);
      },
    },
    define("HTTPS only", "the app also answers in clear text", fix, async () => {
      const { httpsOnly } = await site();
      return [httpsOnly, `httpsOnly ${httpsOnly}`];
    }),
    define(
      "plan is a Linux plan",
      "the runtime of the project file does not start",
      "give the app another name, or move it to a Linux plan",
      async () => {
        const { name, isLinux } = await facts.plan(app.address.app);
        return [isLinux, `${name} is ${isLinux ? "Linux" : "Windows"}`];
      },
    ),
    define(
      "plan keeps the app awake",
      "on Free and Shared plans the app sleeps after 20 minutes and has 60 minutes of processor time a day",
      'set "plan": "B1" or larger in the project file, then run `passwordless-pg init`',
      async () => {
        const { name, sku, tier } = await facts.plan(app.address.app);
        return [!/^(F1|D1)$/i.test(sku), `${name} is ${sku} (${tier})`];
      },
    ),
    define("basic publishing credentials of SCM are off", "a user name and password can deploy code", fix, async () => {
      const { scm } = await facts.policies(app.address.app);
      return [!scm, scm ? "Enabled" : "Disabled"];
    }),
    define("basic publishing credentials of FTP are off", "a user name and password can replace code", fix, async () => {
      const { ftp } = await facts.policies(app.address.app);
      return [!ftp, ftp ? "Enabled" : "Disabled"];
    }),
    define("logs are kept", "`logs tail` shows nothing", fix, async () => {
      const { isFileSystemLoggingOn } = await facts.logs(app.address.app);
      return [isFileSystemLoggingOn, `file system logging ${isFileSystemLoggingOn ? "on" : "off"}`];
    }),
  ];
}

function configConditions(facts: MoreFacts, app: SiteSetup, define: Define): Condition[] {
  const on = (name: string, meaning: string, judge: (config: WebAppConfig) => Finding): Condition =>
    define(name, meaning, fix, async () => judge(await facts.config(app.address.app)));
  return [
    on("TLS is 1.2 or newer", "old clients may connect with broken encryption", ({ minTlsVersion, scmMinTlsVersion }) => [
      Number(minTlsVersion) >= 1.2 && Number(scmMinTlsVersion) >= 1.2,
      `app ${minTlsVersion}, SCM ${scmMinTlsVersion}`,
    ]),
    on("FTP is off", "code can be replaced over FTP", ({ ftpsState }) => [ftpsState === "Disabled", `ftpsState ${ftpsState}`]),
    on("runtime is that of the project file", "the app runs on another language or version than it was written for", ({ runtime }) => [
      runtime.toUpperCase() === app.runtime.toUpperCase(),
      `${runtime || "(none)"}, file ${app.runtime}`,
    ]),
    on(
      "start command is set",
      "a FastAPI app on Python below 3.14 is not found by App Service: its placeholder page is served with 200",
      ({ startup }) => [
        startup === app.startup,
        startup === app.startup ? startup || "the platform finds it" : `${startup || "(none)"}, wanted ${app.startup || "(none)"}`,
      ],
    ),
    on("health check path is set", "App Service keeps sending requests to an instance that is broken", ({ healthCheckPath }) => [
      healthCheckPath === app.health,
      `${healthCheckPath || "(none)"}, wanted ${app.health || "(none)"}`,
    ]),
  ];
}

function connectionConditions(facts: MoreFacts, app: SiteSetup, define: Define): Condition[] {
  const linker = async () => {
    const list = await facts.linkers(app.address.app);
    return list.find(({ name }) => name === app.linker) ?? absent(`service connection ${app.linker}`);
  };
  return [
    define("service connection exists", "the portal does not know the link, and its settings are not kept up", fix, async () => {
      const names = (await facts.linkers(app.address.app)).map(({ name }) => name);
      return [
        names.includes(app.linker),
        names.includes(app.linker) ? app.linker : `${app.linker} is none of ${names.join(", ") || "none"}`,
      ];
    }),
    define("service connection points at the database", "its settings name another database", fix, async () => {
      const [{ targetId }, { id, name }] = await Promise.all([linker(), facts.database()]);
      return [isSameId(targetId, id), `${targetId.split("/").pop()}, wanted ${name}`];
    }),
    define("service connection names the role", "its settings name another user", fix, async () => {
      const { userName } = await linker();
      return [userName === app.role, `${userName ?? "(nobody)"}, wanted ${app.role}`];
    }),
    define("service connection uses the identity", "its settings may hold a password", fix, async () => {
      const [{ authType, clientId }, site] = await Promise.all([linker(), facts.site(app.address.app)]);
      if (app.identity === undefined) return [authType === authTypeOf(false), authType];
      return [authType === authTypeOf(true) && clientId === site.clientId, clientId ? `${authType}, client ID ${clientId}` : authType];
    }),
    define(
      "no other service connection writes the same settings",
      "the last one written wins: AZURE_POSTGRESQL_* may name another user or database after its next update",
      "remove it in the portal (Service Connector), or with `az webapp connection delete`",
      async () => {
        const others = (await facts.linkers(app.address.app)).filter(
          ({ name, targetId }) => name !== app.linker && /\/flexibleServers\//i.test(targetId),
        );
        return [others.length === 0, others.map(({ name, userName }) => `${name} (${userName ?? "nobody"})`).join(", ") || "none"];
      },
    ),
  ];
}

function settingConditions(facts: MoreFacts, app: SiteSetup, define: Define): Condition[] {
  const wanted = async (): Promise<Record<string, string>> => {
    const [server, database, { clientId }] = await Promise.all([facts.server(), facts.database(), facts.site(app.address.app)]);
    return settingsOf({ label: app.label, role: app.role, clientType: app.clientType, own: app.settings }, server, database, clientId);
  };
  const one = (setting: string, meaning: string): Condition =>
    define(`setting ${setting} is right`, meaning, fix, async () => {
      const [settings, right] = await Promise.all([facts.settings(app.address.app), wanted()]);
      return [settings[setting] === right[setting], `${settings[setting] ?? "(absent)"}, wanted ${right[setting]}`];
    });
  return [
    one("DB_HOST", "the app looks for its database elsewhere"),
    one("DB_PORT", "the app knocks at the wrong port"),
    one("DB_NAME", "the app opens another database"),
    one("DB_USER", "the app signs in as a role that is not its own, and is refused"),
    define("settings AZURE_POSTGRESQL_* are current", "libraries that read them connect elsewhere", fix, async () => {
      const [settings, right] = await Promise.all([facts.settings(app.address.app), wanted()]);
      const names = Object.keys(right).filter((name) => name.startsWith("AZURE_POSTGRESQL_"));
      const stale = names.filter((name) => settings[name] !== right[name]);
      return [stale.length === 0, stale.length === 0 ? names.join(", ") : `missing or changed: ${stale.join(", ")}`];
    }),
    define("own settings are as the file says", "somebody changed or removed them", fix, async () => {
      const settings = await facts.settings(app.address.app);
      const wrong = Object.keys(app.settings).filter((name) => settings[name] !== app.settings[name]);
      return [
        wrong.length === 0,
        wrong.length === 0 ? `${Object.keys(app.settings).length} of the project file` : `missing or changed: ${wrong.join(", ")}`,
      ];
    }),
    define(
      "settings hold no secret",
      "whoever reads the settings has the secret",
      "remove that setting: the app signs in with its identity",
      async () => {
        const names = secretSettingNames(await facts.settings(app.address.app));
        return [names.length === 0, names.join(", ") || "none found"];
      },
    ),
    define(
      "setting AZURE_CLIENT_ID chooses no other identity",
      "DefaultAzureCredential asks for an identity whose tokens the role does not take",
      app.identity === undefined ? "remove the app setting AZURE_CLIENT_ID: the app has its system-assigned identity" : fix,
      async () => {
        const [settings, { clientId }] = await Promise.all([facts.settings(app.address.app), facts.site(app.address.app)]);
        const value = settings.AZURE_CLIENT_ID;
        return [value === clientId || (value !== undefined && app.settings.AZURE_CLIENT_ID === value), value ?? "absent"];
      },
    ),
  ];
}

/** So long a web app may take to start, and its container of before may answer in its place (inferred; Azure says neither). */
const startingMs = 30_000;

function codeConditions(context: DoctorContext, facts: MoreFacts, app: SiteSetup, define: Define): Condition[] {
  const { cloud, clock, packageHash, signal } = context;
  const client = async () => {
    const site = await facts.site(app.address.app);
    return site.state === "Running" ? cloud.site(site) : absent("a running web app");
  };
  const isPlaceholder = async (): Promise<boolean> => {
    await client();
    return /Your web app is running and waiting for your content/i.test((await home()).body);
  };
  const settled = async (ask: () => Promise<SiteResponse>, isWell: (response: SiteResponse) => boolean): Promise<SiteResponse> => {
    const until = clock.now() + (context.areRestarting ? startingMs : 0);
    for (;;) {
      const response = await ask();
      if (isWell(response) || clock.now() >= until) return response;
      await clock.sleep(500, signal);
    }
  };
  const home = memoize(async () => {
    const asked = await client();
    return settled(
      () => asked.get("/"),
      ({ status }) => status < 500,
    );
  });
  return [
    define("app answers", "it crashed at its start, or does not listen on PORT", deploy, async () => {
      const response = await home();
      return [response.status < 500, `/ ${describeStatus(response)}`];
    }),
    define("code is there", "App Service's placeholder page is served with 200", deploy, async () => [
      !(await isPlaceholder()),
      (await isPlaceholder()) ? "/ is the placeholder page" : "/ is not the placeholder page",
    ]),
    define("health path answers", "App Service takes the instance out and restarts it", deploy, async () => {
      if (!app.health || (await isPlaceholder())) return undefined;
      const asked = await client();
      const isWell = ({ status }: SiteResponse): boolean => status >= 200 && status < 300;
      const response = await settled(() => asked.get(app.health), isWell);
      return [isWell(response), `${app.health} ${describeStatus(response)}`];
    }),
    define("deployed package is that of the folder", "what runs is older than the code here", "run `passwordless-pg deploy`", async () => {
      if (!packageHash) return undefined;
      const running = deployedOn(await facts.site(app.address.app))?.packageHash;
      const here = await packageHash(app);
      return [
        running === here,
        running ? `${running.slice(0, 12)} runs, the folder makes ${here.slice(0, 12)}` : "this tool has deployed nothing yet",
      ];
    }),
    define(
      "app signs in with its token",
      "the app itself cannot reach the database",
      "`passwordless-pg logs tail` shows what the app says",
      async () => {
        if (await isPlaceholder()) return undefined;
        const asked = await client();
        const isAbsent = ({ status }: SiteResponse): boolean => status === 404 || status === 405;
        const isFine = ({ status, body }: SiteResponse): boolean => status === 200 && asJson(body).user === app.role;
        const response = await settled(
          () => asked.get("/healthz/database", { timeoutMs: 60_000 }),
          (found) => isAbsent(found) || isFine(found),
        );
        if (isAbsent(response)) return undefined;
        return [isFine(response), `${describeStatus(response)} ${oneLine(response.body)}`];
      },
    ),
  ];
}
