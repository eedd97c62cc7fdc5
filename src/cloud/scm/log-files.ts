import { Readable } from "node:stream";
import { cancelled } from "../../base/cancellation.ts";
import { KnownError } from "../../base/errors.ts";
import { isBrokenConnection } from "../../base/transient.ts";
import { translate } from "../errors.ts";
import { CALL_TIMEOUT_MS, type ScmClient, UPLOAD_TIMEOUT_MS } from "./client.ts";
import { refusal } from "./refusals.ts";

/** The end of a log file, or all of it. */
interface LogFile {
  readonly bytes: Uint8Array;
  readonly isWhole: boolean;
}

/** What an app prints, as App Service keeps and streams it. */
export interface ScmLogFiles {
  /** The raw log stream (plain lines, no SSE framing) until the server or the signal ends it. */
  openLogStream(signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  /** All log files as one zip; throws while it is read when the connection breaks or nothing comes for `idleMs`, 200 s unless told. */
  downloadLogs(options?: { readonly idleMs?: number }): Promise<AsyncIterable<Uint8Array>>;
  /** Path of the log file that an app's output went to last, on any of its instances; `undefined` while there is none. */
  newestAppLog(): Promise<string | undefined>;
  /**
   * The last `lastBytes` of a file below `/home/LogFiles`, from the beginning of a line on. One try: during a restart of the SCM container
   * it throws, `azure/not-found` also for a path elsewhere.
   */
  readLogFile(path: string, options: { readonly lastBytes: number; readonly signal?: AbortSignal }): Promise<LogFile>;
}

/** The log stream's heartbeat comes each 60 s: three of them missing means it is dead. */
const STREAM_IDLE_MS = 200_000;

interface WireLogFile {
  readonly path?: string;
  /** ISO date. */
  readonly lastUpdated?: string;
}

export function logFiles({ app, context, send, readJson }: ScmClient): ScmLogFiles {
  const { signal } = context;
  return {
    openLogStream: async (streamSignal) => {
      const response = await send("open the log stream", "/api/logstream", {
        isStream: true,
        timeoutMs: 0,
        signal: AbortSignal.any([signal, streamSignal]),
      });
      if (response.status !== 200) throw refusal(`stream the log of ${app}`, response);
      return bytes(response.readableStreamBody, STREAM_IDLE_MS);
    },
    newestAppLog: async () => {
      const files = (await readJson<readonly WireLogFile[]>("list the log files", "/api/logs/docker")) ?? [];
      const changed = ({ lastUpdated = "" }: WireLogFile): number => Date.parse(lastUpdated) || 0;
      return files.filter(({ path }) => path?.endsWith("_default_docker.log")).sort((one, other) => changed(other) - changed(one))[0]?.path;
    },
    readLogFile: async (path, { lastBytes, signal: readSignal }) => {
      const what = `read the log file ${path}`;
      const response = await send(what, vfsPathOf(path), {
        isStream: true,
        headers: { range: `bytes=-${lastBytes}` },
        // For the body too: a call's own time limit ends with its headers.
        signal: AbortSignal.any([AbortSignal.timeout(CALL_TIMEOUT_MS), ...(readSignal ? [readSignal] : [])]),
      });
      if (response.status !== 200 && response.status !== 206) throw refusal(`${what} (${app})`, response);
      const isPart = response.status === 206 && !/^bytes 0-/.test(response.headers.get("content-range") ?? "");
      try {
        return wholeLines(await endOf(response.readableStreamBody, lastBytes), isPart);
      } catch (error) {
        throw signal.aborted ? cancelled(signal) : translate(`${what} (${app})`, error);
      }
    },
    downloadLogs: async ({ idleMs = STREAM_IDLE_MS } = {}) => {
      const what = "download the logs";
      const response = await send(what, "/api/logs/docker/zip", { isStream: true, timeoutMs: UPLOAD_TIMEOUT_MS });
      if (response.status !== 200) throw refusal(`give the logs of ${app}`, response);
      return wholeBody(`${what} (${app})`, response.readableStreamBody, idleMs, signal);
    },
  };
}

/** `/home/LogFiles/x.log` is `/api/vfs/LogFiles/x.log`: built from the path, so that a URL in a log cannot send the token elsewhere. */
function vfsPathOf(path: string): string {
  const [, below] = /^\/home\/LogFiles\/(.+)$/.exec(path) ?? [];
  const segments = below?.split("/") ?? [];
  if (segments.length === 0 || segments.some((segment) => ["", ".", ".."].includes(segment)))
    throw new KnownError("azure/not-found", `${path} is no file below /home/LogFiles`, {
      hint: "`passwordless-pg logs download` gives all log files there are",
    });
  return `/api/vfs/LogFiles/${segments.map(encodeURIComponent).join("/")}`;
}

/**
 * The last bytes of a body, and whether there were more. Whether Kudu heeds a Range header is not established: the public source of KuduLite
 * leaves it to ASP.NET, whose versions differ. So the whole file may come.
 */
async function endOf(body: NodeJS.ReadableStream | undefined, lastBytes: number): Promise<{ bytes: Buffer; isCut: boolean }> {
  const chunks: Buffer[] = [];
  let kept = 0;
  let isCut = false;
  for await (const chunk of body ?? []) {
    const piece = Buffer.from(chunk as Uint8Array);
    chunks.push(piece);
    kept += piece.length;
    for (let first = chunks[0]; first && kept - first.length >= lastBytes; first = chunks[0]) {
      kept -= first.length;
      chunks.shift();
      isCut = true;
    }
  }
  const bytes = Buffer.concat(chunks);
  return { bytes: bytes.subarray(Math.max(0, bytes.length - lastBytes)), isCut: isCut || bytes.length > lastBytes };
}

/** Without the rest of a line at the beginning. */
function wholeLines({ bytes, isCut }: { bytes: Buffer; isCut: boolean }, isPart: boolean): LogFile {
  if (!isCut && !isPart) return { bytes, isWhole: true };
  const end = bytes.indexOf(10);
  return { bytes: bytes.subarray(end < 0 ? bytes.length : end + 1), isWhole: false };
}

/** The chunks of a body to its end. After `idleMs` without one it is destroyed, with `silence` when that is an error. */
async function* chunksOf(body: NodeJS.ReadableStream, idleMs: number, silence?: Error): AsyncGenerator<Uint8Array> {
  if (!(body instanceof Readable)) throw new TypeError("only streams of Node are read");
  const giveUp = () => body.destroy(silence);
  let timer = setTimeout(giveUp, idleMs);
  try {
    for await (const chunk of body) {
      clearTimeout(timer);
      yield typeof chunk === "string" ? Buffer.from(chunk) : (chunk as Uint8Array);
      timer = setTimeout(giveUp, idleMs); // what is done with it is not Azure's silence
    }
  } finally {
    clearTimeout(timer);
    body.destroy();
  }
}

/** The chunks of a body; ends when the other side ends, breaks off or is silent for too long. The caller connects again. */
async function* bytes(body: NodeJS.ReadableStream | undefined, idleMs: number): AsyncIterable<Uint8Array> {
  if (!body) return;
  try {
    yield* chunksOf(body, idleMs);
  } catch (error) {
    // A recycled SCM container drops the stream without a word: an end like another.
    if (!isBreak(error)) throw error;
  }
}

/** The chunks of a body to its end. Throws `azure/timeout` after silence, `azure/unreachable` when the connection breaks, `cancelled`. */
async function* wholeBody(
  what: string,
  body: NodeJS.ReadableStream | undefined,
  idleMs: number,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const hint = "run the same command again";
  if (!body) throw new KnownError("azure/failed", `cannot ${what}: the answer is empty`, { hint });
  const seconds = Math.ceil(idleMs / 1000);
  try {
    yield* chunksOf(body, idleMs, new KnownError("azure/timeout", `cannot ${what}: nothing came for ${seconds} s`, { hint }));
  } catch (error) {
    if (signal.aborted) throw cancelled(signal);
    if (error instanceof KnownError || !isBreak(error)) throw translate(what, error);
    throw new KnownError("azure/unreachable", `cannot ${what}: the connection broke`, { hint, cause: error });
  }
}

const isBreak = (error: unknown): boolean => isBrokenConnection(error) || (error instanceof Error && error.name === "AbortError");
