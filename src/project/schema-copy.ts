import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeWhole } from "./file.ts";
import schema from "./schema.json" with { type: "json" };

const fileName = "passwordless-pg.schema.json";

/**
 * What a new project file says under `$schema`: the copy of the schema that lies beside it. Not a path into `node_modules`, since the
 * tool is not always installed there, and no address on the internet: who owns the address decides what editors load.
 */
export const schemaReference = `./${fileName}`;

/** Earlier versions named an npm package on a public mirror which does not exist, so that anybody could have published it. */
export function isUnownedSchema(reference: string | undefined): boolean {
  return reference !== undefined && /^https?:\/\/[^/]+\/(?:npm\/)?passwordless-pg[@/]/.test(reference);
}

/**
 * Writes the copy of the schema into `folder` when it is absent or of an older version than `version` (this tool's). A newer one, and a
 * file of that name that is no schema of ours, stay.
 * @throws KnownError `project/unwritable`
 */
export async function refreshSchemaCopy(folder: string, version: string): Promise<void> {
  const path = join(folder, fileName);
  const wanted = { $comment: `passwordless-pg ${version}`, ...schema };
  const present = await readFile(path, "utf8").catch(() => undefined);
  if (present !== undefined && !isOutdated(present, wanted, version)) return;
  await writeWhole(path, `${JSON.stringify(wanted, undefined, 2)}\n`);
}

function isOutdated(present: string, wanted: object, version: string): boolean {
  let content: unknown;
  try {
    content = JSON.parse(present);
  } catch {
    return present.includes(schema.$id);
  }
  const { $id, $comment } = (content ?? {}) as { readonly $id?: unknown; readonly $comment?: unknown };
  if ($id !== schema.$id) return false;
  const writer = typeof $comment === "string" ? $comment.replace("passwordless-pg ", "") : "";
  return !isNewer(writer, version) && JSON.stringify(content) !== JSON.stringify(wanted);
}

/** By number: 0.10.0 is newer than 0.9.0. What is no version is older than all. */
function isNewer(left: string, right: string): boolean {
  const [a, b] = [left, right].map((version) => /^(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number) ?? []);
  const differing = [0, 1, 2].find((index) => a?.[index] !== b?.[index]);
  return differing !== undefined && (a?.[differing] ?? -1) > (b?.[differing] ?? -1);
}
