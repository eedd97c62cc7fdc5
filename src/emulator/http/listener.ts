import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
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

/** The limits of one connection. Real ones are not published but for the 230 s of a whole request; these are the usual ones of IIS, in this order. */
export interface EdgeLimits {
  readonly handshakeMs: number;
  readonly headersMs: number;
  /** A body may be long, but not stand still. */
  readonly bodyPauseMs: number;
  /** Connections at a time. More are closed as they come. */
  readonly connections: number;
}

const USUAL_LIMITS: EdgeLimits = { handshakeMs: 15_000, headersMs: 15_000, bodyPauseMs: 60_000, connections: 2_000 };
/** How often Node looks for connections over their time. */
const CHECK_MS = 1_000;
/** A whole request with its body: uploads may be slow. */
const REQUEST_TIMEOUT_MS = 600_000;
const KEEP_ALIVE_MS = 65_000;
/** What is read, and for how long, of a body that nobody wants, so that its sender comes to hear the answer. */
const UNWANTED_BYTES = 8 * 1024 * 1024;
const UNWANTED_MS = 10_000;
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
  readonly limits?: Partial<EdgeLimits>;
}): Promise<Listener> {
  const limits = { ...USUAL_LIMITS, ...options.limits };
  const scheme = options.tls ? "https" : "http";
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response, scheme, limits, options.handle).catch((error: unknown) => {
      if (!isGone(error)) options.onBug(error);
      response.destroy();
    });
  };
  const times = {
    headersTimeout: limits.headersMs,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_MS,
  };
  const server = options.tls
    ? createTlsServer({ ...options.tls, ...times, minVersion: "TLSv1.2", handshakeTimeout: limits.handshakeMs }, onRequest)
    : createServer(times, onRequest);
  server.maxConnections = limits.connections;
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
  limits: EdgeLimits,
  handle: (incoming: Incoming) => Promise<Outgoing>,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) gone.abort(new Error("The client went away."));
  });
  request.on("error", () => gone.abort(new Error("The client went away.")));
  const incoming = toIncoming(request, scheme, gone.signal);
  if (!incoming) {
    await send(request, response, badHost(), false, gone.signal);
    return;
  }
  if (incoming.stream) watchBody(request, limits.bodyPauseMs);
  const outgoing = await handle(incoming);
  if (outgoing === "reset") {
    cutOff(request);
    return;
  }
  await send(request, response, outgoing.response, outgoing.isCut ?? false, gone.signal);
}

/** A body that stands still is no use to wait for: its connection is ended. */
function watchBody(request: IncomingMessage, pauseMs: number): void {
  const { socket } = request;
  socket.setTimeout(pauseMs);
  const release = (): void => {
    if (request.complete) socket.setTimeout(0);
  };
  request.once("end", release);
  request.once("close", release);
}

/** HTTP.sys answers so, in HTML, before any service is asked. */
function badHost(): Response {
  const page = "<HTML><HEAD><TITLE>Bad Request</TITLE></HEAD><BODY><h2>Bad Request - Invalid Hostname</h2></BODY></HTML>";
  return new Response(page, { status: 400, headers: { "content-type": "text/html; charset=us-ascii" } });
}

const HOST = /^(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

/** `undefined` when its Host header is none. */
function toIncoming(request: IncomingMessage, scheme: string, signal: AbortSignal): Incoming | undefined {
  const host = request.headers.host ?? "localhost";
  // A path that begins with `//` must stay a path: `new URL(path, base)` would take it for a host.
  const address = `${scheme}://${host}${request.url?.startsWith("/") ? request.url : "/"}`;
  if (!HOST.test(host) || !URL.canParse(address)) return undefined;
  const headers = new Headers();
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    headers.append(request.rawHeaders[index] ?? "", request.rawHeaders[index + 1] ?? "");
  }
  const hasBody = headers.has("transfer-encoding") || Number(headers.get("content-length") ?? 0) > 0;
  return {
    method: request.method ?? "GET",
    url: new URL(address),
    headers,
    // Reads when it is read, not before: a body that is left alone can still be thrown away.
    stream: hasBody ? (ReadableStream.from(request.iterator({ destroyOnReturn: false })) as ReadableStream<Uint8Array>) : null,
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
  if (!request.complete) throwAway(request); // what the handler left unread must not block the connection
}

/** Reads on for a while without keeping anything: whoever still sends hears the answer only afterwards. */
function throwAway(request: IncomingMessage): void {
  const { socket } = request;
  let bytes = 0;
  const alarm = setTimeout(() => socket.destroy(), UNWANTED_MS);
  request.once("close", () => clearTimeout(alarm));
  request.once("end", () => clearTimeout(alarm));
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > UNWANTED_BYTES) socket.destroy();
  });
  request.resume();
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
