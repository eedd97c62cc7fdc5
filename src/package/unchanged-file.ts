import { closeSync, constants, createReadStream, fstatSync, openSync, readSync } from "node:fs";
import { KnownError } from "../base/errors.ts";

/** A file of the app: `path` inside the app, for people; `source` where its bytes are; `size` in bytes, when it must still be that. */
interface WantedFile {
  readonly path: string;
  readonly source: string;
  readonly size?: number;
}

// A link that has taken the place of a file is not followed (it may lead out of the app), a pipe does not hold the process.
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0);

/**
 * The bytes of a small file, as many as it had when it was opened. Throws `deploy/package-invalid` when it is no file any more, not of the
 * `size` that is wanted, shrinks meanwhile or cannot be read.
 */
export function readUnchanged(file: WantedFile): Buffer {
  const { fd, size } = openUnchanged(file);
  try {
    const content = Buffer.alloc(size);
    for (let filled = 0; filled < size; ) {
      const bytes = readSync(fd, content, filled, size - filled, filled);
      if (bytes === 0) throw changed(file.path);
      filled += bytes;
    }
    return content;
  } catch (error) {
    throw unreadable(file.path, error);
  } finally {
    closeSync(fd);
  }
}

/** The same of a large file, piece by piece. One that is written to without a pause has no end: what came after its opening is not read. */
export async function* streamUnchanged(file: WantedFile): AsyncGenerator<Buffer> {
  const { fd, size } = openUnchanged(file);
  const input = createReadStream(file.source, { fd, start: 0, end: Math.max(0, size - 1), highWaterMark: 256 * 1024 });
  let read = 0;
  try {
    for await (const piece of input as AsyncIterable<Buffer>) {
      read += piece.length;
      yield piece;
    }
  } catch (error) {
    throw unreadable(file.path, error);
  } finally {
    input.destroy();
  }
  if (read !== size) throw changed(file.path);
}

function openUnchanged({ path, source, size }: WantedFile): { readonly fd: number; readonly size: number } {
  let fd: number | undefined;
  try {
    fd = openSync(source, FLAGS);
    const found = fstatSync(fd);
    if (!found.isFile() || (size !== undefined && size !== found.size)) throw changed(path);
    return { fd, size: found.size };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw unreadable(path, error);
  }
}

/** What a person can do about it: wait, or leave it out. */
export function changed(path: string): KnownError {
  return new KnownError("deploy/package-invalid", `${path} changed while the app was packed`, {
    hint: `run the command again when nothing writes to ${path}, or leave it out: name it in .webappignore`,
  });
}

function unreadable(path: string, error: unknown): KnownError {
  if (error instanceof KnownError) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ELOOP" || code === "ENXIO") return changed(path);
  if (code === "ENOENT" || code === "ENOTDIR")
    return new KnownError("deploy/package-invalid", `${path} vanished while the app was packed`, {
      cause: error,
      hint: `run the command again when nothing works in the folder, or leave ${path} out: name it in .webappignore`,
    });
  return new KnownError("deploy/package-invalid", `${path}: could not read`, {
    cause: error,
    hint: `give yourself the right to read ${path}, or leave it out: name it in .webappignore`,
  });
}
