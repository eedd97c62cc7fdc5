import { type FileHandle, open, rm } from "node:fs/promises";
import { resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { KnownError } from "../../base/errors.ts";
import type { Site } from "../../cloud/app-service/sites.ts";
import { recordFilter } from "../../logs/filter-records.ts";
import { type TailState, tailLogs } from "../../logs/tail-logs.ts";
import { chooseApp } from "../../project/choose-app.ts";
import { openProject } from "../open-project.ts";
import { logLine, tailNote } from "../output/log-lines.ts";
import { type Session, withSession } from "../session.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";
import { paint } from "../terminal/style.ts";

interface TailOptions {
  readonly app?: string;
  readonly filter?: string;
  readonly since?: string;
  readonly level?: string;
}

/** What is read of a log file for the lines that came while there was no connection. */
const MISSED_BYTES = 4 * 1024 * 1024;

/** Lines until Ctrl-C, which is the usual end and so tells of no error. */
export async function tail(io: Io, options: TailOptions & GlobalOptions, directory: string): Promise<number> {
  const isWanted = recordFilter(options, io.clock.now());
  const project = await openProject(io, directory, options);
  const app = chooseApp(project.setup, options.app);
  const colors = paint(io.hasColor);
  const onState = (state: TailState): void => {
    const note = tailNote(state, colors);
    if (note !== undefined) io.note(note);
  };
  try {
    await withSession(io, options, project, async (session) => {
      const site = await siteOf(session, app.address.app);
      await ensureLogging(io, session, site);
      const scm = session.cloud.scmSite(site);
      io.note(`log of ${site.name}; Ctrl-C ends it`);
      const records = tailLogs({
        app: site.name,
        open: (signal) => scm.openLogStream(signal),
        readFile: (path) => scm.readLogFile(path, { lastBytes: MISSED_BYTES }),
        clock: io.clock,
        signal: io.signal,
        onState,
      });
      for await (const record of records) if (isWanted(record)) io.verbatim(io.isJson ? JSON.stringify(record) : logLine(record, colors));
    });
  } catch (error) {
    if (!io.signal.aborted) throw error;
  }
  return 130;
}

export async function download(
  io: Io,
  options: { readonly app?: string; readonly output?: string } & GlobalOptions,
  directory: string,
): Promise<number> {
  const project = await openProject(io, directory, options);
  const app = chooseApp(project.setup, options.app);
  const file = resolve(io.directory, options.output ?? "logs.zip");
  return withSession(io, options, project, async (session) => {
    const site = await siteOf(session, app.address.app);
    io.note(`downloading the logs of ${site.name}`);
    const target = (await openNew(file)).createWriteStream();
    try {
      await pipeline(await session.cloud.scmSite(site).downloadLogs(), target, { signal: io.signal });
    } catch (error) {
      target.destroy();
      await rm(file, { force: true }); // half a zip is of no use
      throw writeFailure(file, error, io.signal);
    }
    const bytes = target.bytesWritten;
    if (io.isJson) io.document({ ok: true, app: site.name, file, bytes });
    else io.result(`wrote ${file} (${bytes} bytes)`);
    return 0;
  });
}

/** The log's own errors are known; an errno is the file's. */
function writeFailure(file: string, error: unknown, signal: AbortSignal): unknown {
  if (error instanceof KnownError) return error;
  if (signal.aborted) return new KnownError("cancelled", "cancelled");
  const { syscall, code } = error as NodeJS.ErrnoException;
  if (syscall === undefined) return error;
  return new KnownError("project/unwritable", `${file} cannot be written (${code})`, {
    cause: error,
    hint: "look at the space and the rights there, or name another file with --output",
  });
}

/** Never over a file that is there, and for its owner only: a log holds what an app says of its users. */
async function openNew(file: string): Promise<FileHandle> {
  try {
    return await open(file, "wx", 0o600);
  } catch (cause) {
    const isThere = (cause as NodeJS.ErrnoException).code === "EEXIST";
    throw new KnownError("usage/invalid", isThere ? `${file} exists already` : `${file} cannot be written`, {
      cause,
      hint: "name another file with --output",
    });
  }
}

async function siteOf({ cloud, setup }: Session, name: string): Promise<Site> {
  const site = await cloud.sites.at({ group: setup.resourceGroup, app: name }).get();
  if (site) return site;
  throw new KnownError("azure/not-found", `web app ${name} does not exist in ${setup.resourceGroup}`, { hint: "run `passwordless-pg up`" });
}

/** Nothing is streamed while file-system logging is off. */
async function ensureLogging(io: Io, { cloud, setup }: Session, site: Site): Promise<void> {
  const logs = await cloud.sites.at({ group: setup.resourceGroup, app: site.name }).getLogs();
  if (logs?.isFileSystemLoggingOn) return;
  io.note(`file-system logging of ${site.name} is off; turning it on (this restarts the app)`);
  await cloud.sites.at({ group: setup.resourceGroup, app: site.name }).enableFileSystemLogging();
}
