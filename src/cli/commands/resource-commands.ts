import { KnownError } from "../../base/errors.ts";
import { escapeControls } from "../../base/json.ts";
import { siteAddressId } from "../../base/site-address.ts";
import { isComplete, type Report } from "../../engine/report.ts";
import type { AnyStep } from "../../engine/step.ts";
import { type ProjectGraph, projectGraph } from "../../graph/project-graph.ts";
import { administratorLogin } from "../../steps/entra-administrator.ts";
import { exposureOf } from "../../steps/firewall.ts";
import { openProject } from "../open-project.ts";
import { prepareProject } from "../prepare-project.ts";
import { runGraph } from "../run-graph.ts";
import { type Session, withChangingSession, withSession } from "../session.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";

type Command = (io: Io, options: GlobalOptions, directory: string) => Promise<number>;

/** These steps and all they need, out of the same graph that `init` runs. */
function create(name: string, select: (graph: ProjectGraph) => readonly AnyStep[]): Command {
  return async (io, options, directory) => {
    const project = await prepareProject(io, options, directory);
    const body = (report: Report): object => ({
      ok: isComplete(report),
      steps: report.steps.map(({ error: _error, ...step }) => step),
      warnings: report.warnings ?? [],
    });
    return runGraph(io, options, project, {
      name,
      graph: (session) => projectGraph(session.setup, session),
      select,
      body,
      finish: async (report) => {
        if (io.isJson) io.document(body(report));
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

async function everySite(session: Session, work: (name: string) => Promise<void>): Promise<void> {
  for (const app of session.setup.apps) await work(app.name);
}

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

export const webappCreate = create("webapp create", ({ sites }) =>
  sites.flatMap(({ site, configuration, publishing, logs }) => [site, configuration, publishing, logs]),
);
export const webappShow = show(async ({ cloud, setup }) => {
  const group = setup.resourceGroup;
  return Promise.all(
    setup.apps.map(async (app) => ({
      key: app.key,
      site: (await cloud.webApps.get(group, app.name)) ?? null,
      config: (await cloud.webApps.getConfig(group, app.name)) ?? null,
    })),
  );
});
export const webappStart = act("webapp start", (session) =>
  everySite(session, (name) => session.cloud.webApps.start(session.setup.resourceGroup, name)),
);
export const webappStop = act("webapp stop", (session) =>
  everySite(session, (name) => session.cloud.webApps.stop(session.setup.resourceGroup, name)),
);
export const webappRestart = act("webapp restart", (session) =>
  everySite(session, (name) => session.cloud.webApps.restart(session.setup.resourceGroup, name)),
);

export const connectionCreate = create("connection create", ({ sites }) =>
  sites.flatMap(({ connection, settings }) => [connection, settings]),
);
export const connectionList = show(async ({ cloud, setup }) => {
  const linkers = setup.apps.map(
    async (app) => [app.key, await cloud.linkers.list(siteAddressId(cloud.subscriptionId, app.production.address))] as const,
  );
  return Object.fromEntries(await Promise.all(linkers));
});
export const connectionValidate = show(async ({ cloud, setup }) => {
  const answers = setup.apps.map(
    async (app) =>
      [app.key, await cloud.linkers.validate(siteAddressId(cloud.subscriptionId, app.production.address), app.linker)] as const,
  );
  return Object.fromEntries(await Promise.all(answers));
});

export const principalAdd = create("principal add", ({ sites }) => sites.flatMap(({ principal, access }) => [principal, access]));
export const principalShow = show(async (session) => {
  const { cloud, firewallAccess, setup } = session;
  const server = await theServer(session);
  const login = await administratorLogin({ cloud, firewallAccess, group: setup.resourceGroup }, server);
  return Promise.all(
    setup.apps.map(async (app) => {
      const principal = await firewallAccess.withAccess(server, () => cloud.principals.find(server, login, app.role));
      const access =
        principal && (await firewallAccess.withAccess(server, () => cloud.principals.access(server, login, setup.database, app.role)));
      return { key: app.key, role: app.role, principal: principal ?? null, access: access ?? null };
    }),
  );
});

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
