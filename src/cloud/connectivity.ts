import { lookup } from "node:dns/promises";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { orCancelled } from "../base/cancellation.ts";
import { withTimeout } from "../base/with-timeout.ts";

/** The way to a database server, rung by rung; the first that fails ends it. */
export interface Connectivity {
  /** Addresses of the name; empty when it does not resolve. */
  readonly addresses: readonly string[];
  readonly isPortOpen: boolean;
  /** TLS protocol after a handshake with a trusted certificate of this name; absent when there was none. */
  readonly tls?: string;
  /** Why the first failing rung failed. */
  readonly failure?: string;
}

/** PostgreSQL's SSLRequest (protocol documentation, "Message Formats"). */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const RUNG_TIMEOUT_MS = 10_000;

/** Tries name, port and TLS of a PostgreSQL server without signing in. Throws only on Ctrl-C. */
export async function probeConnectivity(
  target: { readonly host: string; readonly port: number; readonly caPem?: string },
  signal: AbortSignal,
): Promise<Connectivity> {
  const { host, port } = target;
  const nothing = { addresses: [], isPortOpen: false };
  let addresses: string[];
  try {
    addresses = (await inTime(lookup(host, { all: true }), signal)).map(({ address }) => address);
  } catch (error) {
    signal.throwIfAborted();
    return { ...nothing, failure: wordsOf(error) };
  }
  const socket = connectTcp({ host, port });
  socket.on("error", () => {}); // reported by the rung that waits
  try {
    try {
      await inTime(event(socket, "connect"), signal);
    } catch (error) {
      return { addresses, isPortOpen: false, failure: wordsOf(error) };
    }
    try {
      return { addresses, isPortOpen: true, tls: await inTime(handshake(socket, target), signal) };
    } catch (error) {
      return { addresses, isPortOpen: true, failure: wordsOf(error) };
    }
  } finally {
    socket.destroy();
    signal.throwIfAborted();
  }
}

async function handshake(socket: Socket, { host, caPem }: { host: string; caPem?: string }): Promise<string> {
  const answer = event<Buffer>(socket, "data");
  socket.write(SSL_REQUEST);
  const [first] = (await answer).toString("latin1");
  if (first !== "S") throw new Error("the server does not speak TLS");
  socket.pause();
  const secured = connectTls({ socket, host, ...(isIP(host) === 0 ? { servername: host } : {}), ...(caPem ? { ca: caPem } : {}) });
  secured.on("error", () => {}); // reported below
  await event(secured, "secureConnect");
  const protocol = secured.getProtocol() ?? "TLS";
  secured.destroy();
  return protocol;
}

function event<T>(socket: Socket, name: string): Promise<T> {
  return new Promise((resolve, reject) => {
    socket.once(name, resolve);
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("the server closed the connection")));
  });
}

const inTime = <T>(work: Promise<T>, signal: AbortSignal): Promise<T> =>
  orCancelled(
    signal,
    withTimeout(work, RUNG_TIMEOUT_MS, (): never => {
      throw new Error(`no answer within ${RUNG_TIMEOUT_MS / 1000} s`);
    }),
  );

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
