import { createWriteStream } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";

/** How a package is used when it is no zip that replaces all that is there. */
export interface PackageUse {
  /** The files of the active release stay beside the new ones. */
  readonly keepsFiles: boolean;
  /** The package is one file, for this place below `/home/site/wwwroot`. */
  readonly fileName?: string;
}

/** Zip limit of App Service (azure/kudu.md 3.2). */
export const MAX_PACKAGE_BYTES = 2048 * 1024 * 1024;

/** The 413 of a package over the limit. */
export class PackageTooBig extends Error {}

/** Keeps the body of a push. Throws `PackageTooBig`; leaves no file when it fails. */
export async function savePackage(body: ReadableStream<Uint8Array> | null, file: string, signal: AbortSignal): Promise<void> {
  let bytes = 0;
  const bound = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      done(bytes > MAX_PACKAGE_BYTES ? new PackageTooBig() : null, chunk);
    },
  });
  await mkdir(join(file, ".."), { recursive: true });
  try {
    await pipeline(body ? Readable.fromWeb(body as never) : Readable.from([]), bound, createWriteStream(file, { mode: 0o600 }), { signal });
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  }
}
