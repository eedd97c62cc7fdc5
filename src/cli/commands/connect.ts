import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { KnownError } from "../../base/errors.ts";
import { administratorLogin } from "../../steps/entra-administrator.ts";
import type { GlobalOptions, Io } from "../io.ts";
import { openProject, type Session, withSession } from "../session.ts";

/** A database token of the caller on stdout: for scripts, never shown beside anything else. */
export async function token(io: Io, options: GlobalOptions, directory: string): Promise<number> {
  const project = await openProject(io, directory, options, false);
  return withSession(io, options, project, async ({ cloud }) => {
    const { token: text, expiresOn } = await cloud.databaseToken();
    io.result(io.isJson ? JSON.stringify({ ok: true, token: text, expiresOn: expiresOn.toISOString() }) : text);
    return 0;
  });
}

/** psql as the caller. The token goes into the environment of psql alone: not on its command line, not into a file. */
export async function connect(io: Io, options: { readonly database?: string } & GlobalOptions, directory: string): Promise<number> {
  const project = await openProject(io, directory, options, false);
  return withSession(io, options, project, async (session) => {
    const { cloud, door, setup } = session;
    const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
    if (!server)
      throw new KnownError("azure/not-found", `flexible server ${setup.server.name} does not exist`, {
        hint: "run `passwordless-pg init`",
      });
    const login = await administratorLogin({ cloud, door, group: setup.resourceGroup }, server);
    // Opens the firewall when it has to, with an error that says more than psql's.
    await door.through(server, () => cloud.principals.find(server, login, login));
    return await psql(io, session, { host: server.host, port: server.port, user: login, database: options.database ?? setup.database });
  });
}

async function psql(io: Io, { cloud }: Session, target: { host: string; port: number; user: string; database: string }): Promise<number> {
  const { token: password } = await cloud.databaseToken();
  const folder = cloud.environment.caPem ? await mkdtemp(join(tmpdir(), "passwordless-pg-ca-")) : undefined;
  try {
    const caFile = folder && join(folder, "ca.pem");
    if (caFile && cloud.environment.caPem) await writeFile(caFile, cloud.environment.caPem);
    const environment = {
      PGHOST: target.host,
      PGPORT: String(target.port),
      PGUSER: target.user,
      PGDATABASE: target.database,
      PGPASSWORD: password,
      PGSSLMODE: "verify-full",
      PGSSLROOTCERT: caFile ?? "system",
    };
    const ended = await io.withoutInterrupts(() =>
      execa("psql", [], { stdio: "inherit", env: environment, reject: false, cancelSignal: io.signal }),
    );
    if (ended.failed && ended.exitCode === undefined) {
      throw new KnownError("usage/invalid", "psql could not be started", {
        cause: ended.cause,
        hint: "install the PostgreSQL client, version 16 or newer",
      });
    }
    return ended.exitCode ?? 1;
  } finally {
    if (folder) await rm(folder, { recursive: true, force: true });
  }
}
