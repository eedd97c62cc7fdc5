import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isAbandonedDraft } from "../draft-name.ts";
import { endPostmaster, findPostmaster } from "./postmaster.ts";

/**
 * Ends the PostgreSQL servers that a killed local Azure left running below `home.postgres`, those of half-made templates and half-removed servers included, and
 * removes what it left half made. Only for a home whose local Azure does not run. Ends nothing that is not surely ours (`findPostmaster`).
 */
export async function sweepPostgres(folder: string): Promise<void> {
  for (const parent of [join(folder, "servers"), join(folder, "templates")]) {
    const names = (await namesIn(parent)).filter((name) => !name.startsWith(".") || isAbandonedDraft(name));
    await Promise.all(names.map((name) => endServerOf(join(parent, name, "data"))));
  }
  for (const parent of [folder, ...["servers", "templates", "binaries"].map((name) => join(folder, name))]) {
    const left = (await namesIn(parent)).filter(isAbandonedDraft);
    await Promise.all(left.map((name) => rm(join(parent, name), { recursive: true, force: true })));
  }
  await rm(join(folder, "fetch"), { recursive: true, force: true }); // where earlier versions left what npm had fetched
}

async function endServerOf(data: string): Promise<void> {
  const left = findPostmaster(data);
  if (left) await endPostmaster(left);
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
    throw error;
  });
}
