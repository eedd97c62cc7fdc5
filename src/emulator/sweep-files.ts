import { existsSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { HomeFolders } from "./home.ts";
import { CACHE_MARK } from "./machines/build/cache.ts";
import { isAbandonedDraft } from "./machines/draft-name.ts";
import { namesIn } from "./names-in.ts";

/** A lock's draft lives for a moment; one of a starter that waits for the lock must stay. */
const LOCK_DRAFT_MS = 10 * 60_000;

/**
 * Removes the files that a killed local Azure left half written: those written beside `state.json` and its like, locks that nobody took, caches half
 * removed, and packages that were being uploaded (their deployments end as interrupted). Only for a home whose local Azure does not run.
 */
export function sweepFiles({ root, keys, sites, cache }: HomeFolders): void {
  for (const folder of [root, keys]) {
    for (const name of namesIn(folder)) if (isHalfWritten(folder, name)) rmSync(join(folder, name), { force: true });
  }
  for (const name of namesIn(cache).filter(isAbandonedDraft)) rmSync(join(cache, name), { recursive: true, force: true });
  for (const folder of [join(cache, "venv"), join(cache, "node")]) {
    const unfinished = namesIn(folder).filter((name) => !existsSync(join(folder, name, CACHE_MARK)) || isAbandonedDraft(name));
    for (const name of unfinished) rmSync(join(folder, name), { recursive: true, force: true });
  }
  for (const site of namesIn(sites)) {
    const uploads = join(sites, site, "tmp");
    for (const name of namesIn(uploads)) rmSync(join(uploads, name), { recursive: true, force: true });
  }
}

function isHalfWritten(folder: string, name: string): boolean {
  if (/\.\d+\.tmp$/.test(name)) return true;
  if (!/^lock\.[0-9a-f-]{36}$/.test(name)) return false;
  const at = statSync(join(folder, name), { throwIfNoEntry: false });
  return at !== undefined && Date.now() - at.mtimeMs > LOCK_DRAFT_MS;
}
