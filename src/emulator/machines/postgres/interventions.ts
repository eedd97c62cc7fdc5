import type { Socket } from "node:net";
import { dismiss } from "./dismiss.ts";
import type { Refusal } from "./login.ts";
import { ProtocolBroken, simpleQuery } from "./messages.ts";

/** Key and certificate, PEM. */
export interface Certificate {
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

type Phase = "arrived" | "done";
type Method = "CONNECT" | "LOGIN" | "SQL";

/** Asked before (`arrived`) and after (`done`) each step of a connection: faults put on a server, and tests, step in here. */
export type Watch = (phase: Phase, method: Method, path: string, signal: AbortSignal) => Promise<Intervention | undefined>;

/** A watch of one connection: its signal ends with the client. */
export type ConnectionWatch = (phase: Phase, method: Method, path: string) => Promise<Intervention | undefined>;

export function watchConnection(watch: Watch | undefined, client: Socket): ConnectionWatch | undefined {
  if (!watch) return undefined;
  const gone = new AbortController();
  client.once("close", () => gone.abort(new ProtocolBroken("the client went away")));
  return (phase, method, path) => watch(phase, method, path, gone.signal);
}

/** Joins client and server, asking before each statement and after each answer. */
export function relaySession(client: Socket, server: Socket, watch: ConnectionWatch, path: string): void {
  const arrived = async (chunk: Buffer) => (chunk[0] === TERMINATE ? undefined : watch("arrived", "SQL", path));
  const done = async (chunk: Buffer) => (isReadyForQuery(chunk) ? watch("done", "SQL", path) : undefined);
  relay(client, server, client, arrived);
  relay(server, client, client, done);
}

const TERMINATE = 0x58;

/** The server's last message to a statement, `Z` with its length 5 and the transaction's state. */
function isReadyForQuery(chunk: Buffer): boolean {
  return chunk.length >= 6 && chunk.readUInt8(chunk.length - 6) === 0x5a && chunk.readUInt32BE(chunk.length - 5) === 5;
}

/** Copies chunk by chunk, asking before each. A client of this tool sends one statement at a time, so a chunk of it is one. */
function relay(from: Socket, to: Socket, client: Socket, ask: (chunk: Buffer) => Promise<Intervention | undefined>): void {
  const run = async (): Promise<void> => {
    from.removeAllListeners("readable");
    for await (const chunk of from) {
      const intervention = await ask(chunk as Buffer);
      if (intervention?.kind === "drop") return void client.destroy();
      if (intervention?.kind === "dismiss") return dismiss(client, intervention.refusal);
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
