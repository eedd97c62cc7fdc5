import { join } from "node:path";
import { Readable } from "node:stream";
import yazl from "yazl";
import { listLogFiles } from "../../machines/app/log-files.ts";
import type { ScmContext } from "./context.ts";

/** The current logs of the containers. `api`: `https://localhost:PORT/api`, in the form the caller used. */
export function dockerLogs(context: ScmContext, api: string): readonly object[] {
  return listLogFiles(join(context.subject().folder, "home", "LogFiles"))
    .filter(({ name }) => name.endsWith("docker.log"))
    .map(({ name, size, changed }) => ({
      machineName: /^\d{4}_\d\d_\d\d_(.+?)_(?:default_)?docker\.log$/.exec(name)?.[1] ?? name,
      lastUpdated: changed.toISOString(),
      size,
      href: `${api}/vfs/LogFiles/${name}`,
      path: `/home/LogFiles/${name}`,
    }));
}

/** All of them, in one zip. */
export function zippedLogs(context: ScmContext): Response {
  const zip = new yazl.ZipFile();
  // A log that was turned over meanwhile: the answer breaks off, as it would without its file.
  zip.on("error", (error: Error) => (zip.outputStream as Readable).destroy(error));
  for (const { name, path } of listLogFiles(join(context.subject().folder, "home", "LogFiles"))) zip.addFile(path, name);
  zip.end();
  return new Response(Readable.toWeb(zip.outputStream as Readable) as ReadableStream<Uint8Array>, {
    headers: { "content-type": "application/zip", "content-disposition": 'attachment; filename="docker-logs.zip"' },
  });
}
