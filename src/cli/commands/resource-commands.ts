import { KnownError } from "../../base/errors.ts";
import { escapeControls } from "../../base/json.ts";
import { isComplete, type Report } from "../../engine/report.ts";
import { allSteps, siteId, stepsNamed } from "../../steps/all.ts";
import { exposureOf } from "../../steps/firewall.ts";
import { openProject } from "../open-project.ts";
import { prepareProject } from "../prepare-project.ts";
import { runGraph } from "../run-graph.ts";
import { type Session, withChangingSession, withSession } from "../session.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";

type Command = (io: Io, options: GlobalOptions, directory: string) => Promise<number>;

/** The steps with these names and all they need, out of the same graph that `init` runs. */
function create(name: string, ...steps: readonly string[]): Command {
  return async (io, options, directory) => {
    const project = await prepareProject(io, options, directory);
    const body = (report: Report): object => ({
      ok: isComplete(report),
      steps: report.steps.map(({ error: _error, ...step }) => step),
      warnings: report.warnings ?? [],
    });
    return runGraph(io, options, project, {
      name,
      steps: (session) => stepsNamed(allSteps(session.setup, session), ...steps),
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

export const serverCreate = create("server create", "flexible server", "Entra administrator");
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

export const webappCreate = create("webapp create", "web app", "basic publishing credentials", "log settings");
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

export const connectionCreate = create("connection create", "service connection", "app settings");
export const connectionList = show(async ({ cloud, setup }) => {
  const linkers = setup.apps.map(async (app) => [app.key, await cloud.linkers.list(siteId(setup, cloud.subscriptionId, app))] as const);
  return Object.fromEntries(await Promise.all(linkers));
});
export const connectionValidate = show(async ({ cloud, setup }) => {
  const answers = setup.apps.map(
    async (app) => [app.key, await cloud.linkers.validate(siteId(setup, cloud.subscriptionId, app), app.linker)] as const,
  );
  return Object.fromEntries(await Promise.all(answers));
});

export const principalAdd = create("principal add", "database principal", "database access");
export const principalShow = show(async (session) => {
  const { cloud, firewallAccess, setup } = session;
  const administrator = await cloud.databases(firewallAccess).asAdministrator(await theServer(session));
  return Promise.all(
    setup.apps.map(async (app) => {
      const principal = await administrator.find(app.role);
      const access = principal && (await administrator.in(setup.database).access(app.role));
      return { key: app.key, role: app.role, principal: principal ?? null, access: access ?? null };
    }),
  );
});

export const firewallApply = create("firewall apply", "firewall");
export const firewallList = show(async (session) => {
  const { cloud, firewallAccess, setup } = session;
  const rules = await cloud.postgresServers.listFirewallRules(setup.resourceGroup, (await theServer(session)).name);
  const leftovers = firewallAccess.leftoversAmong(rules);
  return rules.map((rule) => {
    const remark = leftovers.includes(rule.name) ? "left open by an earlier run" : exposureOf([rule], setup.server.firewall)?.meaning;
    return { ...rule, ...(remark !== undefined && { remark }) };
  });
});
