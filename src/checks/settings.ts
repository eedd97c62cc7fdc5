import { settingsOf } from "../steps/app-settings.ts";
import { secretSettingNames } from "../steps/secret-settings.ts";
import { type Check, fix } from "./check.ts";
import type { SiteFacts } from "./facts.ts";

const proof = "settings are complete";

/** No app setting holds a password or a token. Also asked of the settings that a plan leaves. */
export const noSecretSetting: Check<Pick<SiteFacts, "settings" | "app">> = {
  code: "settings/no-secret",
  name: "settings hold no secret",
  meaning: "whoever reads the settings has the secret",
  repair: "remove that setting when the app no longer needs it: it signs in with its identity",
  proof: true,
  look: async ({ settings, app }) => {
    const names = secretSettingNames(await settings());
    if (names.length === 0) return { ok: true, detail: "none found" };
    const isInFile = secretSettingNames(app.settings).length > 0;
    const hint =
      "take it out of the project file, which others read: the app signs in with its identity; other secrets belong into a key vault";
    return { ok: false, detail: `settings of ${app.label} hold secrets: ${names.join(", ")}`, ...(isInFile && { hint }) };
  },
};

/** What the app is told about its database, and what it must not hold. */
export const settingsChecks: readonly Check<SiteFacts>[] = [
  databaseSetting("DB_HOST", "the app looks for its database elsewhere"),
  databaseSetting("DB_PORT", "the app knocks at the wrong port"),
  databaseSetting("DB_NAME", "the app opens another database"),
  databaseSetting("DB_USER", "the app signs in as a role that is not its own, and is refused"),
  {
    code: "settings/connector",
    name: "settings AZURE_POSTGRESQL_* are current",
    meaning: "libraries that read them connect elsewhere",
    repair: fix,
    proof,
    look: async (facts) => {
      const [settings, wanted] = await Promise.all([facts.settings(), wantedSettings(facts)]);
      const names = Object.keys(wanted).filter((name) => name.startsWith("AZURE_POSTGRESQL_") || name === "DB_CLIENT_ID");
      const stale = names.filter((name) => settings[name] !== wanted[name]);
      return { ok: stale.length === 0, detail: stale.length === 0 ? names.join(", ") : `missing or changed: ${stale.join(", ")}` };
    },
  },
  {
    code: "settings/own",
    name: "own settings are as the file says",
    meaning: "somebody changed or removed them",
    repair: fix,
    proof,
    look: async ({ settings, app }) => {
      const names = Object.keys(app.settings);
      if (names.length === 0) return undefined;
      const found = await settings();
      const wrong = names.filter((name) => found[name] !== app.settings[name]);
      const detail = wrong.length === 0 ? `${names.length} of the project file` : `missing or changed: ${wrong.join(", ")}`;
      return { ok: wrong.length === 0, detail };
    },
  },
  noSecretSetting,
  {
    code: "settings/client-id",
    name: "setting AZURE_CLIENT_ID chooses no other identity",
    meaning: "DefaultAzureCredential asks for an identity whose tokens the role does not take",
    repair: ({ app }) =>
      app.identity === undefined ? "remove the app setting AZURE_CLIENT_ID: the app has its system-assigned identity" : fix,
    proof,
    look: async ({ settings, site, app }) => {
      const [{ AZURE_CLIENT_ID: value }, { clientId }] = await Promise.all([settings(), site()]);
      const ok = value === clientId || (value !== undefined && app.settings.AZURE_CLIENT_ID === value);
      return { ok, detail: value === undefined ? "no AZURE_CLIENT_ID" : `AZURE_CLIENT_ID ${value}` };
    },
  },
];

function databaseSetting(setting: string, meaning: string): Check<SiteFacts> {
  return {
    code: `settings/${setting.toLowerCase().replace("_", "-")}`,
    name: `setting ${setting} is right`,
    meaning,
    repair: fix,
    proof,
    look: async (facts) => {
      const [settings, wanted] = await Promise.all([facts.settings(), wantedSettings(facts)]);
      const [found, right] = [settings[setting], wanted[setting]];
      return found === right
        ? { ok: true, detail: `${setting} ${right}` }
        : { ok: false, detail: `${found ?? "(absent)"}, wanted ${right}` };
    },
  };
}

async function wantedSettings({ server, database, site, app }: SiteFacts): Promise<Record<string, string>> {
  const [at, wanted, { clientId }] = await Promise.all([server(), database(), site()]);
  return settingsOf({ label: app.label, role: app.role, clientType: app.clientType, own: app.settings }, at, wanted, clientId);
}
