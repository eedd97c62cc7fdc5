import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { KnownError } from "../base/errors.ts";
import { whyLeftOut } from "./always-left-out.ts";

/** Names of the templates in `root` (the package's folder `templates`), sorted. */
export function listTemplates(root: string): readonly string[] {
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

/**
 * Copies template `name` into `folder`, which may be absent. Files that are there with the same content stay; nothing is overwritten.
 * Answers the paths that were written.
 * @throws KnownError `usage/invalid`: no such template, or files in the way (all of them are named, none is touched);
 * `project/unwritable`.
 */
export function layTemplate(root: string, name: string, folder: string): readonly string[] {
  const known = listTemplates(root);
  if (!known.includes(name)) {
    throw new KnownError("usage/invalid", `there is no template ${JSON.stringify(name)}`, { hint: `templates: ${known.join(", ")}` });
  }
  const files = templateFiles(join(root, name), "").map((path) => ({
    from: join(root, name, path),
    path: path.replace(STORED_IGNORE, "$1.$2"),
  }));
  const present = files.filter(({ path }) => existsSync(join(folder, path)));
  const conflicts = present.filter(({ from, path }) => !isSameFile(from, join(folder, path))).map(({ path }) => path);
  if (conflicts.length > 0) {
    throw new KnownError("usage/invalid", `${folder} already holds other files of the same name: ${conflicts.join(", ")}`, {
      hint: "choose an empty folder",
    });
  }
  const missing = files.filter((file) => !present.includes(file));
  try {
    for (const { from, path } of missing) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      copyFileSync(from, join(folder, path));
    }
  } catch (cause) {
    throw new KnownError("project/unwritable", `the template ${name} cannot be laid into ${folder}`, {
      cause,
      hint: "choose a folder that you can write to, with space left",
    });
  }
  return missing.map(({ path }) => path);
}

/** npm leaves `.gitignore` out of packages, so that templates store it without the dot. */
const STORED_IGNORE = /(^|\/)(gitignore)$/;

function templateFiles(folder: string, base: string): string[] {
  return readdirSync(join(folder, base), { withFileTypes: true })
    .filter((entry) => whyLeftOut(base + entry.name, entry.isDirectory()) === undefined)
    .flatMap((entry) => (entry.isDirectory() ? templateFiles(folder, `${base}${entry.name}/`) : [base + entry.name]))
    .sort();
}

function isSameFile(left: string, right: string): boolean {
  return statSync(right).isFile() && readFileSync(left).equals(readFileSync(right));
}
