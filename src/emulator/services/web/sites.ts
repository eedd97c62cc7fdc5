import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { isSameId } from "../../../base/resource-id.ts";
import type { Shims } from "../../machines/app/shims.ts";
import type { Platform, SiteRegistry, SiteView } from "../../platform.ts";
import type { Collection } from "../../store.ts";
import type { Deployment } from "../scm/model.ts";
import type { IdentityEndpoint } from "./identity.ts";
import { isUserIdentityId, type Plan, type Site, type SitePrincipals } from "./model.ts";
import { openSiteMachine, type SiteMachine, type SiteSource } from "./site-machine.ts";
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

interface Context {
  readonly platform: Platform;
  readonly identity: () => IdentityEndpoint;
  readonly shims: Shims;
  readonly plans: Collection<Plan>;
  readonly sites: Collection<Site>;
  readonly machines: Map<string, SiteMachine>;
  /** The end of what was last asked of a site. */
  readonly queues: Map<string, Promise<void>>;
}

export function createSites(platform: Platform, identity: () => IdentityEndpoint, shims: Shims): Sites {
  const plans = platform.store.collection<Plan>("web/plans");
  const sites = platform.store.collection<Site>("web/sites");
  const context: Context = { platform, identity, shims, plans, sites, machines: new Map(), queues: new Map() };
  const change = (id: string, by: Partial<Site>): Site => update(context, id, by, true);
  return {
    plans: {
      get: (id) => plans.get(id),
      list: (prefix) => plans.list(prefix),
      set: (plan) => plans.set(plan.id, plan),
      delete: (id) => void plans.delete(id),
    },
    get: (id) => sites.get(id),
    list: (prefix) => sites.list(prefix),
    onPlan: (planId) => sites.list().filter((site) => isSameId(site.planId, planId)),
    byName: (name) => sites.list().find((site) => site.name.toLowerCase() === name.toLowerCase()),
    machine: (site) => machineOf(context, site),
    create: (site) => create(context, site),
    update: (id, by, recycle) => update(context, id, by, recycle),
    enableSystemIdentity: (siteId) => {
      const site = requireSite(context, siteId);
      const principalId = site.principalId ?? platform.directory.createManagedIdentity(site.id, site.name).objectId;
      if (!site.principalId) change(site.id, { principalId });
      return { principalId };
    },
    disableSystemIdentity: (id) => disableSystemIdentity(context, id),
    assignIdentity: (siteId, clientId) => assignIdentity(context, siteId, clientId),
    principalsOf: (id) => principalsOf(platform, sites.get(id)),
    changeAppSettings: (siteId, by) => void change(siteId, { appSettings: by(requireSite(context, siteId).appSettings) }),
    find: (siteId) => {
      const site = sites.get(siteId);
      return site && toView(site);
    },
    delete: (id) => remove(context, id),
    oneAtATime: (id, work) => oneAtATime(context, id, work),
    start: () => start(context),
    stop: async () => {
      await Promise.all([...context.machines.values()].map((opened) => opened.close()));
      context.machines.clear();
    },
  };
}

function requireSite({ sites }: Context, id: string): Site {
  const site = sites.get(id);
  if (!site) throw new Error(`site ${id} is gone`);
  return site;
}

function machineOf({ machines }: Context, { id, name }: Site): SiteMachine {
  const found = machines.get(id.toLowerCase());
  if (!found) throw new Error(`site ${name} has no machine`);
  return found;
}

function update(context: Context, id: string, by: Partial<Site>, recycle: boolean): Site {
  const lastModified = new Date(context.platform.clock.now()).toISOString();
  const site = { ...requireSite(context, id), ...by, lastModified };
  context.sites.set(id, site);
  if (recycle) machineOf(context, site).recycleAll();
  return site;
}

async function create(context: Context, site: Site): Promise<Site> {
  const { sites, platform } = context;
  sites.set(site.id, site);
  const opened = await open(context, site).catch(async (error) => {
    sites.delete(site.id); // a site without its machine would be there and could do nothing
    await rm(join(platform.home.sites, site.folder), { recursive: true, force: true }).catch(() => {}); // what failed first is told
    throw error;
  });
  await opened.restartApp();
  return requireSite(context, site.id);
}

async function open(context: Context, site: Site): Promise<SiteMachine> {
  const { platform, identity, shims, plans, sites, machines } = context;
  const { id } = site;
  // By its folder, which is of this creation alone: a machine that is being closed must not write to the next site of the name.
  const own = (): Site | undefined => {
    const found = sites.get(id);
    return found?.folder === site.folder ? found : undefined;
  };
  const source: SiteSource = {
    site: () => own() ?? site,
    plan: () => plans.get((own() ?? site).planId),
    setRelease: (release) => {
      const found = own();
      if (!found) throw new Error(`site ${id} is gone`);
      sites.set(id, { ...found, release });
      platform.store.commit();
    },
  };
  const opened = await openSiteMachine(platform, source, identity(), shims);
  machines.set(id.toLowerCase(), opened);
  sites.set(id, { ...requireSite(context, id), ports: opened.ports });
  return opened;
}

async function remove(context: Context, id: string): Promise<void> {
  const { platform, sites, machines } = context;
  const site = requireSite(context, id);
  const opened = machines.get(id.toLowerCase());
  machines.delete(id.toLowerCase());
  sites.delete(id);
  await opened?.close();
  if (site.principalId) platform.directory.remove(site.principalId);
  const deployments = platform.store.collection<Deployment>("web/deployments");
  for (const row of deployments.list(`${id}/`)) deployments.delete(`${id}/${row.id}`);
  await rm(join(platform.home.sites, site.folder), { recursive: true, force: true });
}

function oneAtATime<T>({ queues }: Context, id: string, work: () => Promise<T>): Promise<T> {
  const before = queues.get(id.toLowerCase()) ?? Promise.resolve();
  const mine = before.then(work);
  queues.set(
    id.toLowerCase(),
    mine.then(
      () => {},
      () => {},
    ),
  );
  return mine;
}

async function start(context: Context): Promise<void> {
  const { sites, platform } = context;
  // All known ports first: an app must not get the port that another site had.
  for (const site of sites.list()) await open(context, site);
  for (const site of sites.list()) {
    const { restartApp, scm } = machineOf(context, site);
    const starting = restartApp();
    scm.deployments.resume(starting);
    starting.catch((error: unknown) => platform.log(`site ${site.name}: ${String(error)}`));
  }
  platform.store.commit();
}

function disableSystemIdentity(context: Context, id: string): void {
  const { platform, identity, sites } = context;
  const { principalId, ...rest } = requireSite(context, id);
  if (principalId === undefined) return;
  platform.directory.remove(principalId);
  identity().forget(principalId);
  sites.set(id, rest);
  update(context, id, {}, true);
}

function assignIdentity(context: Context, siteId: string, clientId: string): boolean {
  const principal = context.platform.directory.findByAppId(clientId);
  const resourceId = principal?.managedIdentityOf ?? "";
  if (!principal?.appId || !isUserIdentityId(resourceId)) return false;
  const { userIdentities = {} } = requireSite(context, siteId);
  if (Object.keys(userIdentities).some((id) => isSameId(id, resourceId))) return true;
  const assigned = { principalId: principal.objectId, clientId: principal.appId };
  update(context, siteId, { userIdentities: { ...userIdentities, [resourceId]: assigned } }, true);
  return true;
}

function principalsOf({ directory }: Platform, site: Site | undefined): SitePrincipals {
  const find = (principalId: string | undefined) => (principalId === undefined ? undefined : directory.find(principalId));
  return {
    system: find(site?.principalId),
    assigned: Object.values(site?.userIdentities ?? {}).flatMap(({ principalId }) => find(principalId) ?? []),
  };
}

function toView({ id, name, location, principalId, appSettings }: Site): SiteView {
  return { id, name, location, appSettings, outboundAddresses, ...(principalId ? { principalId } : {}) };
}

/** The folder of a site: readable, and different after a site is deleted and made again. */
export function siteFolderName(id: string, now: number): string {
  const name = id.split("/").at(-1) ?? "site";
  return `${name.toLowerCase()}-${createHash("sha256").update(`${id.toLowerCase()}${now}`).digest("hex").slice(0, 8)}`;
}
