import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { KnownError } from "../../base/errors.ts";
import { type LocalStatus, localStatus, resetLocal, type StartOptions, startLocal, stopLocal } from "../../emulator/local.ts";
import { azLines, environmentOf, shellLines } from "../local/client-environment.ts";
import { daemonFile, localHome } from "../local/local-home.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";

interface StartFlags {
  readonly port?: string;
  readonly clock?: string;
  readonly tokenLifetime?: string;
  readonly postgres?: string;
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
  if (io.isJson) io.document({ ok: true, running: false, wasRunning });
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
  if (io.isJson) io.document({ ok: true, running: false, home });
  else io.result(`local Azure in ${home} is empty`);
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
  if (io.isJson) io.document({ ok: true, lines });
  else io.result(lines.join("\n"));
  return 0;
}

export async function env(io: Io, flags: { readonly format?: string } & GlobalOptions): Promise<number> {
  const found = await localStatus(localHome(io));
  if (!found.running)
    throw new KnownError("local/not-running", "local Azure is not running", { hint: "start it: `passwordless-pg local start`" });
  if (flags.json || flags.format === "json") io.document({ ok: true, ...environmentOf(found), clientSecretFile: found.clientSecretFile });
  else io.result((flags.format === "az" ? azLines(found) : shellLines(found)).join("\n"));
  return 0;
}

/** Only what was asked for: a flag that does not fit what runs already is refused. */
function startOptions(io: Io, flags: StartFlags): StartOptions {
  const { port, clock, tokenLifetime } = flags;
  return {
    daemonFile: daemonFile(io),
    signal: io.signal,
    onNote: io.note,
    ...(clock === undefined ? {} : { clockMode: clockModeOf(clock) }),
    ...(tokenLifetime === undefined ? {} : { tokenLifetimeSeconds: wholeNumber("--token-lifetime", tokenLifetime, 1, 86_400) }),
    ...(port === undefined ? {} : { port: wholeNumber("--port", port, 1, 65_535) }),
  };
}

function clockModeOf(clock: string): { kind: "fast" } | { kind: "recorded"; scale: number } {
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
  if (io.isJson) io.document(status);
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
