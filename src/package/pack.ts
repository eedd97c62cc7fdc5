import { createHash } from "node:crypto";
import { fstatSync, type Stats, statSync } from "node:fs";
import { Readable } from "node:stream";
import { crc32 } from "node:zlib";
import { KnownError } from "../base/errors.ts";
import { type AppFile, listFiles } from "./list-files.ts";
import { looksLikeKey } from "./looks-like-key.ts";
import { readUnchanged, streamUnchanged } from "./unchanged-file.ts";
import { type ZipEntry, zip } from "./zip.ts";

/** A file of the package that looks like a key: its path there, and what it looks like ("a private key"). */
interface Suspicious {
  readonly path: string;
  readonly looks: string;
}

/** An app ready to be uploaded. Nothing is compressed before `stream` is read. */
export interface Package {
  /** Hex SHA-256 over names, execute bits and contents: changes when and only when the package would. Not the hash of the ZIP bytes. */
  readonly sha256: string;
  readonly files: number;
  /** Bytes before compression. */
  readonly bytes: number;
  /** Included files that look like private keys or credentials, and what each looks like: nothing to be uploaded unasked. */
  readonly suspicious: readonly Suspicious[];
  /** Paths of the app's own files in it. */
  readonly paths: ReadonlySet<string>;
  /** See `FoundFiles`. */
  readonly credentialsLeftOut: readonly string[];
  /** The ZIP archive, byte-identical each time. Fails with `deploy/package-invalid` when a file has changed since it was hashed. */
  stream(): Readable;
}

/**
 * The file that makes Azure build the app, without a write to the app settings (which would restart the SCM site just before
 * the deployment). Recorded in the deployments of azure-cli; see projectkudu/kudu wiki, "Customizing deployments".
 */
export const buildOnAzure = { path: ".deployment", text: "[config]\nSCM_DO_BUILD_DURING_DEPLOYMENT=true\n" };

/** App Service refuses larger archives. */
const LIMIT_BYTES = 2048 * 1024 * 1024;
/** Larger files are hashed in pieces. */
const WHOLE = 1024 * 1024;
const WRITE = 128 * 1024;

/**
 * Reads the app in `folder` once and hashes it.
 * `extraFiles` go in where the folder has no file of that path.
 * @throws KnownError `deploy/package-invalid`, see `listFiles`; also above 2 GB.
 */
export async function pack(
  folder: string,
  { extraFiles = [] }: { readonly extraFiles?: readonly { readonly path: string; readonly text: string }[] } = {},
): Promise<Package> {
  const outputs = ownOutputs();
  const listed = await listFiles(folder);
  const files = listed.files.filter(({ source }) => !outputs.some((isIt) => isIt(source)));
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  if (bytes > LIMIT_BYTES) throw tooLarge(folder, bytes);
  const own = new Set(files.map(({ path }) => path));
  const entries = [
    ...(await Promise.all(inTurns(files, hashFile))).flat(),
    ...extraFiles.filter(({ path }) => !own.has(path)).map(({ path, text }) => textEntry(path, text)),
  ].sort((left, right) => Buffer.compare(Buffer.from(left.path), Buffer.from(right.path)));
  return {
    sha256: packageHash(entries),
    files: entries.length,
    bytes,
    suspicious: entries.flatMap(({ path, looks }) => (looks === undefined ? [] : [{ path, looks }])),
    paths: own,
    credentialsLeftOut: listed.credentials,
    stream: () => {
      const archive = Readable.from(upload(zip(entries)), { objectMode: false, highWaterMark: 256 * 1024 });
      // An error that comes while nobody reads or after the reader is gone must not end the process; a reader gets it all the same.
      archive.on("error", () => undefined);
      return archive;
    },
  };
}

interface HashedEntry extends ZipEntry {
  readonly digest: string;
  readonly looks?: string | undefined;
}

/** Two readers at a time: one reads while the other hashes. */
function inTurns<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]>[] {
  const waiting = items.values();
  return [0, 1].map(async () => {
    const results: R[] = [];
    for (const item of waiting) results.push(await work(item));
    return results;
  });
}

async function hashFile(file: AppFile): Promise<HashedEntry> {
  // Small files are read at once: the event loop's own cost per file would be a multiple of the read.
  const { path, source, isExecutable } = file;
  const pieces = file.size <= WHOLE ? [readUnchanged({ path, source })] : streamUnchanged({ path, source });
  const hash = createHash("sha256");
  let size = 0;
  let checksum = 0;
  let looks: string | undefined;
  for await (const piece of pieces) {
    if (size === 0) looks = looksLikeKey([path, source], piece);
    hash.update(piece);
    checksum = crc32(piece, checksum);
    size += piece.length;
  }
  return { ...entryOf(path, source, isExecutable, size, checksum, hash.digest()), looks };
}

/** `up --json > up.json 2> up.err` in the app's own folder: both are files of the run, no part of the app, and grow with each word it says. */
function ownOutputs(): ((source: string) => boolean)[] {
  return [1, 2].flatMap((fd) => {
    const output = statOf(() => fstatSync(fd));
    if (!output?.isFile()) return [];
    return [
      (source: string) => {
        const found = statOf(() => statSync(source));
        return found?.dev === output.dev && found.ino === output.ino;
      },
    ];
  });
}

function statOf(ask: () => Stats): Stats | undefined {
  try {
    return ask();
  } catch {
    return undefined; // closed by whoever started us; or gone meanwhile, which is told where it is read
  }
}

function textEntry(path: string, text: string): HashedEntry {
  const content = Buffer.from(text);
  return entryOf(path, content, false, content.length, crc32(content), createHash("sha256").update(content).digest());
}

function entryOf(
  path: string,
  source: string | Buffer,
  isExecutable: boolean,
  size: number,
  checksum: number,
  digest: Buffer,
): HashedEntry {
  return { path, source, isExecutable, size, crc32: checksum, digest: digest.toString("hex"), modified: timeOf(digest) };
}

/**
 * A time that changes with the content, and only with it. Azure copies a file only when its time (or size) differs from the deployed one
 * (projectkudu/kudu wiki, "Deploying from a zip file or url": "Files will only be copied if their timestamps don't match"), and
 * Python takes `.pyc` files by the same rule: with one fixed time for all, an edit that keeps the size would never arrive.
 */
function timeOf(digest: Buffer): number {
  const from = Date.UTC(1990) / 1000;
  const until = Date.UTC(2020) / 1000;
  return from + 2 * (digest.readUInt32BE(0) % ((until - from) / 2));
}

function packageHash(entries: readonly HashedEntry[]): string {
  const hash = createHash("sha256");
  // JSON, so that no name can pass for another entry.
  for (const { path, isExecutable, digest } of entries) hash.update(`${JSON.stringify([path, isExecutable, digest])}\n`);
  return hash.digest("hex");
}

/** Pieces of some 128 KB: a write for each small file would cost a third of the whole time. */
async function* upload(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let held: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of pieces) {
      held.push(piece);
      bytes += piece.length;
      if (bytes < WRITE) continue;
      yield Buffer.concat(held);
      held = [];
      bytes = 0;
    }
  } catch (cause) {
    if (cause instanceof KnownError) throw cause;
    throw new KnownError("deploy/package-invalid", "the app changed or became unreadable while it was packed", {
      cause,
      hint: "run the command again when nothing works in its folder",
    });
  }
  yield Buffer.concat(held);
}

function tooLarge(folder: string, bytes: number): KnownError {
  return new KnownError(
    "deploy/package-invalid",
    `${folder} holds ${Math.round(bytes / 1024 ** 2)} MB; App Service takes at most 2048 MB`,
    {
      hint: "leave files out with .webappignore",
    },
  );
}
