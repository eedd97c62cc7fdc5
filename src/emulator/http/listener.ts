import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { TLSSocket } from "node:tls";

/** A request at the edge: HTTP turned into Web types. */
export interface Incoming {
  readonly method: string;
  readonly url: URL;
  readonly headers: Headers;
  /** The body; `null` when the request announces none. */
  readonly stream: ReadableStream<Uint8Array> | null;
  /** Aborted when the client goes away before the answer is complete. */
  readonly signal: AbortSignal;
}

/** What goes out: an answer, an answer cut in the middle, or a reset connection. */
export type Outgoing = { readonly response: Response; readonly isCut?: boolean } | "reset";

export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

const HEADERS_TIMEOUT_MS = 15_000;
/** A whole request with its body: uploads may be slow. */
const REQUEST_TIMEOUT_MS = 600_000;
const KEEP_ALIVE_MS = 65_000;
/** How long `close` lets running requests end by themselves. */
const CLOSE_GRACE_MS = 250;

/**
 * Listens on 127.0.0.1, over TLS when given a certificate. With `port` on that port or, when it is taken, on another one,
 * unless `isPortFixed`: then the bind error (`EADDRINUSE`) is thrown.
 */
export async function listen(options: {
  readonly handle: (incoming: Incoming) => Promise<Outgoing>;
  readonly onBug: (error: unknown) => void;
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly port?: number;
  readonly isPortFixed?: boolean;
}): Promise<Listener> {
  const scheme = options.tls ? "https" : "http";
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response, scheme, options.handle).catch((error: unknown) => {
      if (!isGone(error)) options.onBug(error);
      response.destroy();
    });
  };
  const server = options.tls ? createTlsServer({ ...options.tls, minVersion: "TLSv1.2" }, onRequest) : createServer(onRequest);
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await bind(server, options.port ?? 0, options.isPortFixed ?? false);
  return { port: (server.address() as AddressInfo).port, close: () => close(server) };
}

async function bind(server: Server, port: number, isPortFixed: boolean): Promise<void> {
  try {
    await listening(server, port);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (isPortFixed || port === 0 || (code !== "EADDRINUSE" && code !== "EACCES")) throw error;
    await listening(server, 0);
  }
}

async function listening(server: Server, port: number): Promise<void> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening"); // rejects on "error"
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
  await closed;
  clearTimeout(timer);
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  scheme: string,
  handle: (incoming: Incoming) => Promise<Outgoing>,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) gone.abort(new Error("The client went away."));
  });
  request.on("error", () => gone.abort(new Error("The client went away.")));
  const outgoing = await handle(toIncoming(request, scheme, gone.signal));
  if (outgoing === "reset") {
    cutOff(request);
    return;
  }
  await send(request, response, outgoing.response, outgoing.isCut ?? false, gone.signal);
}

function toIncoming(request: IncomingMessage, scheme: string, signal: AbortSignal): Incoming {
  const headers = new Headers();
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    headers.append(request.rawHeaders[index] ?? "", request.rawHeaders[index + 1] ?? "");
  }
  const hasBody = headers.has("transfer-encoding") || Number(headers.get("content-length") ?? 0) > 0;
  return {
    method: request.method ?? "GET",
    // A path that begins with `//` must stay a path: `new URL(path, base)` would take it for a host.
    url: new URL(`${scheme}://${request.headers.host ?? "localhost"}${request.url?.startsWith("/") ? request.url : "/"}`),
    headers,
    stream: hasBody ? (Readable.toWeb(request) as ReadableStream<Uint8Array>) : null,
    signal,
  };
}

async function send(request: IncomingMessage, out: ServerResponse, response: Response, isCut: boolean, gone: AbortSignal): Promise<void> {
  const isJson = (response.headers.get("content-type") ?? "").startsWith("application/json");
  const whole = isJson || isCut ? Buffer.from(await response.arrayBuffer()) : undefined;
  for (const [name, value] of response.headers) if (name !== "set-cookie") out.setHeader(name, value);
  const cookies = response.headers.getSetCookie();
  if (cookies.length > 0) out.setHeader("set-cookie", cookies);
  if (whole && response.status !== 204) out.setHeader("content-length", whole.length);
  out.statusCode = response.status;
  if (isCut && whole) {
    out.write(whole.subarray(0, Math.floor(whole.length / 2)), () => cutOff(request));
    return;
  }
  if (request.method === "HEAD" || (!whole && !response.body)) {
    if (!whole) await response.body?.cancel();
    out.end();
  } else if (whole) {
    out.end(whole);
  } else if (response.body) {
    await pump(response.body, out, gone);
  }
  if (!request.complete) request.resume(); // what the handler left unread must not block the connection
}

/** Ends a connection without an answer. Node cannot reset a TLS socket; ended without a goodbye it is the same to a client. */
function cutOff({ socket }: IncomingMessage): void {
  if (socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}

/** Copies a body out with back-pressure; a client that goes away cancels the source. */
async function pump(body: ReadableStream<Uint8Array>, out: ServerResponse, gone: AbortSignal): Promise<void> {
  const reader = body.getReader();
  const onGone = (): void => void reader.cancel(gone.reason).catch(() => undefined);
  if (gone.aborted) onGone();
  gone.addEventListener("abort", onGone);
  out.flushHeaders();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (!out.write(value)) await once(out, "drain", { signal: gone });
    }
  } finally {
    gone.removeEventListener("abort", onGone);
  }
  out.end();
}

function isGone(error: unknown): boolean {
  const { name, code, message } = error as NodeJS.ErrnoException;
  return name === "AbortError" || code === "ERR_STREAM_PREMATURE_CLOSE" || code === "ECONNRESET" || message === "The client went away.";
}
