import { connect, createServer, type Server, type Socket } from "node:net";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import type { Refusal } from "./login.ts";
import {
  askCleartextPassword,
  CANCEL_REQUEST,
  fatal,
  GSSENC_REQUEST,
  ProtocolBroken,
  peekByte,
  readLoginAnswer,
  readParameters,
  readPassword,
  readStartup,
  SSL_REQUEST,
  type StartupPacket,
  type StartupParameters,
  simpleQuery,
} from "./messages.ts";

/** What the gateway asks of the server it stands before. Asked anew for each connection. */
export interface GatewayBackend {
  socketPath(): string;
  isReady(): boolean;
  /** `require_secure_transport` */
  requiresTls(): boolean;
  /** Do the firewall rules let this IPv4 address in? */
  admits(address: string): boolean;
  /** With public access off no packet is answered, as if there were no server. */
  isPublic(): boolean;
  /** Judges user and password (the token); `undefined` admits. */
  judge(user: string, password: string): Promise<Refusal | undefined>;
  /** Somebody wants to step in at the points of a connection; asked once for each. Statements of others are copied unseen. */
  watch(): Watch | undefined;
  log(line: string): void;
}

interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/**
 * What a watch wants instead of the usual: the connection broken; its end with this last word; at `CONNECT` another certificate, or none (no TLS);
 * at `SQL` a statement that PostgreSQL itself ends with this error, so that connection and transaction are left as after any other error.
 */
type Intervention =
  | { readonly kind: "drop" }
  | { readonly kind: "dismiss"; readonly refusal: Refusal }
  | { readonly kind: "tls"; readonly certificate: Certificate | undefined }
  | { readonly kind: "raise"; readonly refusal: Refusal };

/** Asked before (`arrived`) and after (`done`) each step of a connection. */
export type Watch = (
  phase: "arrived" | "done",
  method: "CONNECT" | "LOGIN" | "SQL",
  path: string,
  signal: AbortSignal,
) => Promise<Intervention | undefined>;

/** A watch of one connection: its signal ends with the client. */
type Step = (phase: "arrived" | "done", method: "CONNECT" | "LOGIN" | "SQL", path: string) => Promise<Intervention | undefined>;

export interface TokenGateway {
  readonly address: string;
  readonly port: number;
  /** Stops listening and ends every session. */
  close(): Promise<void>;
}

/** PostgreSQL's `authentication_timeout`. */
const LOGIN_WITHIN_MS = 60_000;
/** Above what the largest server takes; more are closed as they come. */
const MAX_CONNECTIONS = 6_000;
/** `tcp_keepalives_idle` of Azure's servers: a client that is gone without a word is found out. */
const KEEP_ALIVE_AFTER_MS = 120_000;
const HANG_UP_WITHIN_MS = 5_000;
const TLS_RECORD_HANDSHAKE = 0x16;

/**
 * Listens on `address:port`, where it speaks PostgreSQL's protocol up to the login (TLS, firewall, cleartext-password request, verdict on the token)
 * and from then on only copies bytes. Rejects with the system's error (`EADDRINUSE`, …) when it cannot listen.
 */
export async function openTokenGateway(
  at: { readonly address: string; readonly port: number },
  certificate: Certificate,
  backend: GatewayBackend,
  loginWithinMs = LOGIN_WITHIN_MS,
): Promise<TokenGateway> {
  const sockets = new Set<Socket>();
  const cancelKeys = new Set<string>();
  const shared = { context: contextOf(certificate), backend, cancelKeys, loginWithinMs };
  const options = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_AFTER_MS };
  const server = createServer(options, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => {}); // a client that goes away; "close" follows
    welcome(socket, shared).catch((error) => {
      if (!(error instanceof ProtocolBroken)) backend.log(`token gateway ${at.address}: ${error instanceof Error ? error.message : error}`);
      socket.destroy();
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, at.address, at.port);
  const bound = server.address();
  return {
    address: at.address,
    port: typeof bound === "object" && bound ? bound.port : at.port,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function contextOf(certificate: Certificate): SecureContext {
  return createSecureContext({ ...certificate, minVersion: "TLSv1.2" });
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, backlog: 511 }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

interface Greeting {
  readonly stream: Socket;
  readonly packet: StartupPacket;
}

/** What all connections of a gateway have in common. */
interface Shared {
  readonly context: SecureContext;
  readonly backend: GatewayBackend;
  readonly cancelKeys: Set<string>;
  readonly loginWithinMs: number;
}

async function welcome(socket: Socket, { context, backend, cancelKeys, loginWithinMs }: Shared): Promise<void> {
  if (!backend.isPublic()) return void socket.resetAndDestroy();
  const watch = watchOf(backend, socket);
  const alarm = setTimeout(() => socket.destroy(), loginWithinMs);
  try {
    const greeting = await watch?.("arrived", "CONNECT", "/");
    if (greeting && greeting.kind !== "tls") return void socket.resetAndDestroy();
    const { stream, packet } = await negotiate(socket, greeting ? greeting.certificate && contextOf(greeting.certificate) : context);
    if (packet.code === CANCEL_REQUEST) {
      forwardCancel(stream, packet, backend, cancelKeys);
      return;
    }
    const path = pathOf(packet);
    const intervention = await watch?.("arrived", "LOGIN", path);
    if (intervention?.kind === "drop") return void socket.resetAndDestroy();
    const asked = intervention && "refusal" in intervention ? intervention.refusal : undefined;
    const refusal = asked ?? (await admit(stream, packet, socket.remoteAddress ?? "", backend));
    if (refusal) return dismiss(stream, fatal(refusal.sqlState, refusal.message));
    await session(stream, packet, backend, cancelKeys, watch && ((phase, method) => watch(phase, method, path)));
  } finally {
    clearTimeout(alarm);
  }
}

function watchOf(backend: GatewayBackend, socket: Socket): Step | undefined {
  const watch = backend.watch();
  if (!watch) return undefined;
  const gone = new AbortController();
  socket.once("close", () => gone.abort(new ProtocolBroken("the client went away")));
  return (phase, method, path) => watch(phase, method, path, gone.signal);
}

/** Answers encryption requests until the client says what it wants. Without a context there is no TLS. */
async function negotiate(socket: Socket, context: SecureContext | undefined): Promise<Greeting> {
  if ((await peekByte(socket)) === TLS_RECORD_HANDSHAKE && context) return secured(socket, context, true);
  for (let requests = 0; requests < 3; requests++) {
    const packet = await readStartup(socket);
    if (packet.code === GSSENC_REQUEST || (packet.code === SSL_REQUEST && !context)) socket.write("N");
    else if (packet.code === SSL_REQUEST && context) {
      // Bytes behind the request would be taken as if they had come encrypted (CVE-2021-23214).
      if (socket.readableLength > 0) throw new ProtocolBroken("unencrypted data after the TLS request");
      socket.write("S");
      return secured(socket, context, false);
    } else return { stream: socket, packet };
  }
  throw new ProtocolBroken("too many encryption requests");
}

async function secured(socket: Socket, secureContext: SecureContext, isDirect: boolean): Promise<Greeting> {
  const stream = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: ["postgresql"] });
  stream.on("error", () => {}); // a failed handshake; "close" follows
  const packet = await readStartup(stream);
  if (isDirect && stream.alpnProtocol !== "postgresql") throw new ProtocolBroken("direct TLS without ALPN");
  if (packet.code === SSL_REQUEST || packet.code === GSSENC_REQUEST) throw new ProtocolBroken("encryption asked for twice");
  return { stream, packet };
}

async function admit(stream: Socket, packet: StartupPacket, peer: string, backend: GatewayBackend): Promise<Refusal | undefined> {
  if (packet.code >>> 16 !== 3) {
    const asked = `${packet.code >>> 16}.${packet.code & 0xffff}`;
    return { sqlState: "0A000", message: `unsupported frontend protocol ${asked}: server supports 3.0 to 3.0` };
  }
  const wanted = readParameters(packet);
  if (wanted === "malformed") return broken("invalid startup packet layout: expected terminator as last byte");
  if (!wanted) return { sqlState: "28000", message: "no PostgreSQL user name specified in startup packet" };
  const isEncrypted = stream instanceof TLSSocket;
  if ((!isEncrypted && backend.requiresTls()) || !backend.admits(peer)) return noEntry(wanted, peer, isEncrypted);
  if (!backend.isReady()) return STARTING;
  stream.write(askCleartextPassword);
  const password = await readPassword(stream);
  if (typeof password !== "string") return broken(password.broken);
  if (password === "") return { sqlState: "28P01", message: "empty password returned by client" };
  return backend.judge(wanted.user, password);
}

function broken(message: string): Refusal {
  return { sqlState: "08P01", message };
}

function pathOf(packet: StartupPacket): string {
  const wanted = packet.code >>> 16 === 3 ? readParameters(packet) : undefined;
  return typeof wanted === "object" ? `/${wanted.database}/${wanted.user}` : "//";
}

const STARTING: Refusal = { sqlState: "57P03", message: "the database system is starting up" };

function noEntry({ user, database }: StartupParameters, peer: string, isEncrypted: boolean): Refusal {
  const how = isEncrypted ? "SSL encryption" : "no encryption";
  return { sqlState: "28000", message: `no pg_hba.conf entry for host "${peer}", user "${user}", database "${database}", ${how}` };
}

/** Logs in to PostgreSQL with the client's own start-up message, and joins the two. */
async function session(
  client: Socket,
  packet: StartupPacket,
  backend: GatewayBackend,
  cancelKeys: Set<string>,
  watch: ((phase: "arrived" | "done", method: "LOGIN" | "SQL") => ReturnType<Step>) | undefined,
): Promise<void> {
  if (client.destroyed) return; // it went away while it was judged: "close" will not come again
  const server = connect({ path: backend.socketPath(), allowHalfOpen: true });
  server.on("error", () => {}); // "close" follows
  client.once("close", () => server.destroy());
  server.write(packet.bytes);
  let answer: Awaited<ReturnType<typeof readLoginAnswer>>;
  try {
    answer = await readLoginAnswer(server);
  } catch {
    return dismiss(client, fatal(STARTING.sqlState, STARTING.message));
  }
  const { cancelKey } = answer;
  if (cancelKey) {
    cancelKeys.add(cancelKey);
    server.once("close", () => cancelKeys.delete(cancelKey));
  }
  if (watch) {
    if (await watch("done", "LOGIN")) return void client.destroy();
    client.write(answer.bytes);
    relay(client, server, async (chunk) => (chunk[0] === TERMINATE ? undefined : watch("arrived", "SQL")), client);
    relay(server, client, async (chunk) => (isReadyForQuery(chunk) ? watch("done", "SQL") : undefined), client);
    return;
  }
  client.write(answer.bytes);
  copy(client, server);
  copy(server, client);
}

const TERMINATE = 0x58;

/** The server's last message to a statement, `Z` with its length 5 and the transaction's state. */
function isReadyForQuery(chunk: Buffer): boolean {
  return chunk.length >= 6 && chunk.readUInt8(chunk.length - 6) === 0x5a && chunk.readUInt32BE(chunk.length - 5) === 5;
}

/** Copies chunk by chunk, asking before each. A client of this tool sends one statement at a time, so a chunk of it is one. */
function relay(from: Socket, to: Socket, ask: (chunk: Buffer) => ReturnType<Step>, client: Socket): void {
  const run = async (): Promise<void> => {
    from.removeAllListeners("readable");
    for await (const chunk of from) {
      const intervention = await ask(chunk as Buffer);
      if (intervention?.kind === "drop") return void client.destroy();
      if (intervention?.kind === "dismiss") return dismiss(client, fatal(intervention.refusal.sqlState, intervention.refusal.message));
      to.write(intervention?.kind === "raise" ? raising(intervention.refusal) : (chunk as Buffer));
    }
    to.end();
  };
  run().catch(() => to.destroy()); // one of the two went away
}

/** A statement that does nothing but fail. The texts are the fault's own: no client's words get here. */
function raising({ sqlState, message }: Refusal): Buffer {
  const quoted = (text: string): string => `'${text.replaceAll("'", "''").replaceAll("$", "")}'`;
  return simpleQuery(`DO $$BEGIN RAISE EXCEPTION USING ERRCODE = ${quoted(sqlState)}, MESSAGE = ${quoted(message)}; END$$`);
}

/**
 * Copies until `from` ends, no faster than `to` takes it. Measured: 25 µs of processor time a transaction of `pgbench -S`, of which `perf` finds 70 %
 * in the kernel (two reads, two writes, two waits, four wake-ups); a C program that only copies between TCP and the Unix socket, without TLS, takes
 * 15 µs. So neither other ways to read (a kept buffer: 27 µs against 29 beside it) nor more processes make it cheap: more of them share the
 * work only where processors are idle.
 */
function copy(from: Socket, to: Socket): void {
  from.removeAllListeners("readable");
  from.on("data", (chunk: Buffer) => {
    if (to.write(chunk)) return;
    from.pause();
    to.once("drain", () => from.resume());
  });
  if (from.readableEnded)
    to.end(); // it said its last word together with the password
  else from.once("end", () => to.end());
  from.once("close", () => to.destroySoon());
  from.resume();
}

function forwardCancel(client: Socket, packet: StartupPacket, backend: GatewayBackend, cancelKeys: ReadonlySet<string>): void {
  if (!cancelKeys.has(packet.bytes.subarray(8).toString("hex"))) {
    dismiss(client);
    return;
  }
  const server = connect({ path: backend.socketPath() });
  server.on("error", () => {}); // the server went away: nothing is left to cancel
  server.once("close", () => dismiss(client));
  server.end(packet.bytes);
  server.resume();
}

/** Says the last word and lets the client hang up; one that does not is cut off. */
function dismiss(client: Socket, lastWord?: Buffer): void {
  const alarm = setTimeout(() => client.destroy(), HANG_UP_WITHIN_MS);
  client.once("close", () => clearTimeout(alarm));
  client.resume();
  if (lastWord) client.write(lastWord);
  client.end();
}
