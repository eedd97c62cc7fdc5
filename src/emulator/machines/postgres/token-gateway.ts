import { connect, createServer, type Server, type Socket } from "node:net";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import { dismiss } from "./dismiss.ts";
import { type Certificate, type ConnectionWatch, relaySession, type Watch, watchConnection } from "./interventions.ts";
import type { Refusal } from "./login.ts";
import {
  askCleartextPassword,
  CANCEL_REQUEST,
  ProtocolBroken,
  readLoginAnswer,
  readParameters,
  readPassword,
  type StartupPacket,
  type StartupParameters,
} from "./messages.ts";
import { type Greeting, negotiate } from "./negotiation.ts";

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

/** What all connections of a gateway have in common. */
interface Shared {
  readonly context: SecureContext;
  readonly backend: GatewayBackend;
  readonly cancelKeys: Set<string>;
  readonly loginWithinMs: number;
}

async function welcome(socket: Socket, shared: Shared): Promise<void> {
  const { context, backend, loginWithinMs } = shared;
  if (!backend.isPublic()) return void socket.resetAndDestroy();
  const watch = watchConnection(backend.watch(), socket);
  const alarm = setTimeout(() => socket.destroy(), loginWithinMs);
  try {
    const asked = await watch?.("arrived", "CONNECT", "/");
    if (asked && asked.kind !== "tls") return void socket.resetAndDestroy();
    const greeting = await negotiate(socket, asked ? asked.certificate && contextOf(asked.certificate) : context);
    if (greeting.packet.code === CANCEL_REQUEST) return forwardCancel(greeting, shared);
    await login(greeting, socket, shared, watch);
  } finally {
    clearTimeout(alarm);
  }
}

async function login(greeting: Greeting, socket: Socket, shared: Shared, watch: ConnectionWatch | undefined): Promise<void> {
  const { stream, packet } = greeting;
  const asked = await watch?.("arrived", "LOGIN", pathOf(packet));
  if (asked?.kind === "drop") return void socket.resetAndDestroy();
  const injected = asked && "refusal" in asked ? asked.refusal : undefined;
  const refusal = injected ?? (await admit(greeting, socket.remoteAddress ?? "", shared.backend));
  if (refusal) return dismiss(stream, refusal);
  await session(greeting, shared, watch);
}

async function admit({ stream, packet }: Greeting, peer: string, backend: GatewayBackend): Promise<Refusal | undefined> {
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
async function session({ stream: client, packet }: Greeting, shared: Shared, watch: ConnectionWatch | undefined): Promise<void> {
  if (client.destroyed) return; // it went away while it was judged: "close" will not come again
  const { backend, cancelKeys } = shared;
  const server = connect({ path: backend.socketPath(), allowHalfOpen: true });
  server.on("error", () => {}); // "close" follows
  client.once("close", () => server.destroy());
  server.write(packet.bytes);
  let answer: Awaited<ReturnType<typeof readLoginAnswer>>;
  try {
    answer = await readLoginAnswer(server);
  } catch {
    return dismiss(client, STARTING);
  }
  const { bytes, cancelKey } = answer;
  if (cancelKey) {
    cancelKeys.add(cancelKey);
    server.once("close", () => cancelKeys.delete(cancelKey));
  }
  if (watch && (await watch("done", "LOGIN", pathOf(packet)))) return void client.destroy();
  client.write(bytes);
  if (watch) return relaySession(client, server, watch, pathOf(packet));
  copy(client, server);
  copy(server, client);
}

/** Copies until `from` ends, no faster than `to` takes it. */
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

function forwardCancel({ stream: client, packet }: Greeting, { backend, cancelKeys }: Shared): void {
  if (!cancelKeys.has(packet.bytes.subarray(8).toString("hex"))) return void dismiss(client);
  const server = connect({ path: backend.socketPath() });
  server.on("error", () => {}); // the server went away: nothing is left to cancel
  server.once("close", () => dismiss(client));
  server.end(packet.bytes);
  server.resume();
}
