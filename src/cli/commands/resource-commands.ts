import { KnownError } from "../../base/errors.ts";
import { escapeControls } from "../../base/json.ts";
import { siteAddressId } from "../../base/site-address.ts";
import type { SiteAdapter } from "../../cloud/app-service/sites.ts";
import type { DatabaseAccess } from "../../cloud/database/access.ts";
import { isComplete } from "../../engine/report.ts";
import type { AnyStep } from "../../engine/step.ts";
import type { ProjectGraph } from "../../graph/project-graph.ts";
import { exposureOf } from "../../steps/firewall.ts";
import { openProject } from "../open-project.ts";
import { attemptBodies } from "../output/result.ts";
import { prepareProject } from "../prepare-project.ts";
import { type GraphRun, runGraph } from "../run-graph.ts";
import { type Session, withChangingSession, withSession } from "../session.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";

type Command = (io: Io, options: GlobalOptions, directory: string) => Promise<number>;

/** Some steps and all they need, out of the same graph that `init` runs. */
function create(name: string, steps: (graph: ProjectGraph) => readonly AnyStep[]): Command {
  return async (io, options, directory) => {
    const project = await prepareProject(io, options, directory);
    const body = ({ report }: GraphRun): object => ({
      ok: isComplete(report),
      steps: attemptBodies(report.steps),
      warnings: report.warnings ?? [],
    });
    return runGraph(io, options, project, {
      name,
      steps,
      body,
      finish: async (run) => {
        if (io.isJson) io.document(body(run));
        else io.result("done");
        return 0;
      },
    });
  };
}

/** Shows a value that Azure or the database answered. */
function show(read: (session: Session) => Promise<unknown>): Command {
  return async (io, options, directory) => {
    const project = await openProject(io, directory, options);
    const value = await withSession(io, options, project, read);
    // Escaped, not left out as in other words: it is JSON, and says what the name really is.
    io.result(escapeControls(JSON.stringify(value, undefined, 2)));
    return 0;
  };
}

function act(name: string, work: (session: Session) => Promise<void>): Command {
  return async (io, options, directory) => {
    const project = await openProject(io, directory, options);
    await withChangingSession(io, options, project, name, (session) =>
      io.progress.during("waiting for Azure", "working", () => work(session)),
    );
    if (io.isJson) io.document({ ok: true });
    else io.result("done");
    return 0;
  };
}

async function theServer({ cloud, setup }: Session) {
  const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
  if (!server)
    throw new KnownError("azure/not-found", `flexible server ${setup.server.name} does not exist in ${setup.resourceGroup}`, {
      hint: "run `passwordless-pg init`",
    });
  return server;
}

const onEverySite = (name: string, work: (site: SiteAdapter) => Promise<void>): Command =>
  act(name, async ({ cloud, setup }) => {
    for (const { address } of setup.sites) await work(cloud.sites.at(address));
  });

export const serverCreate = create("server create", ({ server, administrator }) => [server, administrator]);
export const serverShow = show(theServer);
export const serverStart = act("server start", async ({ cloud, setup }) =>
  cloud.postgresServers.start(setup.resourceGroup, setup.server.name),
);
export const serverStop = act("server stop", async ({ cloud, setup }) =>
  cloud.postgresServers.stop(setup.resourceGroup, setup.server.name),
);
export const serverRestart = act("server restart", async ({ cloud, setup }) =>
  cloud.postgresServers.restart(setup.resourceGroup, setup.server.name),
);

export const webappCreate = create("webapp create", ({ sites }) => sites.flatMap(({ site, hardening }) => [site, ...hardening]));
export const webappShow = show(async ({ cloud, setup }) =>
  Promise.all(
    setup.sites.map(async ({ label, address }) => {
      const site = cloud.sites.at(address);
      return { key: label, site: (await site.get()) ?? null, config: (await site.getConfig()) ?? null };
    }),
  ),
);
export const webappStart = onEverySite("webapp start", (site) => site.start());
export const webappStop = onEverySite("webapp stop", (site) => site.stop());
export const webappRestart = onEverySite("webapp restart", (site) => site.restart());

export const connectionCreate = create("connection create", ({ sites }) =>
  sites.flatMap(({ connection, settings }) => [connection, settings]),
);
export const connectionList = show(async ({ cloud, setup }) => {
  const linkers = setup.sites.map(
    async ({ label, address }) => [label, await cloud.linkers.list(siteAddressId(cloud.subscriptionId, address))] as const,
  );
  return Object.fromEntries(await Promise.all(linkers));
});
export const connectionValidate = show(async ({ cloud, setup }) => {
  const answers = setup.sites.map(
    async ({ label, address, linker }) =>
      [label, await cloud.linkers.validate(siteAddressId(cloud.subscriptionId, address), linker)] as const,
  );
  return Object.fromEntries(await Promise.all(answers));
});

export const principalAdd = create("principal add", ({ sites }) => sites.flatMap(({ principal, access }) => [principal, access]));
export const principalShow = show(async (session) => {
  const { cloud, firewallAccess, setup } = session;
  const administrator = await cloud.databases(firewallAccess).asAdministrator(await theServer(session));
  return Promise.all(
    setup.sites.map(async ({ label, role }) => {
      const principal = await administrator.find(role);
      const access = principal && (await administrator.in(setup.database).access(role));
      return { key: label, role, principal: principal ?? null, access: access ? accessBody(access) : null };
    }),
  );
});

/** `barredBy` and `misleadBy` are the names of the version before, and go with the next one. */
function accessBody(access: DatabaseAccess) {
  return { ...access, barredBy: access.loginBlockers, misleadBy: access.misleadingSettings };
}

export const firewallApply = create("firewall apply", ({ firewall }) => [firewall]);
export const firewallList = show(async (session) => {
  const { cloud, firewallAccess, setup } = session;
  const rules = await cloud.postgresServers.listFirewallRules(setup.resourceGroup, (await theServer(session)).name);
  const leftovers = firewallAccess.leftoversAmong(rules);
  return rules.map((rule) => {
    const remark = leftovers.includes(rule.name) ? "left open by an earlier run" : exposureOf([rule], setup.server.firewall)?.meaning;
    return { ...rule, ...(remark !== undefined && { remark }) };
  });
});
