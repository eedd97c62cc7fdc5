import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { KnownError } from "../base/errors.ts";
import type { HomeFolders } from "./platform.ts";

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

/** Makes the folders. The home can be passed through but not listed by others (PostgreSQL runs under its own uid); `keys` is closed. */
export function prepareHome(root: string): HomeFolders {
  const folders = homeFolders(root);
  makeFolder(root);
  for (const folder of Object.values(folders)) mkdirSync(folder, { recursive: true });
  for (const folder of [folders.root, folders.postgres, folders.sites, folders.cache]) chmodSync(folder, 0o711);
  chmodSync(folders.keys, 0o700);
  return folders;
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
  const hint =
    code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG"
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
  for (const file of Object.values(homeFiles(root))) if (file !== homeFiles(root).lock) rmSync(file, { force: true });
  for (const old of [homeFiles(root).journal, homeFiles(root).log]) rmSync(`${old}.1`, { force: true });
  rmSync(folders.keys, { recursive: true, force: true });
  rmSync(folders.sites, { recursive: true, force: true });
  rmSync(join(folders.postgres, "servers"), { recursive: true, force: true });
}

/** A random secret (256 bits, base64url) kept in a 0600 file, made at first use. */
export function keptSecret(file: string): string {
  return keptText(file, () => randomBytes(32).toString("base64url"));
}

/** Text kept in a 0600 file, made at first use. */
export function keptText(file: string, make: () => string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const text = make();
  replaceFile(file, text, 0o600);
  return text;
}

/** Replaces a file as a whole: readers see the old text or the new one, never a part. */
export function replaceFile(file: string, text: string, mode: number): void {
  const beside = `${file}.${process.pid}.tmp`;
  writeFileSync(beside, text, { mode });
  renameSync(beside, file);
}
