import type { Clock } from "../base/clock.ts";
import { parseResourceId } from "../base/resource-id.ts";
import type { SiteSetup } from "../project/site-setup.ts";
import { absent, gather, memoize, memoizeByKey, type VerifyContext } from "./verify.ts";

export interface DoctorContext extends Omit<VerifyContext, "marker"> {
  readonly clock: Clock;
  /** The web apps were changed a moment ago and start anew: one that does not answer well yet is asked again for half a minute. */
  readonly areRestarting?: boolean;
  /** SHA-256 of the package the app's folder makes; without it "package" is not looked at. */
  packageHash?(app: SiteSetup): Promise<string>;
}

/** One thing that can be wrong. Its name stays the same over versions: scripts may look for it. */
export interface Condition {
  readonly name: string;
  /** What it leads to when it is so. */
  readonly meaning: string;
  /** The command or setting that repairs it. */
  readonly hint: string;
  /** Looked at also when what it speaks of is absent or the database lets nobody in: those are its own findings. */
  readonly isRoot?: true;
  /** Evidence, and whether all is well. `undefined`: does not apply here. */
  look(): Promise<{ readonly ok: boolean; readonly detail: string; readonly hint?: string } | undefined>;
}

/** What the conditions look at beside the facts of `verify`, each asked for once. */
export function gatherMore(context: DoctorContext) {
  const { setup, cloud, firewallAccess } = context;
  const { resourceGroup: group } = setup;
  const facts = gather({ ...context, marker: "" });
  /** A stopped or private server answers nobody: not worth the minute that a login waits for it. */
  const open = memoize(async () => {
    const server = await facts.server();
    return server.state === "Ready" && server.publicNetworkAccess ? server : absent("a server that answers");
  });
  return {
    ...facts,
    principal: memoizeByKey(async (role) => open().then(() => facts.principal(role))),
    access: memoizeByKey(async (role) => open().then(() => facts.access(role))),
    extraGrants: memoizeByKey(async (role) => open().then(() => facts.extraGrants(role))),
    administrator: memoize(async () => open().then(() => facts.administrator())),
    subscription: memoize(() => cloud.subscription.read()),
    rules: memoize(async () => cloud.postgresServers.listFirewallRules(group, (await facts.server()).name)),
    reach: memoize(async () => {
      const { host, port } = await open();
      return cloud.probeConnectivity({ host, port });
    }),
    parameter: memoizeByKey(async (name) => {
      const { name: serverName, state } = await facts.server();
      if (state !== "Ready") return absent("a running server"); // it answers for its parameters only then
      const found = await cloud.postgresServers.getParameter(group, serverName, name);
      return found ?? absent(`parameter ${name}`);
    }),
    roles: memoize(async () => {
      const at = await open();
      const as = await facts.login();
      return firewallAccess.withAccess(at, () => cloud.principals.list(at, as));
    }),
    plan: memoizeByKey(async (name) => {
      const id = parseResourceId((await facts.site(name)).planId);
      const found = id && (await cloud.webApps.getPlan(id.resourceGroup, id.path.at(-1) ?? ""));
      return found ?? absent(`App Service plan of ${name}`);
    }),
    config: memoizeByKey(
      async (name) => (await cloud.webApps.getConfig(group, (await facts.site(name)).name)) ?? absent(`configuration of ${name}`),
    ),
    policies: memoizeByKey(
      async (name) =>
        (await cloud.webApps.getPublishingPolicies(group, (await facts.site(name)).name)) ?? absent(`publishing policies of ${name}`),
    ),
    logs: memoizeByKey(
      async (name) => (await cloud.webApps.getLogs(group, (await facts.site(name)).name)) ?? absent(`log settings of ${name}`),
    ),
    sites: memoize(async () => cloud.webApps.list(group)),
    linkers: memoizeByKey(async (name) => cloud.linkers.list((await facts.site(name)).id)),
  };
}

export type MoreFacts = ReturnType<typeof gatherMore>;
