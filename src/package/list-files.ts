import { type Dirent, statSync } from "node:fs";
import { readdir, readFile, realpath } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import ignore, { type Ignore } from "ignore";
import { KnownError } from "../base/errors.ts";
import { type LeftOut, whyLeftOut } from "./always-left-out.ts";

/** One file of an app, as it goes into the package. */
export interface AppFile {
  /** Inside the app, with forward slashes: `static/app.css`. */
  readonly path: string;
  /** Where its bytes are. */
  readonly source: string;
  /** Bytes. */
  readonly size: number;
  readonly isExecutable: boolean;
}

/** What of a folder goes into the package. */
export interface FoundFiles {
  /** By path in byte order. */
  readonly files: readonly AppFile[];
  /** Files and folders of credentials that no ignore file names and that stay out all the same, by path; a folder ends with a slash. */
  readonly credentials: readonly string[];
}

/** The rules of one folder's ignore files. */
interface Rules {
  /** Path of that folder inside the app with a slash at its end, or empty. */
  readonly base: string;
  readonly rules: Ignore;
}

interface Walk {
  readonly root: string;
  readonly files: AppFile[];
  readonly credentials: string[];
}

/** In this order: `.webappignore` has the last word, so that `!dist` can bring back what `.gitignore` leaves out. */
const IGNORE_FILES = [".gitignore", ".webappignore"];

/**
 * The files of the app in `folder` that belong into its package.
 *
 * Left out: what `.gitignore` and `.webappignore` name (in any folder, deeper files win) and what `whyLeftOut` says.
 * Symbolic links are followed while their target stays inside the folder.
 * @throws KnownError `deploy/package-invalid`: no such folder, nothing to deploy, a link out of the folder, a special file, an
 * unreadable file, or a name that a ZIP archive cannot hold.
 */
export async function listFiles(folder: string): Promise<FoundFiles> {
  const root = await attempt(folder, "read the folder", () => realpath(folder));
  const walk: Walk = { root, files: [], credentials: [] };
  await walkFolder(walk, root, "", [], new Set([root]));
  if (!walk.files.some(({ path }) => !isOnlyWords(path))) {
    throw new KnownError("deploy/package-invalid", `${folder} holds nothing to deploy`, {
      hint: "set `path` of the app to the folder with its code, and look into .gitignore and .webappignore",
    });
  }
  return {
    files: walk.files.sort((left, right) => Buffer.compare(Buffer.from(left.path), Buffer.from(right.path))),
    credentials: walk.credentials.sort(),
  };
}

/** A README and ignore files make no app. */
function isOnlyWords(path: string): boolean {
  return IGNORE_FILES.includes(path) || /^(?:readme|license|changelog)(?:\.[a-z]+)?$/i.test(path) || path === ".gitattributes";
}

async function walkFolder(walk: Walk, folder: string, base: string, outer: readonly Rules[], above: ReadonlySet<string>): Promise<void> {
  const entries = await attempt(base || folder, "read the folder", () => readdir(folder, { withFileTypes: true }));
  if (base !== "" && entries.some(({ name }) => name === "pyvenv.cfg")) return;
  const rules = await withFolderRules(folder, base, entries, outer);
  for (const entry of entries) await walkEntry(walk, { entry, folder, base, rules, above });
}

interface Place {
  readonly entry: Dirent;
  readonly folder: string;
  readonly base: string;
  readonly rules: readonly Rules[];
  /** Real paths of the folders above: a link to one of them would never end. */
  readonly above: ReadonlySet<string>;
}

async function walkEntry(walk: Walk, { entry, folder, base, rules, above }: Place): Promise<void> {
  const path = base + entry.name;
  const link = entry.isSymbolicLink();
  // Git takes a link for a file: `build/` does not match a link, even one to a folder.
  const shown = entry.isDirectory() ? `${path}/` : path;
  if (isIgnored(rules, shown)) return;
  const why = leftOutBy(path, entry);
  if (why === "credentials") walk.credentials.push(shown);
  if (why !== undefined) return;
  checkName(path);
  const source = link ? await followLink(walk, path, join(folder, entry.name)) : join(folder, entry.name);
  if (source === undefined) return;
  if (!link && entry.isDirectory())
    return await walkFolder(walk, source, `${path}/`, opened(rules, `${path}/`), new Set([...above, source]));
  const found = await attempt(path, "read", async () => statSync(source));
  if (found.isDirectory()) {
    if (above.has(source)) throw invalid(`${path} is a link to a folder that it lies in`);
    return await walkFolder(walk, source, `${path}/`, opened(rules, `${path}/`), new Set([...above, source]));
  }
  if (!found.isFile()) throw invalid(`${path} is neither a file, a folder nor a link`);
  walk.files.push({ path, source, size: found.size, isExecutable: (found.mode & 0o111) !== 0 });
}

/** A link may stand for a file or a folder. */
function leftOutBy(path: string, entry: Dirent): LeftOut | undefined {
  if (entry.isSymbolicLink()) return whyLeftOut(path, true) ?? whyLeftOut(path, false);
  return whyLeftOut(path, entry.isDirectory());
}

/** The real target; `undefined` when the target itself would be left out (a link must not carry `.env` in under another name). */
async function followLink(walk: Walk, path: string, link: string): Promise<string | undefined> {
  const target = await attempt(path, "follow the link", () => realpath(link));
  if (target !== walk.root && !target.startsWith(walk.root + sep)) {
    throw invalid(`${path} is a link to a place outside the app`, "copy the target into the folder, or name the link in .webappignore");
  }
  const segments = relative(walk.root, target).split(sep);
  const reasons = segments.map((_, index) => {
    const part = segments.slice(0, index + 1).join("/");
    return whyLeftOut(part, true) ?? (index === segments.length - 1 ? whyLeftOut(part, false) : undefined);
  });
  const why = reasons.find((reason) => reason !== undefined);
  if (why === "credentials") walk.credentials.push(path);
  return why === undefined ? target : undefined;
}

async function withFolderRules(
  folder: string,
  base: string,
  entries: readonly Dirent[],
  outer: readonly Rules[],
): Promise<readonly Rules[]> {
  const names = IGNORE_FILES.filter((name) => entries.some((entry) => entry.name === name && !entry.isDirectory()));
  if (names.length === 0) return outer;
  const rules = ignore({ ignorecase: false });
  for (const name of names) rules.add(await attempt(base + name, "read", () => readFile(join(folder, name), "utf8")));
  return [{ base, rules }, ...outer];
}

/**
 * The rules inside a folder that is walked. Where an outer file names the folder and an inner one brings it back, the outer one's word on
 * the folder must not count for everything in it as well; git asks for each path once.
 */
function opened(rules: readonly Rules[], folder: string): readonly Rules[] {
  return rules.map((one) => {
    const own = folder.slice(one.base.length);
    if (!one.rules.test(own).ignored) return one;
    return {
      base: one.base,
      rules: ignore({ ignorecase: false })
        .add(one.rules)
        .add(`!/${own.replace(/[\\*?[\]]/g, "\\$&")}`),
    };
  });
}

/** The innermost ignore file with a rule for the path decides. */
function isIgnored(rules: readonly Rules[], path: string): boolean {
  for (const one of rules) {
    const { ignored, unignored } = one.rules.test(path.slice(one.base.length));
    if (ignored || unignored) return ignored;
  }
  return false;
}

/** Backslashes would become folders when unpacked, and a name that is not UTF-8 comes back as another one. */
function checkName(path: string): void {
  if (path.includes("\\")) throw invalid(`${path} has a backslash in its name`);
  if (path.includes("\uFFFD")) throw invalid(`${path} has a name that is not UTF-8`);
}

async function attempt<T>(path: string, what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new KnownError("deploy/package-invalid", `${path}: could not ${what}`, { cause });
  }
}

function invalid(message: string, hint = "remove it, or name it in .webappignore"): KnownError {
  return new KnownError("deploy/package-invalid", message, { hint });
}
