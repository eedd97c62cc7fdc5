import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { KnownError } from "../base/errors.ts";
import { isDiskFull, readIfReadable, replaceFile } from "./durable-file.ts";

/** Folders under `PASSWORDLESS_PG_HOME`. All exist when a service starts. */
export interface HomeFolders {
  readonly root: string;
  /** 0700: CA key, token signing key, client secret (each 0600). */
  readonly keys: string;
  /** One folder a flexible server, and the PostgreSQL binaries. Must be reachable for the uid that PostgreSQL runs under. */
  readonly postgres: string;
  /** One folder a site: `wwwroot`, `LogFiles`, … */
  readonly sites: string;
  /** Package caches (pip, npm), finished virtual environments. */
  readonly cache: string;
}

/** Every file local Azure keeps at the top of its home. */
export interface HomeFiles {
  readonly state: string;
  readonly journal: string;
  readonly log: string;
  /** Who runs: pid, its start time, endpoints. Present while a daemon is ready. */
  readonly run: string;
  /** Held while a daemon is being started or stopped. */
  readonly lock: string;
  readonly ca: string;
  readonly bundle: string;
}

export function homeFolders(root: string): HomeFolders {
  return { root, keys: join(root, "keys"), postgres: join(root, "postgres"), sites: join(root, "sites"), cache: join(root, "cache") };
}

export function homeFiles(root: string): HomeFiles {
  return {
    state: join(root, "state.json"),
    journal: join(root, "journal.ndjson"),
    log: join(root, "local.log"),
    run: join(root, "run.json"),
    lock: join(root, "lock"),
    ca: join(root, "ca.pem"),
    bundle: join(root, "ca-bundle.pem"),
  };
}

/**
 * Makes the folders. The home and `postgres` can be passed through but not listed by others (PostgreSQL runs under its own uid); `keys`, the
 * apps with their logs, and the packages they were built from are closed.
 */
export function prepareHome(root: string): HomeFolders {
  const folders = homeFolders(root);
  makeFolder(root);
  for (const folder of Object.values(folders)) mkdirSync(folder, { recursive: true });
  for (const folder of [folders.root, folders.postgres]) chmodSync(folder, 0o711);
  for (const folder of [folders.keys, folders.sites, folders.cache]) chmodSync(folder, 0o700);
  sweepDrafts(root);
  return folders;
}

/** Long after its writer can still be at it. */
const DRAFT_MS = 10 * 60_000;

/** Removes what killed writers left beside the files of the home. */
function sweepDrafts(root: string): void {
  for (const name of readdirSync(root)) {
    if (!/^(?:lock\.[0-9a-f-]{36}|(?:state|run)\.json\.\d+\.tmp)$/.test(name)) continue;
    const path = join(root, name);
    if (Date.now() - (lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) < DRAFT_MS) continue;
    rmSync(path, { recursive: true, force: true });
  }
}

/** Has local Azure lived here? Nobody else's folder may be wiped. */
export function isHome(root: string): boolean {
  const marks = [homeFiles(root).state, join(homeFolders(root).keys, "signing-secret")];
  return marks.some((path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined);
}

/** With the folders above it. Not Node's own recursion, which never ends where the system makes no folders at all (below /proc). */
function makeFolder(folder: string, isParentMade = false): void {
  if (existsSync(folder) && statSync(folder).isDirectory()) return;
  try {
    mkdirSync(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && statSync(folder).isDirectory()) return; // another start made it meanwhile
    if (code !== "ENOENT" || isParentMade) throw error;
    makeFolder(dirname(folder));
    makeFolder(folder, true);
  }
}

const FILE_CALL =
  /^(access|chmod|chown|copyfile|f?stat|lstat|fsync|ftruncate|link|mkdir|mkdtemp|open|read|rename|rm|rmdir|scandir|symlink|unlink|write)$/;

/** A home that cannot be made, read or written, as the person is told of it; anything else as it is. */
export function homeFailure(root: string, error: unknown): unknown {
  const { code, syscall, path } = error as NodeJS.ErrnoException;
  if (error instanceof KnownError || syscall === undefined || code === undefined || !FILE_CALL.test(syscall)) return error;
  const hint = isDiskFull(error)
    ? "make room there, or set PASSWORDLESS_PG_HOME to a folder with more space"
    : "set PASSWORDLESS_PG_HOME to a folder of your own that can be written to";
  return new KnownError("local/failed", `Local Azure cannot live in ${root}: ${syscall} of ${path ?? "a file"} failed with ${code}.`, {
    hint,
    cause: error,
  });
}

/** Empties the home of all state and secrets. Caches and the PostgreSQL binaries stay. The daemon must be stopped. */
export function wipeHome(root: string): void {
  const folders = homeFolders(root);
  const files = homeFiles(root);
  const others = Object.values(files).filter((file) => file !== files.lock);
  const old = [files.journal, files.log].map((file) => `${file}.1`);
  const drafts = others.map((file) => `${file}.new`);
  for (const path of [...others, ...old, ...drafts, folders.keys, folders.sites, join(folders.postgres, "servers")]) removeAny(path);
}

/** Whatever it is, also where a file stands in the place of a folder above it. */
function removeAny(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOTDIR") throw error;
  }
}

/** A secret as it is made here: 192 bits at the least, which nobody guesses. */
const SECRET = /^[\w-]{32,}$/;

/** A random secret (256 bits, base64url) kept in a 0600 file, made at first use and where the file holds none: an empty one would let anybody in. */
export function keptSecret(file: string, onRemade?: (file: string) => void): string {
  return keptText(file, { make: newSecret, isFit: (text) => SECRET.test(text), ...(onRemade && { onRemade }) });
}

function newSecret(): string {
  return randomBytes(32).toString("base64url");
}

/**
 * Text kept in a 0600 file, made at first use, and anew when the file cannot be read or `isFit` refuses what it holds
 * (a power cut leaves empty and torn ones): `onRemade` is then told.
 */
export function keptText(
  file: string,
  kept: { readonly make: () => string; readonly isFit: (text: string) => boolean; readonly onRemade?: (file: string) => void },
): string {
  const text = readIfReadable(file);
  if (text !== undefined && kept.isFit(text)) return text;
  if (lstatSync(file, { throwIfNoEntry: false })) kept.onRemade?.(file);
  const made = kept.make();
  replaceFile(file, made, 0o600);
  return made;
}
