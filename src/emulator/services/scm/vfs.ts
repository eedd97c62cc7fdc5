import { createReadStream, readdirSync, realpathSync, type Stats, statSync } from "node:fs";
import { join, sep } from "node:path";
import { Readable } from "node:stream";
import { type EmulatorRequest, json } from "../../http/router.ts";
import { text } from "./answers.ts";
import type { ScmContext } from "./context.ts";

/** Files below the site's `/home`, read only. */
export function vfs(context: ScmContext, request: EmulatorRequest): Response {
  const path = pathIn(context.subject().folder, request.params.path ?? "");
  if (path === undefined) return text(404, "'/home' has no such entry.");
  const entry = statSync(path);
  if (!entry.isDirectory()) return file(path, entry);
  const base = `${context.origin()}${request.url.pathname.replace(/\/*$/, "/")}`;
  return json(
    200,
    readdirSync(path)
      .map((name) => vfsEntry(path, name, base))
      .filter((item) => item !== undefined),
  );
}

/** Where the path leads, links followed; `undefined` for what is not there or is not the site's. */
function pathIn(siteFolder: string, wanted: string): string | undefined {
  const home = realpathSync(join(siteFolder, "home"));
  const path = realPath(join(home, wanted));
  // `wwwroot` is a link to the active release.
  const roots = [home, realPath(join(siteFolder, "releases"))];
  return path !== undefined && roots.some((root) => root !== undefined && `${path}${sep}`.startsWith(root + sep)) ? path : undefined;
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

function file(path: string, { size, mtimeMs }: Stats): Response {
  // Exactly as much as the header says: a log file grows meanwhile. A Range header is ignored, as KuduLite's public source lets expect.
  const content = size > 0 ? createReadStream(path, { end: size - 1 }) : Readable.from([]);
  return new Response(Readable.toWeb(content) as ReadableStream<Uint8Array>, {
    headers: { "content-type": "application/octet-stream", "content-length": String(size), etag: `"${mtimeMs.toString(16)}"` },
  });
}

function vfsEntry(folder: string, name: string, base: string): object | undefined {
  const entry = statSync(join(folder, name), { throwIfNoEntry: false });
  if (!entry) return undefined;
  return {
    name,
    size: entry.size,
    mtime: entry.mtime.toISOString(),
    crtime: entry.birthtime.toISOString(),
    mime: entry.isDirectory() ? "inode/directory" : "application/octet-stream",
    href: `${base}${encodeURIComponent(name)}${entry.isDirectory() ? "/" : ""}`,
    path: join(folder, name),
  };
}
