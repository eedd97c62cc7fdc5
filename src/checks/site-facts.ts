import { memoize } from "../base/memoize.ts";
import { parseResourceId } from "../base/resource-id.ts";
import { siteName } from "../base/site-address.ts";
import type { SiteSetup } from "../project/site-setup.ts";
import { readIdentity, withEffectiveIdentity } from "../steps/app-identity.ts";
import { absent, type SharedFacts } from "./shared-facts.ts";

/** What Azure and the database say of one site, without what its app says. */
export function gatherOutsideFacts(shared: SharedFacts, app: SiteSetup) {
  return { ...gatherAzureFacts(shared, app), ...gatherRoleFacts(shared, app) };
}

export type OutsideFacts = SharedFacts & ReturnType<typeof gatherOutsideFacts>;

function gatherAzureFacts(shared: SharedFacts, app: SiteSetup) {
  const { cloud, setup } = shared.context;
  const name = siteName(app.address);
  const adapter = cloud.sites.at(app.address);
  /** The user-assigned identity of the app; `undefined` for a system-assigned one. */
  const identity = memoize(() => readIdentity(setup, cloud, app));
  const findSite = memoize(async () => {
    const [found, chosen] = await Promise.all([adapter.get(), identity()]);
    return found && withEffectiveIdentity(found, chosen);
  });
  const site = memoize(async () => (await findSite()) ?? absent(`web app ${name}`));
  /** A part of the web app, which is there when the web app is. */
  const part = <T>(what: string, read: () => Promise<T | undefined>): (() => Promise<T>) =>
    memoize(async () => {
      await site();
      return (await read()) ?? absent(`${what} of ${name}`);
    });
  return {
    app,
    identity,
    findSite,
    site,
    settings: part("settings", adapter.getSettings),
    config: part("configuration", adapter.getConfig),
    policies: part("publishing policies", adapter.getPublishingPolicies),
    logs: part("log settings", adapter.getLogs),
    plan: part("App Service plan", async () => {
      const id = parseResourceId((await site()).planId);
      return id && cloud.plans.get(id.resourceGroup, id.path.at(-1) ?? "");
    }),
    linkers: memoize(async () => cloud.linkers.list((await site()).id)),
  };
}

function gatherRoleFacts({ context, serverRoles }: SharedFacts, { role, access: level }: SiteSetup) {
  const findPrincipal = memoize(async () => (await serverRoles()).find(role));
  const principal = async () => (await findPrincipal()) ?? absent(`role ${role}`);
  /** Asked only of a role that is there. */
  const rights = async () => {
    await principal();
    return (await serverRoles()).in(context.setup.database);
  };
  return {
    findPrincipal,
    principal,
    access: memoize(async () => (await rights()).access(role)),
    extraGrants: memoize(async () => (await rights()).extraGrants(role, level)),
  };
}
