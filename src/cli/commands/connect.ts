import { rm, writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { execa } from "execa";
import { KnownError } from "../../base/errors.ts";
import { openProject } from "../open-project.ts";
import { withSession } from "../session.ts";
import { makeTemporaryFolder } from "../temporary-folder.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";

/** A database token of the caller on stdout: for scripts, never shown beside anything else. */
export async function token(io: Io, options: GlobalOptions, directory: string): Promise<number> {
  const project = await openProject(io, directory, options);
  return withSession(io, options, project, async ({ cloud }) => {
    const { token: text, expiresOn } = await cloud.databaseToken();
    io.verbatim(io.isJson ? JSON.stringify({ ok: true, token: text, expiresOn: expiresOn.toISOString() }) : text);
    return 0;
  });
}

export interface ConnectOptions {
  readonly database?: string;
  /** Schemas as in `SET search_path`. */
  readonly searchPath?: string;
}

/**
 * psql as the caller; its exit code. Names without a schema are looked up in pg_catalog alone, unless other schemas are asked for: what an
 * app put into schema public would run with the rights of the administrator who calls it by mistake.
 */
export async function connect(io: Io, options: ConnectOptions & GlobalOptions, directory: string): Promise<number> {
  const project = await openProject(io, directory, options);
  return withSession(io, options, project, async ({ cloud, firewallAccess, setup }) => {
    const roots = await trustedRoots(io, cloud.environment.caPem);
    const server = await cloud.postgresServers.get(setup.resourceGroup, setup.server.name);
    if (!server)
      throw new KnownError("azure/not-found", `flexible server ${setup.server.name} does not exist`, {
        hint: "run `passwordless-pg init`",
      });
    if (server.state === "Stopped") {
      // Its address may be somebody else's by now, and nobody answers there for it.
      throw new KnownError("azure/conflict", `the server ${server.name} is stopped`, { hint: "start it: `passwordless-pg init`" });
    }
    const administrator = await cloud.databases(firewallAccess).asAdministrator(server);
    // Opens the firewall when it has to, with an error that says more than psql's.
    await administrator.find(administrator.login);
    const { token: password } = await cloud.databaseToken();
    const { searchPath } = options;
    if (searchPath === undefined) io.note("names without a schema mean pg_catalog: write public.NAME, or run it with --search-path public");
    return await psql(io, roots, {
      PGOPTIONS: [io.environment.PGOPTIONS, startOption("search_path", searchPath ?? "pg_catalog")].filter(Boolean).join(" "),
      PGHOST: server.host,
      PGPORT: String(server.port),
      PGUSER: administrator.login,
      PGDATABASE: options.database ?? setup.database,
      PGPASSWORD: password,
      PGSSLMODE: "verify-full",
    });
  });
}

/** One setting in PGOPTIONS, where a blank or a backslash in the value is escaped (PostgreSQL documentation, libpq, "options"). */
function startOption(name: string, value: string): string {
  return `-c ${name}=${value.replace(/[\\\s]/g, "\\$&")}`;
}

/** psql 16 knows the system's certificate store by this word. */
const SYSTEM_STORE = "system";

/** What psql checks the server's certificate against: PEM text, or the word for the system's store. */
async function trustedRoots(io: Io, caPem: string | undefined): Promise<string> {
  if (caPem !== undefined) return caPem;
  const asked = await execa("psql", ["--version"], { reject: false, stdin: "ignore", cancelSignal: io.signal });
  if (asked.failed && asked.exitCode === undefined && asked.signal === undefined && !asked.isCanceled) throw notStarted(asked.cause);
  const major = Number(/\(PostgreSQL\) (\d+)/.exec(asked.stdout)?.[1] ?? 16);
  // An older psql takes the word for the name of a file: Node's own list of the public authorities stands in.
  return major >= 16 ? SYSTEM_STORE : rootCertificates.join("\n");
}

/** Variables of the person's own that would lead psql, and the token with it, to another server or another way of signing in. */
const DIVERTING = [
  "PGSERVICE",
  "PGSERVICEFILE",
  "PGHOSTADDR",
  "PGPASSFILE",
  "PGREQUIREAUTH",
  "PGCHANNELBINDING",
  "PGGSSENCMODE",
  "PGREQUIREPEER",
];

/**
 * Runs psql on the person's own terminal. The token goes into the environment of psql alone: not on its command line, which everybody on the
 * machine can read, and not into a file, which a killed run would leave behind. An environment can be read by its own user and root only.
 */
async function psql(io: Io, roots: string, settings: Readonly<Record<string, string>>): Promise<number> {
  const folder = roots === SYSTEM_STORE ? undefined : await makeTemporaryFolder("passwordless-pg-ca-");
  try {
    const caFile = folder && join(folder, "ca.pem");
    if (caFile) await writeFile(caFile, roots);
    const inherited = Object.entries(io.environment).filter(([name, value]) => value !== undefined && !DIVERTING.includes(name));
    const env = { ...Object.fromEntries(inherited), ...settings, PGSSLROOTCERT: caFile ?? SYSTEM_STORE };
    const { exitCode, signal } = await io.runForeground("psql", env).catch((cause: unknown) => {
      throw io.signal.aborted ? io.signal.reason : notStarted(cause);
    });
    if (io.signal.aborted) throw io.signal.reason;
    if (signal === null) return exitCode ?? 1;
    io.complain(`psql was ended by ${signal}`);
    return 128 + constants.signals[signal];
  } finally {
    if (folder) await rm(folder, { recursive: true, force: true });
  }
}

function notStarted(cause: unknown): KnownError {
  return new KnownError("usage/invalid", "psql could not be started", {
    cause,
    hint: "install the PostgreSQL client (psql), or use any client with the token that `passwordless-pg token` prints",
  });
}
