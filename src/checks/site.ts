import { siteName } from "../base/site-address.ts";
import { identityVerdict } from "../steps/app-identity.ts";
import { missingIdentityHint } from "../steps/managed-identity.ts";
import { takenBy, webAppName } from "../steps/taken-names.ts";
import { type Check, fix, init } from "./check.ts";
import type { SiteFacts } from "./facts.ts";
import { onOff } from "./server.ts";

/** The web app itself, its plan and its identity. */
export const siteChecks: readonly Check<SiteFacts>[] = [
  {
    code: "site/exists",
    name: "web app exists",
    meaning: "there is nothing that could run the app",
    repair: init,
    look: async ({ findSite, app }) => {
      const found = await findSite();
      return { ok: found !== undefined, detail: found?.url ?? `web app ${siteName(app.address)} does not exist` };
    },
  },
  {
    code: "site/name",
    name: "web app name is free",
    meaning: "the web app cannot be created: names of web apps are shared by all of Azure",
    repair: ({ app }) => `choose another "apps.${app.label}.name" in the project file`,
    look: async ({ findSite, app, context }) => {
      if (await findSite()) return undefined;
      const taken = await takenBy(context, webAppName(context, app));
      return taken ? { ok: false, detail: taken.detail, hint: taken.hint } : { ok: true, detail: siteName(app.address) };
    },
  },
  {
    code: "site/runs",
    name: "web app runs",
    meaning: "every request gets 403 Site Disabled",
    repair: fix,
    proof: "web app runs, HTTPS only",
    look: async ({ site }) => {
      const { url, state } = await site();
      return { ok: state === "Running", detail: `${url} ${state}` };
    },
  },
  {
    code: "site/https-only",
    name: "HTTPS only",
    meaning: "the app also answers in clear text",
    repair: fix,
    proof: "web app runs, HTTPS only",
    look: async ({ site }) => {
      const { httpsOnly } = await site();
      return { ok: httpsOnly, detail: `httpsOnly ${httpsOnly}` };
    },
  },
  {
    code: "site/identity",
    name: "managed identity is on",
    meaning: "the app gets no token",
    repair: fix,
    proof: true,
    look: async ({ identity, site, app }) => {
      const chosen = await identity();
      // Not for `--fix` or `init` to make; told also before there is a web app.
      if (chosen && !chosen.principalId && app.identity === chosen.id) {
        return { ok: false, detail: `there is no user-assigned identity ${chosen.id}`, hint: missingIdentityHint };
      }
      return identityVerdict(await site(), chosen);
    },
  },
  {
    code: "site/linux-plan",
    name: "plan is a Linux plan",
    meaning: "the runtime of the project file does not start",
    repair: "give the app another name, or move it to a Linux plan",
    look: async ({ plan }) => {
      const { name, isLinux } = await plan();
      return { ok: isLinux, detail: `${name} is ${isLinux ? "Linux" : "Windows"}` };
    },
  },
  {
    code: "site/awake",
    name: "plan keeps the app awake",
    meaning: "on Free and Shared plans the app sleeps after 20 minutes and has 60 minutes of processor time a day",
    repair: 'set "plan": "B1" or larger in the project file, then run `passwordless-pg init`',
    look: async ({ plan }) => {
      const { name, sku, tier } = await plan();
      return { ok: !/^(F1|D1)$/i.test(sku), detail: `${name} is ${sku} (${tier})` };
    },
  },
  {
    code: "site/scm-credentials-off",
    name: "basic publishing credentials of SCM are off",
    meaning: "a user name and password can deploy code",
    repair: fix,
    proof: "basic publishing credentials are off",
    look: async ({ policies }) => {
      const { scm } = await policies();
      return { ok: !scm, detail: `scm ${onOff(scm)}` };
    },
  },
  {
    code: "site/ftp-credentials-off",
    name: "basic publishing credentials of FTP are off",
    meaning: "a user name and password can replace code",
    repair: fix,
    proof: "basic publishing credentials are off",
    look: async ({ policies }) => {
      const { ftp } = await policies();
      return { ok: !ftp, detail: `ftp ${onOff(ftp)}` };
    },
  },
  {
    code: "site/logs",
    name: "logs are kept",
    meaning: "`logs tail` shows nothing",
    repair: fix,
    look: async ({ logs }) => {
      const { isFileSystemLoggingOn: isOn } = await logs();
      return { ok: isOn, detail: `file system logging ${isOn ? "on" : "off"}` };
    },
  },
];
