import { hints } from "../cloud/hints.ts";
import { describeOrphans, findOrphans } from "../removal/orphans.ts";
import { serverName, takenBy } from "../steps/taken-names.ts";
import { type Check, fix, init, toFinding } from "./check.ts";
import type { ProjectFacts } from "./facts.ts";
import type { FactsOf } from "./shared-facts.ts";

/** What the project needs of its subscription. */
export const providers = ["Microsoft.DBforPostgreSQL", "Microsoft.Web", "Microsoft.ServiceLinker"] as const;

export const isRegistered = (state: string): boolean => state === "Registered" || state === "Registering";

const clockToleranceMs = 120_000;

/** No web app of this project is there that its file does not name. Also asked before a plan is applied. */
export const noOrphans: Check<FactsOf<"groupSites">> = {
  code: "subscription/no-orphans",
  name: "no web app is left over",
  meaning: "a web app that was renamed or taken out of the project file goes on running, costs, and may sign in to the database",
  repair: "remove it, its App Service plan and its database role",
  look: async ({ groupSites, context: { setup } }) => {
    const orphans = findOrphans(await groupSites(), setup);
    return orphans.length === 0 ? { ok: true, detail: "none" } : { ok: false, ...describeOrphans(orphans, setup) };
  },
};

/** Of a machine's clock, the subscription and what it offers. */
export const subscriptionChecks: readonly Check<ProjectFacts>[] = [
  {
    code: "subscription/enabled",
    name: "subscription is enabled",
    meaning: "Azure refuses every change in a subscription that is disabled",
    repair: hints.subscriptionState,
    look: ({ subscription, context }) =>
      subscription().then(
        ({ state }) => ({ ok: state === "Enabled" || state === "Warned", detail: `${context.cloud.subscriptionId} is ${state}` }),
        toFinding,
      ),
  },
  {
    code: "subscription/clock",
    name: "clock agrees with Azure",
    meaning: "tokens look expired or not valid yet, and logins are refused",
    repair: "set this machine's clock (NTP)",
    look: async ({ subscription }) => {
      const { clockAheadMs } = await subscription();
      if (clockAheadMs === undefined) return undefined;
      const seconds = Math.round(clockAheadMs / 1000);
      return { ok: Math.abs(clockAheadMs) <= clockToleranceMs, detail: `${Math.abs(seconds)} s ${seconds < 0 ? "behind" : "ahead"}` };
    },
  },
  ...providers.map(
    (namespace): Check<ProjectFacts> => ({
      code: `subscription/provider-${namespace.replace("Microsoft.", "").toLowerCase()}`,
      name: `resource provider ${namespace} is registered`,
      meaning: "Azure answers MissingSubscriptionRegistration to what this tool creates",
      repair: `${fix}, or \`az provider register --namespace ${namespace} --wait\``,
      look: async ({ context }) => {
        const state = await context.cloud.subscription.registrationOf(namespace);
        return { ok: isRegistered(state), detail: state };
      },
    }),
  ),
  {
    code: "subscription/group-exists",
    name: "resource group exists",
    meaning: "nothing of this project can be there",
    repair: init,
    look: async ({ context: { cloud, setup } }) => {
      const group = await cloud.resourceGroups.get(setup.resourceGroup);
      return { ok: group !== undefined, detail: group ? `${group.name} in ${group.location}` : `${setup.resourceGroup} is absent` };
    },
  },
  {
    code: "subscription/region",
    name: "region offers the server",
    meaning: "the server of the project file cannot be created in this region",
    repair: hints.regionOrSku,
    look: async ({ findServer, context: { cloud, setup } }) => {
      if (await findServer()) return undefined;
      const offer = await cloud.subscription.offerOf(setup.location);
      const { sku, version } = setup.server;
      const lacks = [
        offer.isClosed && `${setup.location} is closed to this subscription${offer.reason ? `: ${offer.reason}` : ""}`,
        offer.skus.length > 0 && !offer.skus.some((name) => name.toLowerCase() === sku.toLowerCase()) && `${sku} is not offered`,
        offer.versions.length > 0 && !offer.versions.includes(version) && `version ${version} is not offered`,
      ].filter((words) => words !== false);
      return { ok: lacks.length === 0, detail: lacks.join(", ") || `${sku}, version ${version} in ${setup.location}` };
    },
  },
  {
    code: "subscription/server-name",
    name: "server name is free",
    meaning: "the server cannot be created: names of servers are shared by all of Azure",
    repair: 'choose another "server.name" in the project file',
    look: async ({ findServer, context }) => {
      if (await findServer()) return undefined;
      const taken = await takenBy(context, serverName(context));
      return taken ? { ok: false, detail: taken.detail, hint: taken.hint } : { ok: true, detail: context.setup.server.name };
    },
  },
  noOrphans,
  {
    code: "subscription/quota",
    name: "quota leaves room for the server",
    meaning: "Azure will refuse to create the server",
    repair: hints.quotas,
    look: async ({ findServer, context: { cloud, setup } }) => {
      if (await findServer()) return undefined;
      const usedUp = await cloud.subscription.usedUpQuota(setup.location);
      return { ok: usedUp.length === 0, detail: usedUp.join(", ") || `room in ${setup.location}` };
    },
  },
];
