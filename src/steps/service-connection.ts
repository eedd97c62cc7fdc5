import { isSameId } from "../base/resource-id.ts";
import type { Linker, Linkers } from "../cloud/linkers.ts";
import type { Database } from "../cloud/postgres-servers.ts";
import type { WebApp } from "../cloud/web-apps.ts";
import { type Difference, defineStep, type Step } from "../engine/step.ts";

/** The Service Connector linker from the web app to the database. It names the role and writes settings; it makes no role and no grant. */
export const serviceConnection = (
  desired: { key: string; name: string; userName: string; clientType: string },
  linkers: Linkers,
  needs: { readonly site: Step<WebApp>; readonly database: Step<Database> },
) =>
  defineStep<Linker, typeof needs>({
    name: `service connection ${desired.key}`,
    needs,
    lane: `site ${desired.key}`,
    read: ({ site }) => linkers.get(site.id, desired.name),
    plan: (observed, { database }) => {
      if (!observed) return { kind: "create", reason: desired.name };
      const differences: Difference[] = [];
      const differ = (field: string, is: unknown, wanted: unknown): void =>
        void (is !== wanted && differences.push({ field, observed: is, desired: wanted }));
      if (!isSameId(observed.targetId, database.id)) differ("target", observed.targetId, database.id);
      differ("authType", observed.authType, "systemAssignedIdentity");
      differ("userName", observed.userName, desired.userName);
      differ("clientType", observed.clientType, desired.clientType);
      if (observed.provisioningState === "Failed") differ("provisioningState", observed.provisioningState, "Succeeded");
      return differences.length === 0 ? { kind: "keep" } : { kind: "update", differences };
    },
    apply: async (_change, { site, database }) => {
      await linkers.put(site.id, desired.name, { targetId: database.id, userName: desired.userName, clientType: desired.clientType });
    },
  });
