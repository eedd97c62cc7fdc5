import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { isSameId } from "../../../base/resource-id.ts";
import type { Platform, SiteRegistry } from "../../platform.ts";
import type { Deployment } from "../scm/model.ts";
import type { IdentityEndpoint } from "./identity.ts";
import { isUserIdentityId, type Plan, type Site, type SitePrincipals } from "./model.ts";
import { openSiteMachine, type SiteMachine } from "./site-machine.ts";
import { outboundAddresses } from "./wire.ts";

/** Plans, sites and the machines behind them. */
export interface Sites extends SiteRegistry {
  readonly plans: { get(id: string): Plan | undefined; list(prefix: string): Plan[]; set(plan: Plan): void; delete(id: string): void };
  get(id: string): Site | undefined;
  list(prefix: string): Site[];
  onPlan(planId: string): Site[];
  byName(name: string): Site | undefined;
  machine(site: Site): SiteMachine;
  /** Creates a site and opens its ports. */
  create(site: Site): Promise<Site>;
  /** Writes a change. `recycle` when it is one of settings, configuration or identity. */
  update(id: string, change: Partial<Site>, recycle: boolean): Site;
  disableSystemIdentity(id: string): void;
  /** The principals of a site's identities that still exist; a deleted one gives no token. */
  principalsOf(id: string): SitePrincipals;
  delete(id: string): Promise<void>;
  /** Runs creations, replacements and deletions of one site one after another. */
  oneAtATime<T>(id: string, work: () => Promise<T>): Promise<T>;
  /** Opens every stored site and starts what should run. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export function createSites(
  platform: Platform,
  identity: () => IdentityEndpoint,
  shims: { readonly node: string; readonly python: string },
): Sites {
  const planRows = platform.store.collection<Plan>("web/plans");
  const siteRows = platform.store.collection<Site>("web/sites");
  const deploymentRows = platform.store.collection<Deployment>("web/deployments");
  const machines = new Map<string, SiteMachine>();
  const queues = new Map<string, Promise<void>>();
  const now = (): string => new Date(platform.clock.now()).toISOString();

  const require = (id: string): Site => {
    const site = siteRows.get(id);
    if (!site) throw new Error(`site ${id} is gone`);
    return site;
  };
  const machine = (site: Site): SiteMachine => {
    const found = machines.get(site.id.toLowerCase());
    if (!found) throw new Error(`site ${site.name} has no machine`);
    return found;
  };
  const update = (id: string, change: Partial<Site>, recycle: boolean): Site => {
    const site = { ...require(id), ...change, lastModified: now() };
    siteRows.set(id, site);
    if (recycle) machine(site).recycleAll();
    return site;
  };
  const open = async (site: Site): Promise<SiteMachine> => {
    const { id } = site;
    // By its folder, which is of this creation alone: a machine that is being closed must not write to the next site of the name.
    const own = (): Site | undefined => {
      const found = siteRows.get(id);
      return found?.folder === site.folder ? found : undefined;
    };
    const opened = await openSiteMachine(
      platform,
      {
        site: () => own() ?? site,
        plan: () => planRows.get((own() ?? site).planId),
        setRelease: (release) => {
          const found = own();
          if (!found) throw new Error(`site ${id} is gone`);
          siteRows.set(id, { ...found, release });
          platform.store.commit();
        },
      },
      identity(),
      shims,
    );
    machines.set(id.toLowerCase(), opened);
    siteRows.set(id, { ...require(id), ports: opened.ports });
    return opened;
  };

  const api: Sites = {
    plans: {
      get: (id) => planRows.get(id),
      list: (prefix) => planRows.list(prefix),
      set: (plan) => planRows.set(plan.id, plan),
      delete: (id) => void planRows.delete(id),
    },
    get: (id) => siteRows.get(id),
    list: (prefix) => siteRows.list(prefix),
    onPlan: (planId) => siteRows.list().filter((site) => isSameId(site.planId, planId)),
    byName: (name) => siteRows.list().find((site) => site.name.toLowerCase() === name.toLowerCase()),
    machine,
    create: async (site) => {
      siteRows.set(site.id, site);
      const opened = await open(site).catch(async (error) => {
        siteRows.delete(site.id); // a site without its machine would be there and could do nothing
        await rm(join(platform.home.sites, site.folder), { recursive: true, force: true }).catch(() => {}); // what failed first is told
        throw error;
      });
      await opened.restartApp();
      return require(site.id);
    },
    update,
    enableSystemIdentity: (siteId) => {
      const site = require(siteId);
      if (site.principalId) return { principalId: site.principalId };
      const principal = platform.directory.createManagedIdentity(site.id, site.name);
      update(site.id, { principalId: principal.objectId }, true);
      return { principalId: principal.objectId };
    },
    disableSystemIdentity: (id) => {
      const { principalId, ...rest } = require(id);
      if (principalId === undefined) return;
      platform.directory.remove(principalId);
      identity().forget(principalId);
      siteRows.set(id, rest);
      update(id, {}, true);
    },
    assignIdentity: (siteId, clientId) => {
      const principal = platform.directory.findByAppId(clientId);
      const resourceId = principal?.managedIdentityOf ?? "";
      if (!principal?.appId || !isUserIdentityId(resourceId)) return false;
      const site = require(siteId);
      const userIdentities = site.userIdentities ?? {};
      if (Object.keys(userIdentities).some((id) => isSameId(id, resourceId))) return true;
      const assigned = { principalId: principal.objectId, clientId: principal.appId };
      update(siteId, { userIdentities: { ...userIdentities, [resourceId]: assigned } }, true);
      return true;
    },
    principalsOf: (id) => {
      const site = siteRows.get(id);
      const find = (principalId: string | undefined) => (principalId === undefined ? undefined : platform.directory.find(principalId));
      return {
        system: find(site?.principalId),
        assigned: Object.values(site?.userIdentities ?? {}).flatMap(({ principalId }) => find(principalId) ?? []),
      };
    },
    changeAppSettings: (siteId, change) => void update(siteId, { appSettings: change(require(siteId).appSettings) }, true),
    find: (siteId) => {
      const site = siteRows.get(siteId);
      if (!site) return undefined;
      const { id, name, location, principalId, appSettings } = site;
      return { id, name, location, appSettings, outboundAddresses, ...(principalId ? { principalId } : {}) };
    },
    delete: async (id) => {
      const site = require(id);
      const opened = machines.get(id.toLowerCase());
      machines.delete(id.toLowerCase());
      siteRows.delete(id);
      await opened?.close();
      if (site.principalId) platform.directory.remove(site.principalId);
      for (const row of deploymentRows.list(`${id}/`)) deploymentRows.delete(`${id}/${row.id}`);
      await rm(join(platform.home.sites, site.folder), { recursive: true, force: true });
    },
    oneAtATime: async (id, work) => {
      const before = queues.get(id.toLowerCase()) ?? Promise.resolve();
      const mine = before.then(work);
      const settled = mine.catch(() => {}).then(() => {});
      queues.set(id.toLowerCase(), settled);
      return mine;
    },
    start: async () => {
      // All known ports first: an app must not get the port that another site had.
      for (const site of siteRows.list()) await open(site);
      for (const site of siteRows.list()) {
        const opened = machine(site);
        const starting = opened.restartApp();
        opened.scm.deployments.resume(starting);
        starting.catch((error: unknown) => platform.log(`site ${site.name}: ${String(error)}`));
      }
      platform.store.commit();
    },
    stop: async () => {
      await Promise.all([...machines.values()].map((opened) => opened.close()));
      machines.clear();
    },
  };
  return api;
}

/** The folder of a site: readable, and different after a site is deleted and made again. */
export function siteFolderName(id: string, now: number): string {
  const name = id.split("/").at(-1) ?? "site";
  return `${name.toLowerCase()}-${createHash("sha256").update(`${id.toLowerCase()}${now}`).digest("hex").slice(0, 8)}`;
}
