import { orphanWarnings } from "../../checks/warnings.ts";
import { readIdentity, withEffectiveIdentity } from "../../steps/app-identity.ts";
import { deployedOn } from "../../steps/deploy/package-tags.ts";
import { openProject } from "../open-project.ts";
import { warningLines } from "../output/plan.ts";
import { withSession } from "../session.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";
import { paint } from "../terminal/style.ts";

export async function status(io: Io, options: GlobalOptions, directory: string): Promise<number> {
  const project = await openProject(io, directory, options);
  io.note("asking Azure");
  return withSession(io, options, project, async ({ cloud, setup }) => {
    const group = setup.resourceGroup;
    const [server, left, sites] = await Promise.all([
      cloud.postgresServers.get(group, setup.server.name),
      orphanWarnings({ cloud, setup }),
      Promise.all(
        setup.sites.map(async (app) => {
          const [site, identity] = await Promise.all([cloud.sites.at(app.address).get(), readIdentity(setup, cloud, app)]);
          return { app, site: site && withEffectiveIdentity(site, identity) };
        }),
      ),
    ]);
    const body = {
      ok: server !== undefined && sites.every(({ site }) => site !== undefined),
      cloud: cloud.environment.name,
      subscriptionId: cloud.subscriptionId,
      caller: cloud.caller.name,
      resourceGroup: group,
      server: server
        ? { name: server.name, host: server.host, port: server.port, state: server.state, version: server.version, sku: server.sku }
        : null,
      database: setup.database,
      apps: Object.fromEntries(
        sites.map(({ app, site }) => [
          app.label,
          site
            ? {
                name: site.name,
                url: site.url,
                state: site.state,
                identity: app.identity ?? "system",
                principalId: site.principalId ?? null,
                package: deployedOn(site)?.packageHash ?? null,
              }
            : null,
        ]),
      ),
      warnings: left,
    };
    if (io.isJson) {
      io.document(body);
      return 0;
    }
    io.result(`${cloud.environment.name} · ${group} · signed in as ${cloud.caller.name}`);
    io.result(
      server
        ? `server  ${server.name}  ${server.state}  PostgreSQL ${server.version}  ${server.host}:${server.port}`
        : `server  ${setup.server.name}  absent`,
    );
    for (const { app, site } of sites)
      io.result(site ? `app     ${app.label}  ${site.state}  ${site.url}` : `app     ${app.label}  ${app.address.app}  absent`);
    for (const line of warningLines(left, paint(io.hasColor))) io.note(line);
    return 0;
  });
}
