import { execFile } from "node:child_process";
import { existsSync, readdirSync, readlinkSync, statSync } from "node:fs";
import { rename, rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { draftName } from "../draft-name.ts";

const run = promisify(execFile);

/** Stands in a finished environment; its time is that of the last use. */
export const CACHE_MARK = ".complete";

const GB = 1024 ** 3;
/** What all finished environments may take together, and what each package cache may. */
const LIMITS = { environmentsBytes: 2 * GB, packagesBytes: 2 * GB, mayDropPackages: true };
/** A build that has just asked for an environment has not linked it yet. */
const FRESH_MS = 10 * 60_000;

export async function markUsed(folder: string): Promise<void> {
  const now = new Date();
  await utimes(join(folder, CACHE_MARK), now, now);
}

interface Environment {
  readonly folder: string;
  readonly usedAt: number;
}

/**
 * Keeps the caches within bounds: of the finished environments (`venv`, `node`) the least recently used go first, never one that a site's release links to or
 * that was asked for in the last minutes; a package cache (`pip`, `npm`) that is too long goes whole, since the tools fill it again by themselves.
 */
export async function trimCaches(
  cacheFolder: string,
  sitesFolder: string,
  options: Partial<typeof LIMITS> = {},
  now = Date.now(),
): Promise<void> {
  const limits = { ...LIMITS, ...options };
  const all = ["venv", "node"].flatMap((kind) => environmentsIn(join(cacheFolder, kind)));
  const inUse = linkedFrom(sitesFolder);
  let bytes = 0;
  for (const { folder, usedAt } of all.sort((one, other) => other.usedAt - one.usedAt)) {
    bytes += await sizeOf(folder);
    if (bytes <= limits.environmentsBytes || now - usedAt < FRESH_MS || inUse.has(folder)) continue;
    await drop(folder);
  }
  if (!limits.mayDropPackages) return;
  for (const folder of ["pip", "npm"].map((name) => join(cacheFolder, name))) {
    if (existsSync(folder) && (await sizeOf(folder)) > limits.packagesBytes) await drop(folder);
  }
}

function environmentsIn(folder: string): Environment[] {
  return namesIn(folder).flatMap((name) => {
    const mark = statSync(join(folder, name, CACHE_MARK), { throwIfNoEntry: false });
    return mark ? [{ folder: join(folder, name), usedAt: mark.mtimeMs }] : [];
  });
}

/** The environments that releases stand on: `antenv` and `node_modules` are links to them. */
function linkedFrom(sitesFolder: string): ReadonlySet<string> {
  const links = namesIn(sitesFolder).flatMap((site) => {
    const releases = join(sitesFolder, site, "releases");
    return namesIn(releases).flatMap((release) => ["antenv", "node_modules"].map((name) => join(releases, release, name)));
  });
  return new Set(links.flatMap((link) => targetOf(link) ?? []));
}

function targetOf(link: string): string | undefined {
  try {
    return readlinkSync(link).replace(/\/node_modules$/, "");
  } catch {
    return undefined; // none, or a folder of its own
  }
}

function namesIn(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

async function sizeOf(folder: string): Promise<number> {
  const { stdout } = await run("du", ["-sk", folder]);
  return Number.parseInt(stdout, 10) * 1024;
}

/** Out of its name first: a kill in the middle leaves no half environment that looks whole. */
async function drop(folder: string): Promise<void> {
  const doomed = join(folder, "..", draftName("dropped"));
  await rename(folder, doomed);
  await rm(doomed, { recursive: true, force: true });
}
