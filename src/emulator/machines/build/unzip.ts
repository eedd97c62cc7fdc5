import { createWriteStream } from "node:fs";
import { mkdir, realpath, symlink } from "node:fs/promises";
import { dirname, resolve, sep } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { crc32 } from "node:zlib";
import yauzl from "yauzl";

/** What is wrong with an archive, in Kudu's manner; the caller turns it into a failed deployment. */
export class BadArchive extends Error {}

/** Bounds of an archive: entries, and bytes when unpacked. */
interface UnzipLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/** Bytes: more than a package of 2 GB unpacks to in earnest, less than what fills a disk. */
const LIMITS: UnzipLimits = { maxEntries: 200_000, maxBytes: 4 * 1024 ** 3 };
/** Linux's PATH_MAX: what a link may hold. */
const MAX_LINK_BYTES = 4_096;
/** What Azure Files, the site's `/home`, can hold: length of a path, and folders in each other. */
const MAX_NAME = 2_048;
const MAX_DEPTH = 250;
const S_IFMT = 0o170000;
const S_IFLNK = 0o120000;

/**
 * Unpacks a zip below `folder`. Throws `BadArchive` for what is no zip, for names that lead out of the folder,
 * for links that do, and beyond the limits.
 */
export async function unzip(file: string, folder: string, signal: AbortSignal, limits = LIMITS): Promise<{ readonly entries: number }> {
  await mkdir(folder, { recursive: true });
  const root = await realpath(folder);
  await checkSizes(file, limits, signal);
  const archive = await open(file);
  let bytesLeft = limits.maxBytes;
  let entries = 0;
  try {
    for await (const entry of archive.eachEntry()) {
      signal.throwIfAborted();
      entries += 1;
      checkName(entry.fileName);
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
        if (entry.uncompressedSize > MAX_LINK_BYTES) throw new BadArchive(`the link '${shown(entry.fileName)}' is too long`);
        const chunks: Buffer[] = []; // never more than the entry says: yauzl looks after it
        for await (const chunk of source) chunks.push(chunk as Buffer);
        checkSum(entry, crc32(Buffer.concat(chunks)));
        const to = Buffer.concat(chunks).toString("utf8");
        const end = resolve(parent, to);
        if (isWinding(to) || (end !== root && !end.startsWith(root + sep))) throw outside(entry.fileName);
        await symlink(to, target);
        continue;
      }
      let sum = 0;
      const bound = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          bytesLeft -= chunk.length;
          sum = crc32(chunk, sum);
          done(bytesLeft < 0 ? new BadArchive(`the archive unpacks to more than ${limits.maxBytes} bytes`) : null, chunk);
        },
      });
      await pipeline(source, bound, createWriteStream(target, { mode: mode ? (mode & 0o777) | 0o600 : 0o644 }), { signal });
      checkSum(entry, sum);
    }
  } catch (error) {
    if (error instanceof BadArchive || signal.aborted) throw error;
    throw asBadArchive(error);
  } finally {
    archive.close();
  }
  return { entries };
}

function checkName(name: string): void {
  if (name.length > MAX_NAME || name.split("/").length > MAX_DEPTH)
    throw new BadArchive(`the name '${shown(name)}' is too long or too deep`);
}

/** Not done by yauzl. */
function checkSum(entry: yauzl.Entry, found: number): void {
  if (found !== entry.crc32) throw new BadArchive(`entry '${shown(entry.fileName)}' is damaged: bad CRC`);
}

/** What the directory of the archive says is known before anything is written: a bomb that tells its size costs nothing. */
async function checkSizes(file: string, limits: UnzipLimits, signal: AbortSignal): Promise<void> {
  const archive = await open(file);
  let entries = 0;
  let bytes = 0;
  try {
    for await (const entry of archive.eachEntry()) {
      signal.throwIfAborted();
      entries += 1;
      bytes += entry.uncompressedSize;
      if (entries > limits.maxEntries) throw new BadArchive(`the archive has more than ${limits.maxEntries} entries`);
      if (bytes > limits.maxBytes) throw new BadArchive(`the archive unpacks to more than ${limits.maxBytes} bytes`);
    }
  } catch (error) {
    throw error instanceof BadArchive || signal.aborted ? error : asBadArchive(error);
  } finally {
    archive.close();
  }
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
  return first >= 0 && segments.slice(first).includes("..");
}

function outside(name: string): BadArchive {
  return new BadArchive(`entry '${shown(name)}' leads outside of the target folder`);
}

function shown(name: string): string {
  return name.length > 200 ? `${name.slice(0, 200)}…` : name;
}

/** What the file system says of names that cannot be, or cannot be beside each other: a file and a folder of one name, a link twice, … */
const FAULTS_OF_NAMES = ["EEXIST", "EISDIR", "ELOOP", "ENAMETOOLONG", "ENOTDIR", "ENOENT", "EINVAL", "EILSEQ", "ERR_INVALID_ARG_VALUE"];

/** Troubles of the disk stay what they are. */
function asBadArchive(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = "code" in error ? String(error.code) : "";
  if (FAULTS_OF_NAMES.includes(code)) return new BadArchive(`the archive has names that cannot be written: ${code}`);
  return code.startsWith("E") ? error : new BadArchive(error.message.slice(0, 500));
}
