import { createWriteStream } from "node:fs";
import { mkdir, realpath, symlink } from "node:fs/promises";
import { dirname, join, resolve, sep } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import yauzl from "yauzl";

/** What is wrong with an archive, in Kudu's manner; the caller turns it into a failed deployment. */
export class BadArchive extends Error {}

/** Bounds of an archive: entries, and bytes when unpacked. */
interface UnzipLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

const LIMITS: UnzipLimits = { maxEntries: 200_000, maxBytes: 4 * 1024 ** 3 };
const S_IFMT = 0o170000;
const S_IFLNK = 0o120000;

/**
 * Unpacks a zip below `folder`. Throws `BadArchive` for what is no zip, for names that lead out of the folder,
 * for links that do, and beyond the limits.
 */
export async function unzip(file: string, folder: string, signal: AbortSignal, limits = LIMITS): Promise<{ readonly entries: number }> {
  await mkdir(folder, { recursive: true });
  const root = await realpath(folder);
  const archive = await open(file);
  let bytesLeft = limits.maxBytes;
  let entries = 0;
  try {
    for await (const entry of archive.eachEntry()) {
      signal.throwIfAborted();
      entries += 1;
      if (entries > limits.maxEntries) throw new BadArchive(`the archive has more than ${limits.maxEntries} entries`);
      const target = resolve(root, entry.fileName);
      if (target !== root && !target.startsWith(root + sep)) throw outside(entry.fileName);
      if (entry.fileName.endsWith("/")) {
        await mkdir(target, { recursive: true });
        continue;
      }
      await mkdir(dirname(target), { recursive: true });
      const parent = await realpath(dirname(target)); // an earlier entry may be a link
      if (parent !== root && !parent.startsWith(root + sep)) throw outside(entry.fileName);
      const source = await archive.openReadStreamPromise(entry);
      const mode = entry.externalFileAttributes >>> 16;
      if ((mode & S_IFMT) === S_IFLNK) {
        const chunks: Buffer[] = [];
        for await (const chunk of source) chunks.push(chunk as Buffer);
        const to = Buffer.concat(chunks).toString("utf8");
        const end = resolve(parent, to);
        if (isWinding(to) || (end !== root && !end.startsWith(root + sep))) throw outside(entry.fileName);
        await symlink(to, target);
        continue;
      }
      const bound = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          bytesLeft -= chunk.length;
          done(bytesLeft < 0 ? new BadArchive(`the archive unpacks to more than ${limits.maxBytes} bytes`) : null, chunk);
        },
      });
      await pipeline(source, bound, createWriteStream(target, { mode: mode ? (mode & 0o777) | 0o600 : 0o644 }), { signal });
    }
  } catch (error) {
    if (error instanceof BadArchive || signal.aborted) throw error;
    throw asBadArchive(error);
  } finally {
    archive.close();
  }
  return { entries };
}

async function open(file: string): Promise<yauzl.ZipFile> {
  try {
    return await yauzl.openPromise(file);
  } catch (error) {
    throw asBadArchive(error);
  }
}

/** `a/../b` goes elsewhere than it reads when `a` is a link. */
function isWinding(target: string): boolean {
  const segments = target.split("/");
  const first = segments.findIndex((segment) => segment !== "..");
  return target.length > 4096 || (first >= 0 && segments.slice(first).includes(".."));
}

function outside(name: string): BadArchive {
  return new BadArchive(`entry '${join("/", name).slice(1)}' leads outside of the target folder`);
}

/** Troubles of the disk stay what they are. */
function asBadArchive(error: unknown): unknown {
  if (error instanceof Error && !("code" in error && String(error.code).startsWith("E"))) return new BadArchive(error.message);
  return error;
}
