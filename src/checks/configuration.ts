import { type Check, fix } from "./check.ts";
import type { SiteFacts } from "./facts.ts";

/** How the web app is set up to run and to be reached. */
export const configurationChecks: readonly Check<SiteFacts>[] = [
  {
    code: "configuration/tls",
    name: "TLS is 1.2 or newer",
    meaning: "old clients may connect with broken encryption",
    repair: fix,
    proof: "TLS 1.2 or newer, FTPS off",
    look: async ({ config }) => {
      const { minTlsVersion, scmMinTlsVersion } = await config();
      const ok = Number(minTlsVersion) >= 1.2 && Number(scmMinTlsVersion) >= 1.2;
      return { ok, detail: `minTlsVersion ${minTlsVersion}, SCM ${scmMinTlsVersion}` };
    },
  },
  {
    code: "configuration/ftp-off",
    name: "FTP is off",
    meaning: "code can be replaced over FTP",
    repair: fix,
    proof: "TLS 1.2 or newer, FTPS off",
    look: async ({ config }) => {
      const { ftpsState } = await config();
      return { ok: ftpsState === "Disabled", detail: `ftpsState ${ftpsState}` };
    },
  },
  {
    code: "configuration/runtime",
    name: "runtime is that of the project file",
    meaning: "the app runs on another language or version than it was written for",
    repair: fix,
    look: async ({ config, app }) => {
      const { runtime } = await config();
      return { ok: runtime.toUpperCase() === app.runtime.toUpperCase(), detail: `${runtime || "(none)"}, file ${app.runtime}` };
    },
  },
  {
    code: "configuration/startup",
    name: "start command is set",
    meaning: "a FastAPI app on Python below 3.14 is not found by App Service: its placeholder page is served with 200",
    repair: fix,
    look: async ({ config, app }) => {
      const { startup } = await config();
      if (startup === app.startup) return { ok: true, detail: startup || "the platform finds it" };
      return { ok: false, detail: `${startup || "(none)"}, wanted ${app.startup || "(none)"}` };
    },
  },
  {
    code: "configuration/health-path",
    name: "health check path is set",
    meaning: "App Service keeps sending requests to an instance that is broken",
    repair: fix,
    look: async ({ config, app }) => {
      const { healthCheckPath } = await config();
      return { ok: healthCheckPath === app.health, detail: `${healthCheckPath || "(none)"}, wanted ${app.health || "(none)"}` };
    },
  },
];
