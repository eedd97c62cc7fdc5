import { randomUUID } from "node:crypto";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import type { Duplex } from "node:stream";
import type { FaultAction } from "../../http/faults.ts";
import { pages } from "./pages.ts";

/** Where a request for the site goes. */
export type FrontTarget = { readonly port: number } | "waiting" | "stopped" | "down";

/** Asked before (`arrived`) and after (`done`) the app's work for a request; the signal ends when the client goes away. */
export interface FrontWatch {
  arrived(method: string, path: string, signal: AbortSignal): Promise<FaultAction | undefined>;
  done(method: string, path: string): Promise<"drop" | undefined>;
}

/** A site's public address: answers http and https on one port of 127.0.0.1. */
export interface AppFront {
  readonly port: number;
  close(): Promise<void>;
}

const TLS_HANDSHAKE = 0x16;
const PEEK_MS = 120_000;
/** For a TLS handshake, and for a request's headers. Node's own clock for them runs in listening servers only. */
const HEADERS_MS = 60_000;
/** Real front ends cut a request after 230 s. */
const REQUEST_MS = 230_000;

/** What the front end asks of the site. */
export interface FrontSite {
  /** Asked for each request; must not reject. */
  readonly pick: () => Promise<FrontTarget>;
  readonly tls: { readonly key: string; readonly cert: string };
  readonly watch: FrontWatch;
}

/**
 * Opens the front end. HTTP is answered too, also when the app is HTTPS only: on loopback a redirect would only keep out browsers and
 * clients that do not know our CA. `port` is used when it is free.
 */
export async function openFront(site: FrontSite, port?: number, headersMs = HEADERS_MS): Promise<AppFront> {
  // A connection for each request: a kept one can be closed by the app at the very moment it is used again.
  const agent = new http.Agent({ keepAlive: false });
  const { plain, secure } = createServers(site, agent, headersMs);
  const sockets = new Set<net.Socket>();
  const listener = net.createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {}); // the client's matter
    socket.setTimeout(PEEK_MS, () => socket.destroy());
    socket.once("data", (first: Buffer) => {
      socket.setTimeout(0);
      socket.pause();
      socket.unshift(first);
      (first[0] === TLS_HANDSHAKE ? secure : plain).emit("connection", socket);
      process.nextTick(() => socket.resume());
    });
  });
  await listen(listener, port);
  return {
    port: (listener.address() as net.AddressInfo).port,
    close: async () => {
      const closed = new Promise((resolve) => listener.close(resolve));
      for (const socket of sockets) socket.destroy();
      agent.destroy();
      await closed;
    },
  };
}

/** The two servers behind the listener; they get their connections from it. */
function createServers(site: FrontSite, agent: http.Agent, headersMs: number): { plain: http.Server; secure: https.Server } {
  const alarms = new WeakMap<Duplex, NodeJS.Timeout>();
  const awaitHeaders = (socket: Duplex): void => {
    clearTimeout(alarms.get(socket));
    const alarm = setTimeout(() => socket.destroy(), headersMs);
    alarms.set(socket, alarm);
  };
  const welcome = (socket: Duplex): void => {
    awaitHeaders(socket);
    socket.once("close", () => clearTimeout(alarms.get(socket)));
  };
  const answer = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    const { socket } = request;
    clearTimeout(alarms.get(socket));
    response.once("close", () => socket.destroyed || awaitHeaders(socket));
    serveRequest({ request, response }, site, agent).catch(() => response.destroy()); // the client went away
  };
  const upgrade = (request: http.IncomingMessage, socket: Duplex, head: Buffer): void => {
    clearTimeout(alarms.get(socket));
    void site.pick().then((target) => {
      if (typeof target !== "object") socket.destroy();
      else tunnel(request, socket, head, target.port);
    });
  };
  const plain = http.createServer({ requestTimeout: 0 }, answer);
  const secure = https.createServer({ ...site.tls, requestTimeout: 0, minVersion: "TLSv1.2", handshakeTimeout: headersMs }, answer);
  plain.on("connection", welcome).on("upgrade", upgrade);
  secure.on("secureConnection", welcome).on("upgrade", upgrade);
  return { plain, secure };
}

async function listen(server: net.Server, port = 0): Promise<void> {
  const attempt = (number: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(number, "127.0.0.1", () => {
        server.removeListener("error", reject);
        resolve();
      });
    });
  try {
    await attempt(port);
  } catch (error) {
    if (port === 0 || (error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    await attempt(0);
  }
}

interface Exchange {
  readonly request: http.IncomingMessage;
  readonly response: http.ServerResponse;
}

async function serveRequest(exchange: Exchange, { pick, watch }: FrontSite, agent: http.Agent): Promise<void> {
  const { request, response } = exchange;
  const method = request.method ?? "GET";
  const path = (request.url ?? "/").replace(/\?.*/s, "");
  const gone = new AbortController();
  response.once("close", () => gone.abort(new Error("The client went away.")));
  const fault = await watch.arrived(method, path, gone.signal);
  if (fault?.kind === "reset") return void request.socket.destroy();
  if (fault?.kind === "status") return sendFault(response, fault.status, JSON.stringify(fault.body ?? fault.message ?? ""), fault.headers);
  if (fault?.kind === "html") return sendFault(response, fault.status ?? 502, pages.badGateway, { "content-type": "text/html" });
  const target = await pick();
  if (typeof target !== "object") return sendPage(response, target);
  forward(exchange, target.port, agent, async (answer) => {
    const isDropped = (await watch.done(method, path)) === "drop" || fault?.kind === "drop-after";
    if (isDropped) request.socket.destroy();
    else if (fault?.kind === "cut") await sendHalf(answer, exchange);
    else return true;
    return false;
  });
}

function sendFault(response: http.ServerResponse, status: number, body: string, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body), ...headers }).end(body);
}

/** Half of the app's answer, then the end of the connection. */
async function sendHalf(answer: http.IncomingMessage, { request, response }: Exchange): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  const whole = Buffer.concat(parts);
  response.writeHead(answer.statusCode ?? 502, { "content-length": whole.length });
  response.write(whole.subarray(0, Math.floor(whole.length / 2)), () => request.socket.destroy());
}

function sendPage(response: http.ServerResponse, target: "waiting" | "stopped" | "down"): void {
  const [status, body] =
    target === "waiting" ? [200, pages.waiting] : target === "stopped" ? [403, pages.stopped] : ([503, pages.applicationError] as const);
  response.writeHead(status, { "content-type": "text/html", "content-length": Buffer.byteLength(body) }).end(body);
}

/** `mayPass` is asked when the app has answered; false: the answer was dealt with. */
function forward(
  { request, response }: Exchange,
  port: number,
  agent: http.Agent,
  mayPass: (answer: http.IncomingMessage) => Promise<boolean>,
): void {
  const isTls = "encrypted" in request.socket;
  const upstream = http.request({
    host: "127.0.0.1",
    port,
    agent,
    method: request.method,
    path: request.url,
    headers: forwardedHeaders(request, isTls),
    timeout: REQUEST_MS,
  });
  upstream.on("timeout", () => upstream.destroy(new Error("504")));
  upstream.on("response", (answer) => {
    answer.on("error", () => response.destroy());
    const pass = async (): Promise<void> => {
      if (!(await mayPass(answer))) return;
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage, endToEnd(answer.rawHeaders));
      answer.pipe(response);
    };
    pass().catch(() => response.destroy());
  });
  upstream.on("error", () => {
    if (response.headersSent) response.destroy();
    else response.writeHead(502, { "content-type": "text/html" }).end(pages.badGateway);
  });
  response.on("close", () => {
    if (!response.writableFinished) upstream.destroy();
  });
  request.pipe(upstream);
}

function forwardedHeaders(request: http.IncomingMessage, isTls: boolean): http.OutgoingHttpHeaders {
  const client = `${request.socket.remoteAddress ?? "127.0.0.1"}:${request.socket.remotePort ?? 0}`;
  const { connection: _hop, "keep-alive": _kept, ...end } = request.headers;
  const host = request.headers.host ?? "localhost";
  return {
    ...end,
    "x-forwarded-for": [request.headers["x-forwarded-for"], client].filter(Boolean).join(", "),
    "x-forwarded-proto": isTls ? "https" : "http",
    "x-forwarded-host": host,
    "x-original-url": request.url ?? "/",
    "x-waws-unencoded-url": request.url ?? "/",
    "x-arr-log-id": randomUUID(),
    "client-ip": client,
    "x-client-ip": request.socket.remoteAddress ?? "127.0.0.1",
    "disguised-host": host,
    ...(isTls ? { "x-arr-ssl": "2048|256|CN=passwordless-pg local Azure|CN=localhost" } : {}),
  };
}

/** Raw headers without those that concern the connection to the app only. */
function endToEnd(raw: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? "";
    if (!/^(connection|keep-alive)$/i.test(name)) kept.push(name, raw[at + 1] ?? "");
  }
  return kept;
}

function tunnel(request: http.IncomingMessage, socket: Duplex, head: Buffer, port: number): void {
  const upstream = net.connect(port, "127.0.0.1", () => {
    const lines = [`${request.method} ${request.url} HTTP/1.1`];
    for (let at = 0; at + 1 < request.rawHeaders.length; at += 2) lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
    upstream.write(`${lines.join("\r\n")}\r\n\r\n`);
    upstream.write(head);
    socket.pipe(upstream).pipe(socket);
  });
  upstream.on("error", () => socket.destroy());
  socket.on("error", () => upstream.destroy());
  socket.on("close", () => upstream.destroy());
}
