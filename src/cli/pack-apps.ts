import { isAbsolute, posix, relative, resolve, sep } from "node:path";
import { KnownError } from "../base/errors.ts";
import type { Package } from "../package/pack.ts";
import type { SiteSetup } from "../project/site-setup.ts";
import type { Io } from "./terminal/io.ts";
import { safeText } from "./terminal/style.ts";

export interface PackOptions {
  /** Files that are packed although they look like keys: paths inside the app, or from where the command is typed. */
  readonly include?: readonly string[];
}

/** How many names a note has room for. */
const NAMED = 5;

/** The app's folder as the package that Azure builds, to look at: nobody was asked yet about what looks like a key. */
export async function packApp(app: SiteSetup): Promise<Package> {
  const { buildOnAzure, pack } = await import("../package/pack.ts");
  return await pack(app.folder, { extraFiles: [buildOnAzure] });
}

/**
 * The apps' folders as packages to upload, by the apps' keys. Says which credentials stay out.
 * @throws KnownError `deploy/package-invalid`: see `pack`; or files of any of the apps look like keys and nobody said that they are meant,
 * or what was said to be meant is in no package.
 */
export async function packApps(io: Io, apps: readonly SiteSetup[], options: PackOptions): Promise<ReadonlyMap<string, Package>> {
  const packages = await Promise.all(apps.map(async (app) => ({ app, packed: await packApp(app), meant: meantFiles(io, app, options) })));
  refuseKeys(packages);
  refuseUnknown(packages, options);
  for (const { app, packed } of packages) noteLeftOut(io, app, packed.credentialsLeftOut);
  return new Map(packages.map(({ app, packed }) => [app.label, packed]));
}

interface PackedApp {
  readonly app: SiteSetup;
  readonly packed: Package;
  /** By what was asked for: the paths inside the app that this may mean. */
  readonly meant: ReadonlyMap<string, readonly string[]>;
}

function meantFiles(io: Io, app: SiteSetup, { include = [] }: PackOptions): PackedApp["meant"] {
  const fromHere = (asked: string): string => relative(app.folder, resolve(io.directory, asked)).split(sep).join("/");
  const inside = (asked: string): string => (isAbsolute(asked) ? fromHere(asked) : posix.normalize(asked.split(sep).join("/")));
  const ofFile = app.include.map((asked): [string, string[]] => [asked, [inside(asked)]]);
  return new Map([...ofFile, ...include.map((asked): [string, string[]] => [asked, [inside(asked), fromHere(asked)]])]);
}

/** All files of all apps at once: one run tells everything that has to be decided. */
function refuseKeys(packages: readonly PackedApp[]): void {
  const found = packages.flatMap(({ app, packed, meant }) => {
    const wanted = new Set([...meant.values()].flat());
    return packed.suspicious.filter(({ path }) => !wanted.has(path)).map((file) => ({ app, ...file }));
  });
  const [first, ...others] = found;
  if (first === undefined) return;
  const list = found
    .map(({ app, path, looks }) => `  - ${packages.length > 1 ? `${app.label}: ` : ""}${path}: looks like ${looks}`)
    .join("\n");
  const count =
    others.length === 0 ? "a file that looks like a key or credentials" : `${found.length} files that look like keys or credentials`;
  throw new KnownError("deploy/package-invalid", `the package would hold ${count}; nothing was uploaded:\n${list}`, {
    hint:
      `move it out of the app's folder; or name it in .webappignore; or, when the app needs it, say so: --include ${quoted(first.path)}` +
      `, or "include": [${JSON.stringify(first.path)}] in apps.${first.app.label} of passwordless-pg.json`,
  });
}

/** Somebody who asks for a file expects it on Azure. */
function refuseUnknown(packages: readonly PackedApp[], { include = [] }: PackOptions): void {
  const isIn = ({ packed, meant }: PackedApp, asked: string): boolean => (meant.get(asked) ?? []).some((path) => packed.paths.has(path));
  const unknown = [
    ...include.filter((asked) => !packages.some((one) => isIn(one, asked))).map((asked) => `--include ${quoted(asked)}`),
    ...packages.flatMap((one) =>
      one.app.include.filter((asked) => !isIn(one, asked)).map((asked) => `apps.${one.app.label}.include "${asked}"`),
    ),
  ];
  if (unknown.length === 0) return;
  throw new KnownError("deploy/package-invalid", `asked for, but not in the package: ${unknown.join(", ")}`, {
    hint: "it is not there, or an ignore file names it (`!FILE` in .webappignore brings it back), or it is never packed, as .env and .ssh",
  });
}

function noteLeftOut(io: Io, app: SiteSetup, paths: readonly string[]): void {
  if (paths.length === 0) return;
  const more = paths.length > NAMED ? ` and ${paths.length - NAMED} more` : "";
  io.note(`${app.label}: credentials stay out of the package: ${safeText(paths.slice(0, NAMED).join(", "))}${more}`);
}

function quoted(path: string): string {
  return /^[\w./@+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
