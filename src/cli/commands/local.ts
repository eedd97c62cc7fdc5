import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { KnownError } from "../../base/errors.ts";
import type { SignInSettings } from "../../cloud/credential.ts";
import type { Environment } from "../../cloud/environment.ts";
import {
  type LocalStatus,
  localStatus,
  requireAnswer,
  resetLocal,
  type StartOptions,
  startLocal,
  stopLocal,
} from "../../emulator/local.ts";
import { homeFolder } from "../home-folder.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";
import { localHints } from "./local-hints.ts";

interface StartFlags {
  readonly port?: string;
  readonly clock?: string;
  readonly tokenLifetime?: string;
  readonly postgres?: string;
}

type Running = Extract<LocalStatus, { running: true }>;

function localHome(io: Io): string {
  // An empty variable is none: the home's folders would be laid into the folder of the caller.
  const named = io.environment.PASSWORDLESS_PG_HOME || undefined;
  if (named !== undefined) return resolve(io.directory, named);
  const home = homeFolder();
  if (home !== undefined) return join(home, ".passwordless-pg");
  throw new KnownError("usage/invalid", "there is no home folder to keep local Azure in: HOME is not set", {
    hint: "set HOME, or PASSWORDLESS_PG_HOME to a folder for local Azure",
  });
}

function daemonFile(io: Io): string {
  return join(io.packageRoot, "dist", "daemon.js");
}

/**
 * Starts local Azure when it is not running, and answers with all a client needs to use it. Says so when a server of this version will need a download.
 */
export async function ensureLocal(
  io: Io,
  postgresVersion?: string,
): Promise<{ environment: Environment; settings: SignInSettings; subscriptionId: string }> {
  const home = localHome(io);
  let status = await localStatus(home);
  if (!status.running) {
    io.note(`starting local Azure in ${home}`);
    status = await startLocal(home, { daemonFile: daemonFile(io), signal: io.signal, onNote: io.note });
  } else await requireAnswer(status, io.signal);
  if (postgresVersion !== undefined) {
    const { missingPostgres } = await import("../../emulator/local-postgres.ts");
    const missing = await missingPostgres(home, postgresVersion);
    if (missing)
      io.note(
        `local Azure has no PostgreSQL ${postgresVersion} yet: it fetches ${missing} (24 MB) with npm, once, when it makes the server`,
      );
  }
  const [caPem, clientSecret] = await Promise.all([readFile(status.caFile, "utf8"), readFile(status.clientSecretFile, "utf8")]);
  const { environments } = await import("../../cloud/environment.ts");
  return {
    environment: {
      name: "local",
      resourceManager: status.arm,
      authorityHost: status.authority,
      scopes: environments.public.scopes,
      siteScheme: "http",
      scmDomains: ["localhost"],
      hasOwnAuthority: true,
      caPem,
      hints: localHints,
      limits: { callMs: 60_000, authorityCallMs: 10_000 },
    },
    settings: { tenantId: status.tenantId, clientId: status.clientId, clientSecret },
    subscriptionId: status.subscriptionId,
  };
}

export async function isLocalRunning(io: Io): Promise<boolean> {
  return (await localStatus(localHome(io))).running;
}

export async function start(io: Io, flags: StartFlags & GlobalOptions): Promise<number> {
  const options = startOptions(io, flags);
  for (const version of versionsOf(flags.postgres)) {
    const { fetchPostgres } = await import("../../emulator/local-postgres.ts");
    await fetchPostgres(
      localHome(io),
      version,
      (wanted) => io.note(`fetching PostgreSQL ${version}: ${wanted} (24 MB) with npm`),
      io.signal,
    );
  }
  io.note("starting local Azure");
  const status = await startLocal(localHome(io), options);
  showStatus(io, status);
  return 0;
}

export async function stop(io: Io): Promise<number> {
  const wasRunning = await stopLocal(localHome(io));
  if (io.isJson) io.result(JSON.stringify({ ok: true, running: false, wasRunning }));
  else io.result(wasRunning ? "local Azure is stopped; everything it holds stays" : "local Azure was not running");
  return 0;
}

export async function status(io: Io): Promise<number> {
  showStatus(io, await localStatus(localHome(io)));
  return 0;
}

export async function reset(io: Io, options: GlobalOptions): Promise<number> {
  const home = localHome(io);
  if (!options.yes && !(await io.confirm(`Forget every resource and database in ${home}?`, "--yes"))) return 1;
  await resetLocal(home);
  io.result(io.isJson ? JSON.stringify({ ok: true, running: false, home }) : `local Azure in ${home} is empty`);
  return 0;
}

export async function logs(io: Io): Promise<number> {
  const file = join(localHome(io), "local.log");
  const text = await readFile(file, "utf8").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return undefined;
    throw new KnownError("local/failed", `${file} cannot be read`, { cause, hint: "is PASSWORDLESS_PG_HOME a folder of your own?" });
  });
  if (text === undefined)
    throw new KnownError("local/not-running", `local Azure has written no log in ${localHome(io)}`, {
      hint: "start it: `passwordless-pg local start`",
    });
  const lines = text.trimEnd().split("\n");
  io.result(io.isJson ? JSON.stringify({ ok: true, lines }) : lines.join("\n"));
  return 0;
}

/** Names of files instead of secrets: a shell reads the secret itself, when it needs it. */
export async function env(io: Io, flags: { readonly format?: string } & GlobalOptions): Promise<number> {
  const found = await localStatus(localHome(io));
  if (!found.running)
    throw new KnownError("local/not-running", "local Azure is not running", { hint: "start it: `passwordless-pg local start`" });
  if (flags.json || flags.format === "json")
    io.result(JSON.stringify({ ok: true, ...environmentOf(found), clientSecretFile: found.clientSecretFile }, undefined, 2));
  else io.result((flags.format === "az" ? azLines(found) : shellLines(found)).join("\n"));
  return 0;
}

function environmentOf(local: Running): Record<string, string> {
  return {
    AZURE_TENANT_ID: local.tenantId,
    AZURE_CLIENT_ID: local.clientId,
    AZURE_SUBSCRIPTION_ID: local.subscriptionId,
    AZURE_AUTHORITY_HOST: local.authority,
    AZURE_RESOURCE_MANAGER: local.arm,
    ARM_TENANT_ID: local.tenantId,
    ARM_CLIENT_ID: local.clientId,
    ARM_SUBSCRIPTION_ID: local.subscriptionId,
    NODE_EXTRA_CA_CERTS: local.caFile,
    // With the public authorities, because these replace what a client trusts instead of adding to it.
    SSL_CERT_FILE: local.caBundleFile,
    CURL_CA_BUNDLE: local.caBundleFile,
    REQUESTS_CA_BUNDLE: local.caBundleFile,
    PGSSLROOTCERT: local.caFile,
    PGSSLMODE: "verify-full",
  };
}

function shellLines(local: Running): string[] {
  const secret = `"$(cat ${shellQuote(local.clientSecretFile)})"`;
  return [
    '# eval "$(passwordless-pg local env)"',
    ...Object.entries(environmentOf(local)).map(([name, value]) => `export ${name}=${shellQuote(value)}`),
    `export AZURE_CLIENT_SECRET=${secret}`,
    `export ARM_CLIENT_SECRET=${secret}`,
  ];
}

const AZ_CLOUD = "PasswordlessPgLocal";

/** Seen with az 2.70 and 2.91. `@FILE` keeps the secret out of the arguments; the second line is for a cloud that is already registered. */
function azLines(local: Running): string[] {
  const endpoints = {
    resourceManager: `${local.arm}/`, // az joins some paths to it without a slash of its own
    management: "https://management.core.windows.net/",
    activeDirectory: local.authority,
    activeDirectoryResourceId: "https://management.core.windows.net/",
    activeDirectoryGraphResourceId: "https://graph.windows.net/",
    microsoftGraphResourceId: "https://graph.microsoft.com/",
    ossrdbmsResourceId: "https://ossrdbms-aad.database.windows.net",
    appServiceResourceId: "https://appservice.azure.com",
  };
  const suffixes = { postgresqlServerEndpoint: ".postgres.database.azure.com" };
  const cloudConfig = `--name ${AZ_CLOUD} --cloud-config ${shellQuote(JSON.stringify({ endpoints, suffixes, profile: "latest" }))}`;
  return [
    '# eval "$(passwordless-pg local env --format az)"',
    `export REQUESTS_CA_BUNDLE=${shellQuote(local.caBundleFile)}`,
    "export AZURE_CORE_INSTANCE_DISCOVERY=false",
    `az cloud register ${cloudConfig} --only-show-errors 2>/dev/null || az cloud update ${cloudConfig} --only-show-errors`,
    `az cloud set --name ${AZ_CLOUD} --only-show-errors`,
    `az login --service-principal --username ${local.clientId} --password @${shellQuote(local.clientSecretFile)} --tenant ${local.tenantId} --output none`,
  ];
}

function shellQuote(text: string): string {
  return /^[A-Za-z0-9_/:.@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Only what was asked for: a flag that does not fit what runs already is refused. */
function startOptions(io: Io, flags: StartFlags): StartOptions {
  const { port, clock, tokenLifetime } = flags;
  return {
    daemonFile: daemonFile(io),
    signal: io.signal,
    onNote: io.note,
    ...(clock === undefined ? {} : { pace: paceOf(clock) }),
    ...(tokenLifetime === undefined ? {} : { tokenLifetimeSeconds: wholeNumber("--token-lifetime", tokenLifetime, 1, 86_400) }),
    ...(port === undefined ? {} : { port: wholeNumber("--port", port, 1, 65_535) }),
  };
}

function paceOf(clock: string): { kind: "fast" } | { kind: "recorded"; scale: number } {
  if (clock === "fast") return { kind: "fast" };
  const scale = Number(/^recorded(?::([0-9.]+))?$/.exec(clock)?.[1] ?? (clock === "recorded" ? 1 : Number.NaN));
  if (Number.isFinite(scale) && scale > 0) return { kind: "recorded", scale };
  throw new KnownError("usage/invalid", `--clock ${clock} is not understood`, {
    hint: "fast, recorded, or recorded:0.01 for a hundredth of the real durations",
  });
}

function versionsOf(text: string | undefined): readonly string[] {
  const versions = text === undefined ? [] : text.split(",").map((version) => version.trim());
  const odd = versions.find((version) => !/^1[5-8]$/.test(version));
  if (odd === undefined) return versions;
  throw new KnownError("usage/invalid", `--postgres ${odd} is no version that local Azure serves`, {
    hint: "15, 16, 17, 18, or several with commas",
  });
}

function wholeNumber(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new KnownError("usage/invalid", `${flag} ${text} is not a whole number from ${least} to ${most}`);
}

function showStatus(io: Io, status: LocalStatus): void {
  if (io.isJson) io.result(JSON.stringify(status, undefined, 2));
  else if (!status.running) io.result(`local Azure is not running (home ${status.home})`);
  else {
    io.result(
      [
        `local Azure runs in ${status.home}`,
        `  ARM          ${status.arm}`,
        `  subscription ${status.subscriptionId}`,
        `  tenant       ${status.tenantId}`,
        `  client       ${status.clientId}`,
        `  CA           ${status.caFile}`,
      ].join("\n"),
    );
  }
}
