import { readClaims } from "../base/jwt.ts";
import { hints } from "../cloud/hints.ts";
import { type Check, toFinding } from "./check.ts";
import type { ProjectFacts } from "./facts.ts";

/** Whether the caller gets in, and if not why. */
export const signInChecks: readonly Check<ProjectFacts>[] = [
  {
    code: "sign-in/administrator",
    name: "caller is an administrator of the server",
    meaning: "roles and grants cannot be looked at or made",
    repair: "run `passwordless-pg server create`, or sign in as one of the administrators",
    proof: "caller is Entra administrator",
    look: async ({ administrator, administrators, context: { cloud } }) => {
      const found = await administrator();
      if (found) return { ok: true, detail: `${found.name} (${found.type})` };
      const names = (await administrators()).map(({ name }) => name).join(", ") || "nobody";
      return { ok: false, detail: `${cloud.caller.name} is not; administrators: ${names}` };
    },
  },
  {
    code: "sign-in/token",
    name: "database token fits",
    meaning: "the server refuses a token of another audience, tenant or person",
    repair: hints.signInAnew,
    look: async ({ context: { cloud, clock } }) => {
      const { token } = await cloud.databaseToken();
      const { aud = "", oid = "", tid = "", exp = 0 } = readClaims(token) ?? {};
      const audience = cloud.environment.scopes.postgres.replace(/\/\.default$/, "");
      const wrong = [
        aud.replace(/\/$/, "") !== audience && `audience ${aud}`,
        oid !== cloud.caller.objectId && `object ID ${oid}, caller ${cloud.caller.objectId}`,
        tid !== cloud.caller.tenantId && `tenant ${tid}`,
        exp * 1000 < clock.now() && "expired by this machine's clock",
      ].filter((words) => words !== false);
      return { ok: wrong.length === 0, detail: wrong.join(", ") || `for ${audience}, object ID ${oid}` };
    },
  },
  {
    code: "sign-in/login",
    name: "caller signs in to PostgreSQL",
    meaning: "roles and grants cannot be looked at or made",
    repair:
      "sign in as an administrator of the server (`az login`), and repair what stands above of network and Entra authentication first",
    proof: "caller signs in to PostgreSQL over verified TLS",
    look: async ({ openServer, administrators, roles, serverRoles }) => {
      await openServer();
      if ((await administrators()).length === 0) return undefined;
      return roles().then(async () => ({ ok: true, detail: `as ${(await serverRoles()).login} with a token` }), toFinding);
    },
  },
];
