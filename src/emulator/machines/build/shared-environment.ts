import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { arch, platform } from "node:os";
import { join } from "node:path";
import { CACHE_MARK, markUsed } from "./cache.ts";
import type { BuildRequest } from "./request.ts";

/** Where what an interpreter of this machine installed for some requirements is kept. */
export function sharedFolder(
  { cacheFolder }: BuildRequest,
  kind: "venv" | "node",
  interpreter: readonly string[],
  ...requirements: readonly string[]
): string {
  const hash = createHash("sha256")
    .update([...interpreter, platform(), arch(), ...requirements].join("\n"))
    .digest("hex");
  return join(cacheFolder, kind, hash.slice(0, 32));
}

const making = new Map<string, Promise<void>>();

/** Makes a finished environment in the cache once, and answers whether it did; a folder without its mark is what a killed build left, and is made anew. */
export async function makeShared(folder: string, request: BuildRequest, make: () => Promise<void>): Promise<boolean> {
  const other = making.get(folder);
  if (other) await other.catch(() => {});
  if (existsSync(join(folder, CACHE_MARK))) {
    await markUsed(folder);
    request.say("The same dependencies were installed before: using them again (local Azure's cache).");
    return false;
  }
  const work = (async () => {
    await rm(folder, { recursive: true, force: true });
    await mkdir(join(folder, ".."), { recursive: true });
    try {
      await make();
      await writeFile(join(folder, CACHE_MARK), "");
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  })().finally(() => making.delete(folder));
  making.set(folder, work);
  await work;
  return true;
}
