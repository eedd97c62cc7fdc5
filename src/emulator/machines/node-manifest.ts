import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** The members of package.json that build and start look at. */
export interface NodeManifest {
  readonly main?: string;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly workspaces?: unknown;
}

/** `undefined` when there is no package.json or it is no JSON. */
export async function readManifest(folder: string): Promise<NodeManifest | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as NodeManifest;
  } catch {
    return undefined;
  }
}
