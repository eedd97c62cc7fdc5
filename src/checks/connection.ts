import { isSameId } from "../base/resource-id.ts";
import type { Linker } from "../cloud/linkers.ts";
import { authTypeOf } from "../steps/service-connection.ts";
import { type Check, fix } from "./check.ts";
import type { SiteFacts } from "./facts.ts";
import { absent } from "./shared-facts.ts";

const proof = "service connection names the role";

/** The link of Service Connector between the app and the database. */
export const connectionChecks: readonly Check<SiteFacts>[] = [
  {
    code: "connection/exists",
    name: "service connection exists",
    meaning: "the portal does not know the link, and its settings are not kept up",
    repair: fix,
    proof,
    look: async ({ linkers, app }) => {
      const names = (await linkers()).map(({ name }) => name);
      const ok = names.includes(app.linker);
      return { ok, detail: ok ? app.linker : `${app.linker} is none of ${names.join(", ") || "none"}` };
    },
  },
  {
    code: "connection/target",
    name: "service connection points at the database",
    meaning: "its settings name another database",
    repair: fix,
    proof,
    look: async (facts) => {
      const [{ targetId }, { id, name }] = await Promise.all([linkerOf(facts), facts.database()]);
      const target = targetId.split("/").pop();
      return isSameId(targetId, id) ? { ok: true, detail: `→ ${target}` } : { ok: false, detail: `${target}, wanted ${name}` };
    },
  },
  {
    code: "connection/user",
    name: "service connection signs in as the role",
    meaning: "its settings name another user",
    repair: fix,
    proof,
    look: async (facts) => {
      const { userName } = await linkerOf(facts);
      const { role } = facts.app;
      return userName === role ? { ok: true, detail: `as ${role}` } : { ok: false, detail: `${userName ?? "(nobody)"}, wanted ${role}` };
    },
  },
  {
    code: "connection/identity",
    name: "service connection uses the identity",
    meaning: "its settings may hold a password",
    repair: fix,
    proof,
    look: async (facts) => {
      const [{ authType, clientId }, site] = await Promise.all([linkerOf(facts), facts.site()]);
      const isUserAssigned = facts.app.identity !== undefined;
      const ok = authType === authTypeOf(isUserAssigned) && (!isUserAssigned || clientId === site.clientId);
      return { ok, detail: isUserAssigned && clientId ? `${authType}, client ID ${clientId}` : authType };
    },
  },
  {
    code: "connection/no-other",
    name: "no other service connection writes the same settings",
    meaning: "the last one written wins: AZURE_POSTGRESQL_* may name another user or database after its next update",
    repair: "remove it in the portal (Service Connector), or with `az webapp connection delete`",
    look: async ({ linkers, app }) => {
      const others = (await linkers()).filter(({ name, targetId }) => name !== app.linker && /\/flexibleServers\//i.test(targetId));
      const detail = others.map(({ name, userName }) => `${name} (${userName ?? "nobody"})`).join(", ");
      return { ok: others.length === 0, detail: detail || "none" };
    },
  },
];

async function linkerOf({ linkers, app }: SiteFacts): Promise<Linker> {
  return (await linkers()).find(({ name }) => name === app.linker) ?? absent(`service connection ${app.linker}`);
}
