import type { Readable } from "node:stream";
import type { TokenCredential } from "@azure/core-auth";
import {
  createHttpHeaders,
  createPipelineFromOptions,
  createPipelineRequest,
  type HttpMethods,
  type PipelineRequest,
  type PipelineResponse,
} from "@azure/core-rest-pipeline";
import { cancelled, pause } from "../../base/cancellation.ts";
import { KnownError } from "../../base/errors.ts";
import { USER_AGENT } from "../arm.ts";
import type { CloudContext } from "../connection.ts";
import { accessToken } from "../credential.ts";
import { failureError, translate, withoutSecrets } from "../errors.ts";
import { hints } from "../hints.ts";
import { ANSWER_BYTES, boundedHttpClient } from "../http-client.ts";
import { ownHost } from "../own-host.ts";
import { refuseLongPause, retryAfterMs } from "../retry-after.ts";
import { withTimeLimit } from "../time-limit.ts";

export interface Deployment {
  readonly id: string;
  /** True while the package is still being accepted; the ID changes afterwards. */
  readonly isTemporary: boolean;
  readonly isComplete: boolean;
  readonly status: "pending" | "building" | "deploying" | "failed" | "succeeded" | "cancelled" | "conflict" | "partial";
  readonly statusText: string;
  readonly progress: string;
  /** ISO date. */
  readonly receivedTime: string;
  readonly endTime?: string;
  readonly message: string;
  readonly deployer: string;
}

export interface DeploymentLogEntry {
  readonly id: string;
  readonly time: string;
  readonly message: string;
  readonly level: "info" | "warning" | "error";
  readonly hasDetails: boolean;
}

/** The end of a log file, or all of it. */
interface LogFile {
  readonly bytes: Uint8Array;
  readonly isWhole: boolean;
}

/** The SCM site (Kudu) of one web app, with a bearer token on each call. */
export interface ScmSite {
  /** Wakes the SCM container: the first call after a create or a settings change may take minutes. */
  warmUp(): Promise<void>;
  /** App settings as the SCM container sees them now. */
  getSettings(): Promise<Record<string, string>>;
  /** Uploads and returns as soon as Kudu has accepted the package. Each try asks for a fresh stream. */
  zipDeploy(body: { readonly stream: () => Readable; readonly size?: number }): Promise<{ readonly deploymentId: string }>;
  latest(): Promise<Deployment | undefined>;
  getDeployment(id: string): Promise<Deployment | undefined>;
  listLog(id: string): Promise<DeploymentLogEntry[]>;
  listLogDetails(id: string, logId: string): Promise<DeploymentLogEntry[]>;
  isDeploying(): Promise<boolean>;
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

const CALL_TIMEOUT_MS = 60_000;
/** Recorded: the first upload to a cold SCM site took 65 s; the front end cuts at 230 s. */
const UPLOAD_TIMEOUT_MS = 240_000;
/** The log stream's heartbeat comes each 60 s: three of them missing means it is dead. */
const STREAM_IDLE_MS = 200_000;
const RESTART_PAUSE_MS = 2_000;
const BROKEN_ANSWER_MS = 20_000;
const WARM_UP_DEADLINE_MS = 5 * 60_000;
const UPLOAD_TRIES = 3;
/** An upload that meets a running deployment waits this long for its end. */
const BUSY_DEADLINE_MS = 15 * 60_000;

const statuses: Readonly<Record<string, Deployment["status"]>> = {
  "-1": "cancelled",
  0: "pending",
  1: "building",
  2: "deploying",
  3: "failed",
  4: "succeeded",
  5: "conflict",
  6: "partial",
};

interface WireDeployment {
  readonly id?: string;
  readonly status?: number;
  readonly status_text?: string | null;
  readonly progress?: string | null;
  readonly received_time?: string | null;
  readonly end_time?: string | null;
  readonly message?: string | null;
  readonly deployer?: string | null;
  readonly complete?: boolean;
  readonly is_temp?: boolean;
}

function toDeployment(wire: WireDeployment): Deployment {
  return {
    id: wire.id ?? "",
    isTemporary: wire.is_temp ?? false,
    isComplete: wire.complete ?? false,
    status: statuses[String(wire.status ?? 0)] ?? "pending",
    statusText: wire.status_text ?? "",
    progress: wire.progress ?? "",
    receivedTime: wire.received_time ?? "",
    ...(wire.end_time && { endTime: wire.end_time }),
    message: wire.message ?? "",
    deployer: wire.deployer ?? "",
  };
}

interface WireLogFile {
  readonly path?: string;
  /** ISO date. */
  readonly lastUpdated?: string;
}

interface WireLogEntry {
  readonly id?: string;
  readonly log_time?: string;
  readonly message?: string | null;
  readonly type?: number;
  readonly details_url?: string | null;
}

const toLogEntry = ({ id, log_time, message, type, details_url }: WireLogEntry): DeploymentLogEntry => ({
  id: id ?? "",
  time: log_time ?? "",
  message: message ?? "",
  level: type === 2 ? "error" : type === 1 ? "warning" : "info",
  hasDetails: Boolean(details_url),
});

/** The words of an SCM refusal: its pages are HTML, whose title says it all. */
function wordsOf(body: string): string {
  const title = /<title>([^<]*)<\/title>/i.exec(body)?.[1] ?? /<h1[^>]*>([^<]*)<\/h1>/i.exec(body)?.[1];
  return withoutSecrets((title ?? body).trim().slice(0, 500));
}

/** Refusals of the SCM site (Kudu notes, error texts). A 403 "stopped" page also stands for a missing role or a wrong audience. */
function refusal(what: string, status: number, body: string): KnownError {
  const words = wordsOf(body);
  const cause = failureError({ status, code: `HTTP ${status}`, message: words === "" ? "no words" : words });
  if (status === 401) {
    return new KnownError("azure/denied", `the SCM site refused to ${what}: it does not take the token`, {
      hint: hints.signInToSite,
      cause,
    });
  }
  if (status === 403) {
    const hint = /ip forbidden/i.test(words)
      ? "the access restrictions of the SCM site exclude this machine's address"
      : "either the app is stopped, or the account lacks the role Website Contributor on it";
    return new KnownError("azure/denied", `the SCM site refused to ${what}`, { hint, cause });
  }
  if (status === 404)
    return new KnownError("azure/not-found", `the SCM site cannot ${what}`, {
      hint: "run the same command again; if it stays so, the web app may have been deleted: `passwordless-pg plan`",
      cause,
    });
  if (status === 429) {
    const hint = "Azure throttles it: run the same command again in a minute";
    return new KnownError("azure/busy", `the SCM site refused to ${what}`, { hint, cause });
  }
  if (status === 409) {
    const hint = "another deployment is running: wait for its end, then deploy again";
    return new KnownError("azure/busy", `the SCM site refused to ${what}`, { hint, cause });
  }
  if (status === 400 || status === 413)
    return new KnownError("deploy/package-invalid", `the SCM site refused to ${what}`, {
      hint: "the cause says what Kudu did not take: its limit is 2 GB, and the package must be a zip",
      cause,
    });
  return new KnownError("azure/failed", `the SCM site failed to ${what}`, { hint: "run the same command again in a minute", cause });
}

/** What the answer asks for, else a moment. */
function pauseAfter({ headers }: PipelineResponse): number {
  return Math.max(retryAfterMs(headers.get("retry-after")) ?? 0, RESTART_PAUSE_MS);
}

/** Trouble that a restart of the SCM container brings; it passes. */
const isPassing = (error: KnownError): boolean => ["azure/unreachable", "azure/failed", "azure/timeout"].includes(error.code);

interface Call {
  readonly method?: HttpMethods;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: PipelineRequest["body"];
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Answer with a stream instead of text. */
  readonly isStream?: true;
}

/** Bearer tokens with the App Service audience; with ARM's where Entra does not know that one (both were accepted in 2026 recordings). */
function scmTokens(credential: TokenCredential, { scopes }: CloudContext["environment"], signal: AbortSignal): () => Promise<string> {
  let scope = scopes.appService;
  return async () => {
    try {
      return (await accessToken(credential, scope, signal)).token;
    } catch (error) {
      if (scope === scopes.resourceManager || signal.aborted) throw error;
      const { token } = await accessToken(credential, scopes.resourceManager, signal);
      scope = scopes.resourceManager;
      return token;
    }
  };
}

export function scmSite(context: CloudContext, webApp: { readonly name: string; readonly scmHost: string }): ScmSite {
  const { clock, credential, environment, onProgress, signal } = context;
  const token = scmTokens(credential, environment, signal);
  const pipeline = createPipelineFromOptions({
    userAgentOptions: { userAgentPrefix: USER_AGENT },
    retryOptions: { maxRetries: 0 },
    redirectOptions: { maxRetries: 0 },
    ...(environment.caPem && { tlsOptions: { ca: environment.caPem } }),
  });
  const client = boundedHttpClient(ANSWER_BYTES.scm);
  // With several instances, a poll must meet the instance that took the package: its cookie is sent back.
  let affinity: string | undefined;

  const send = async (path: string, call: Call = {}): Promise<PipelineResponse> => {
    const request = createPipelineRequest({
      url: `https://${ownHost(`the SCM site of ${webApp.name}`, webApp.scmHost, environment.scmDomains)}${path}`,
      method: call.method ?? "GET",
      headers: createHttpHeaders({
        authorization: `Bearer ${await token()}`,
        ...(affinity !== undefined && { cookie: affinity }),
        ...call.headers,
      }),
      ...(call.body !== undefined && { body: call.body }),
      ...(call.isStream && { streamResponseStatusCodes: new Set([200, 206]) }),
    });
    const response = await withTimeLimit(request, call.timeoutMs ?? CALL_TIMEOUT_MS, [signal, call.signal], () =>
      pipeline.sendRequest(client, request),
    );
    const cookie = /ARRAffinity=[0-9a-f]+/i.exec(response.headers.get("set-cookie") ?? "")?.[0];
    if (cookie) affinity = cookie;
    refuseLongPause(response);
    return response;
  };

  const attempt = async (what: string, path: string, call?: Call): Promise<PipelineResponse> => {
    try {
      return await send(path, call);
    } catch (error) {
      throw signal.aborted ? cancelled(signal) : translate(`${what} (${webApp.name})`, error);
    }
  };

  /** A GET, tried again while the SCM container restarts (502, 503, 504, broken connections): every settings change does that. */
  const read = async (what: string, path: string): Promise<PipelineResponse> => {
    const until = clock.now() + 120_000;
    for (;;) {
      let trouble: KnownError;
      let pauseMs = RESTART_PAUSE_MS;
      try {
        const response = await attempt(what, path);
        if (response.status < 300 || response.status === 404) return response;
        trouble = refusal(`${what} (${webApp.name})`, response.status, response.bodyAsText ?? "");
        if (response.status < 500 && response.status !== 429) throw trouble;
        pauseMs = pauseAfter(response);
      } catch (error) {
        if (!(error instanceof KnownError) || !isPassing(error)) throw error;
        trouble = error;
      }
      if (clock.now() + pauseMs > until) throw trouble;
      await pause(clock, signal, pauseMs);
    }
  };

  const readJson = async <T>(what: string, path: string): Promise<T | undefined> => {
    const until = clock.now() + BROKEN_ANSWER_MS;
    for (;;) {
      const response = await read(what, path);
      if (response.status === 404) return undefined;
      try {
        return JSON.parse(response.bodyAsText ?? "null") as T;
      } catch {
        // A proxy's page or half an answer, while the container restarts.
        if (clock.now() > until) throw refusal(`${what} (${webApp.name})`, response.status, response.bodyAsText ?? "");
      }
      await pause(clock, signal, 2_000);
    }
  };

  const deploymentAt = async (what: string, path: string): Promise<Deployment | undefined> => {
    const wire = await readJson<WireDeployment>(what, path);
    return wire && toDeployment(wire);
  };
  const latest = () => deploymentAt("read the latest deployment", "/api/deployments/latest");
  const isDeploying = async (): Promise<boolean> => {
    const answer = await readJson<{ value?: string | boolean }>("ask for running deployments", "/api/isdeploying");
    return String(answer?.value).toLowerCase() === "true";
  };
  const logAt = async (path: string): Promise<DeploymentLogEntry[]> =>
    // Early in a deployment there is no log yet (404).
    ((await readJson<readonly WireLogEntry[]>("read the deployment log", path)) ?? []).map(toLogEntry);

  const untilIdle = async (): Promise<void> => {
    const until = clock.now() + BUSY_DEADLINE_MS;
    while (await isDeploying()) {
      if (clock.now() > until)
        throw new KnownError("azure/busy", `another deployment of ${webApp.name} does not end`, {
          hint: hints.deploymentState,
        });
      onProgress?.("waiting for another deployment to end");
      await pause(clock, signal, 5_000);
    }
  };

  /** After a broken upload: the deployment that it started all the same, if it did. */
  const startedSince = async (before: Deployment | undefined): Promise<Deployment | undefined> => {
    const until = clock.now() + UPLOAD_TIMEOUT_MS;
    for (;;) {
      const now = await latest();
      if (!now || now.id === before?.id || now.receivedTime === before?.receivedTime) return undefined;
      // While the package is still being taken in, the ID is one that nobody knows later.
      if (!now.isTemporary || clock.now() > until) return now;
      await pause(clock, signal, 1_000);
    }
  };

  return {
    warmUp: async () => {
      const until = clock.now() + WARM_UP_DEADLINE_MS;
      for (;;) {
        const response = await attempt("wake the SCM site", "/api/deployments?warmup=true", { timeoutMs: CALL_TIMEOUT_MS }).catch(
          (error: unknown) => {
            if (error instanceof KnownError && isPassing(error) && clock.now() <= until) return;
            throw error;
          },
        );
        if (response && response.status < 300) return;
        const pauseMs = response ? pauseAfter(response) : RESTART_PAUSE_MS;
        const isPassingStatus = response === undefined || response.status >= 500 || response.status === 429;
        if (response && (!isPassingStatus || clock.now() + pauseMs > until)) {
          throw refusal(`wake up (${webApp.name})`, response.status, response.bodyAsText ?? "");
        }
        onProgress?.("waking the SCM site");
        await pause(clock, signal, pauseMs);
      }
    },
    getSettings: async () => (await readJson<Record<string, string>>("read the settings", "/api/settings")) ?? {},
    zipDeploy: async ({ stream, size }) => {
      const what = `take the package of ${webApp.name}`;
      const before = await latest();
      let trouble: unknown;
      for (let tries = 0; tries < UPLOAD_TRIES; tries += 1) {
        let pauseMs = 3_000;
        try {
          const response = await attempt("upload the package", "/api/zipdeploy?isAsync=true", {
            method: "POST",
            headers: { "content-type": "application/zip", ...(size !== undefined && { "content-length": String(size) }) },
            body: stream,
            timeoutMs: UPLOAD_TIMEOUT_MS,
          });
          if (response.status < 300) {
            const deploymentId = response.headers.get("scm-deployment-id") ?? (await startedSince(before))?.id;
            if (deploymentId) return { deploymentId };
            throw new KnownError("deploy/interrupted", `the SCM site took the package of ${webApp.name} but named no deployment`, {
              hint: "run `passwordless-pg deploy` again",
            });
          }
          trouble = refusal(what, response.status, response.bodyAsText ?? "");
          pauseMs = Math.max(pauseMs, pauseAfter(response));
          if (response.status < 500 && response.status !== 409 && response.status !== 429) throw trouble;
          if (response.status === 409) {
            await untilIdle();
            // Nothing may be at work there, and it refuses all the same.
            await pause(clock, signal, pauseMs);
            continue;
          }
        } catch (error) {
          if (!(error instanceof KnownError) || !isPassing(error)) throw error;
          trouble = error;
        }
        // The front end gives up before Kudu does: sending again would only meet a lock.
        const started = await startedSince(before);
        if (started) return { deploymentId: started.id };
        await pause(clock, signal, pauseMs);
      }
      throw trouble;
    },
    latest,
    getDeployment: (id) => deploymentAt("read the deployment", `/api/deployments/${encodeURIComponent(id)}`),
    listLog: (id) => logAt(`/api/deployments/${encodeURIComponent(id)}/log`),
    listLogDetails: (id, logId) => logAt(`/api/deployments/${encodeURIComponent(id)}/log/${encodeURIComponent(logId)}`),
    isDeploying,
    openLogStream: async (streamSignal) => {
      const response = await attempt("open the log stream", "/api/logstream", {
        isStream: true,
        timeoutMs: 0,
        signal: AbortSignal.any([signal, streamSignal]),
      });
      if (response.status !== 200) throw refusal(`stream the log of ${webApp.name}`, response.status, response.bodyAsText ?? "");
      return bytes(response.readableStreamBody, STREAM_IDLE_MS);
    },
    newestAppLog: async () => {
      const files = (await readJson<readonly WireLogFile[]>("list the log files", "/api/logs/docker")) ?? [];
      const changed = ({ lastUpdated = "" }: WireLogFile): number => Date.parse(lastUpdated) || 0;
      return files.filter(({ path }) => path?.endsWith("_default_docker.log")).sort((one, other) => changed(other) - changed(one))[0]?.path;
    },
    readLogFile: async (path, { lastBytes, signal: readSignal }) => {
      const what = `read the log file ${path}`;
      const response = await attempt(what, vfsPathOf(path), {
        isStream: true,
        headers: { range: `bytes=-${lastBytes}` },
        // For the body too: a call's own time limit ends with its headers.
        signal: AbortSignal.any([AbortSignal.timeout(CALL_TIMEOUT_MS), ...(readSignal ? [readSignal] : [])]),
      });
      if (response.status !== 200 && response.status !== 206) {
        throw refusal(`${what} (${webApp.name})`, response.status, response.bodyAsText ?? "");
      }
      const isPart = response.status === 206 && !/^bytes 0-/.test(response.headers.get("content-range") ?? "");
      try {
        return wholeLines(await endOf(response.readableStreamBody, lastBytes), isPart);
      } catch (error) {
        throw signal.aborted ? cancelled(signal) : translate(`${what} (${webApp.name})`, error);
      }
    },
    downloadLogs: async ({ idleMs = STREAM_IDLE_MS } = {}) => {
      const what = "download the logs";
      const response = await attempt(what, "/api/logs/docker/zip", { isStream: true, timeoutMs: UPLOAD_TIMEOUT_MS });
      if (response.status !== 200) throw refusal(`give the logs of ${webApp.name}`, response.status, response.bodyAsText ?? "");
      return wholeBody(`${what} (${webApp.name})`, response.readableStreamBody, idleMs, signal);
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

/** The chunks of a body; ends when the other side ends, breaks off or is silent for too long. The caller connects again. */
async function* bytes(body: NodeJS.ReadableStream | undefined, idleMs: number): AsyncIterable<Uint8Array> {
  if (!body) return;
  const stream = body as Readable;
  let timer = setTimeout(() => stream.destroy(), idleMs);
  try {
    for await (const chunk of stream) {
      clearTimeout(timer);
      timer = setTimeout(() => stream.destroy(), idleMs);
      yield typeof chunk === "string" ? Buffer.from(chunk) : (chunk as Uint8Array);
    }
  } catch (error) {
    // A recycled SCM container drops the stream without a word: an end like another.
    if (!isBreak(error)) throw error;
  } finally {
    clearTimeout(timer);
    stream.destroy();
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
  const stream = body as Readable;
  const giveUp = (): void => {
    const seconds = Math.ceil(idleMs / 1000);
    stream.destroy(new KnownError("azure/timeout", `cannot ${what}: nothing came for ${seconds} s`, { hint }));
  };
  let timer = setTimeout(giveUp, idleMs);
  try {
    for await (const chunk of stream) {
      clearTimeout(timer);
      yield chunk as Uint8Array;
      timer = setTimeout(giveUp, idleMs); // writing it away is not Azure's silence
    }
  } catch (error) {
    if (signal.aborted) throw cancelled(signal);
    if (error instanceof KnownError || !isBreak(error)) throw translate(what, error);
    throw new KnownError("azure/unreachable", `cannot ${what}: the connection broke`, { hint, cause: error });
  } finally {
    clearTimeout(timer);
    stream.destroy();
  }
}

const isBreak = (error: unknown): boolean =>
  error instanceof Error &&
  (error.name === "AbortError" ||
    ["ECONNRESET", "ERR_STREAM_PREMATURE_CLOSE", "EPIPE", "ETIMEDOUT", "ABORT_ERR"].includes(
      (error as Error & { code?: string }).code ?? "",
    ));
