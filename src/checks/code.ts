import { describeStatus } from "../cloud/app-service/site-client.ts";
import { deployedOn } from "../steps/deploy/package-tags.ts";
import { describeAnswer, isHealthy, rowCameBack } from "./app-proof.ts";
import type { Check } from "./check.ts";
import type { SiteFacts } from "./facts.ts";

const deploy = "run `passwordless-pg deploy`, then `passwordless-pg logs tail`";
const readLog = "`passwordless-pg logs tail` shows what the app says";
const noRoute = "not asked: the app has no /healthz/database; its health path stands for it";

/** The running code, as it answers from outside. */
export const codeChecks: readonly Check<SiteFacts>[] = [
  {
    code: "code/answers",
    name: "app answers",
    meaning: "it crashed at its start, or does not listen on PORT; App Service restarts an instance whose health path fails",
    repair: deploy,
    proof: true,
    look: async ({ health, app }) => {
      const response = await health();
      const ok = app.health ? isHealthy(response) : response.status < 500;
      return { ok, detail: `${app.health || "/"} ${describeStatus(response)}` };
    },
  },
  {
    code: "code/there",
    name: "code is there",
    meaning: "App Service's placeholder page is served with 200",
    repair: deploy,
    proof: true,
    look: async ({ home }) => {
      const isPlaceholder = /Your web app is running and waiting for your content/i.test((await home()).body);
      return { ok: !isPlaceholder, detail: `/ is ${isPlaceholder ? "" : "not "}App Service's placeholder page` };
    },
  },
  {
    code: "code/package",
    name: "deployed package is that of the folder",
    meaning: "what runs is older than the code here",
    repair: "run `passwordless-pg deploy`",
    look: async ({ site, app, context: { packageHash } }) => {
      if (!packageHash) return undefined;
      const running = deployedOn(await site())?.packageHash;
      const here = await packageHash(app);
      const detail = running ? `${running.slice(0, 12)} runs, the folder makes ${here.slice(0, 12)}` : "this tool has deployed nothing yet";
      return { ok: running === here, detail };
    },
  },
  {
    code: "code/signs-in",
    name: "app signs in with its token",
    meaning: "the app itself cannot reach the database",
    repair: readLog,
    proof: true,
    look: async ({ databaseRoute, app }) => {
      const { response, body, isThere, isFine } = await databaseRoute();
      if (!isThere) return { ok: true, detail: noRoute };
      if (!isFine) return { ok: false, detail: describeAnswer(response) };
      const version = typeof body.serverVersion === "string" ? `, PostgreSQL ${body.serverVersion}` : "";
      return { ok: true, detail: `as ${app.role} over TLS${version}` };
    },
  },
  {
    code: "code/row",
    name: "app writes and reads a row",
    meaning: "the app signs in but cannot use its tables",
    repair: readLog,
    proof: true,
    writes: true,
    look: async (facts) => {
      if (facts.app.access === "read") return { ok: true, detail: 'not asked: access level "read" writes nothing' };
      if (!(await facts.databaseRoute()).isThere) return { ok: true, detail: noRoute };
      return rowCameBack(facts, facts.context.marker ?? "passwordless-pg");
    },
  },
];
