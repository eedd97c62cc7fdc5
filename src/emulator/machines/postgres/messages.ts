import type { Duplex } from "node:stream";

/**
 * The part of PostgreSQL's wire protocol that a login takes.
 * Source: PostgreSQL documentation, "Frontend/Backend Protocol", chapters "Message Flow" and "Message Formats".
 */
export const CANCEL_REQUEST = 80877102;
export const SSL_REQUEST = 80877103;
export const GSSENC_REQUEST = 80877104;

/** PostgreSQL's own limit for a start-up packet. */
const MAX_STARTUP_BYTES = 10_000;
/** PostgreSQL's `PG_MAX_AUTH_TOKEN_LENGTH`. */
const MAX_PASSWORD_BYTES = 65_535;

const PASSWORD = "p".charCodeAt(0);

/** The packet that opens a connection, whole (with its length). */
export interface StartupPacket {
  readonly bytes: Buffer;
  /** The protocol version, or one of the request codes above. */
  readonly code: number;
}

/** What a client said in its start-up message. */
export interface StartupParameters {
  readonly user: string;
  readonly database: string;
}

/** The peer broke the protocol, or went away: there is nobody to answer. */
export class ProtocolBroken extends Error {}

/**
 * Reads exactly `length` bytes and leaves the rest in the stream. Throws ProtocolBroken when it ends first.
 * The listener stays until all is there: a fresh one is told at once of what is half there, which would be a loop that lets nothing else arrive.
 */
function readBytes(stream: Duplex, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const attempt = (): void => {
      const chunk: Buffer | null = stream.read(length);
      if (!chunk && !stream.destroyed && !stream.readableEnded) return;
      for (const event of WAKING) stream.off(event, attempt);
      if (chunk?.length === length) resolve(chunk);
      else reject(new ProtocolBroken("the client went away during the login"));
    };
    for (const event of WAKING) stream.on(event, attempt);
    attempt();
  });
}

const WAKING = ["readable", "end", "close", "error"] as const;

/** Waits for the first byte without taking it. */
export async function peekByte(stream: Duplex): Promise<number> {
  const first = await readBytes(stream, 1);
  stream.unshift(first);
  return first[0] ?? 0;
}

export async function readStartup(stream: Duplex): Promise<StartupPacket> {
  const head = await readBytes(stream, 4); // a wrong length is known before anything else comes
  const length = head.readInt32BE(0);
  if (length < 8 || length > MAX_STARTUP_BYTES) throw new ProtocolBroken(`invalid length of start-up packet: ${length}`);
  const bytes = Buffer.concat([head, await readBytes(stream, length - 4)]);
  return { bytes, code: bytes.readInt32BE(4) };
}

/** `malformed`: the packet does not end where its parameters do. Without a user it is `undefined`. The database defaults to the user's name. */
export function readParameters(packet: StartupPacket): StartupParameters | "malformed" | undefined {
  const words = packet.bytes.subarray(8).toString("utf8").split("\0");
  const parameters = new Map<string, string>();
  let index = 0;
  for (; words[index]; index += 2) parameters.set(words[index] ?? "", words[index + 1] ?? "");
  if (index !== words.length - 2 || words.at(-1) !== "") return "malformed";
  const user = parameters.get("user");
  return user ? { user, database: parameters.get("database") || user } : undefined;
}

/** The password, or how the message departs from one (with PostgreSQL's words for it). */
export async function readPassword(stream: Duplex): Promise<string | { readonly broken: string }> {
  const head = await readBytes(stream, 5);
  const length = head.readInt32BE(1);
  const type = head.readUInt8(0);
  if (type !== PASSWORD) return { broken: `expected password response, got message type ${type}` };
  if (length < 5 || length > MAX_PASSWORD_BYTES) throw new ProtocolBroken(`invalid length of a password message: ${length}`);
  const bytes = await readBytes(stream, length - 4);
  // Exactly one zero byte, at the end: what stands behind the first one would not be part of the password.
  if (bytes.indexOf(0) !== bytes.length - 1) return { broken: "invalid password packet size" };
  return bytes.toString("utf8", 0, bytes.length - 1);
}

/** A FATAL error: the last a client hears. `sqlState` has five characters. */
export function fatal(sqlState: string, message: string): Buffer {
  const fields = ["SFATAL", "VFATAL", `C${sqlState}`, `M${message}`].map((field) => `${field}\0`).join("");
  return framed("E", Buffer.from(`${fields}\0`));
}

export function simpleQuery(text: string): Buffer {
  return framed("Q", Buffer.from(`${text}\0`));
}

export const askCleartextPassword = framed("R", Buffer.from([0, 0, 0, 3]));

function framed(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 0, "latin1");
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

/** The server's whole answer to a start-up message, up to ReadyForQuery or the refusal, with the key a CancelRequest must show. */
export async function readLoginAnswer(stream: Duplex): Promise<{ readonly bytes: Buffer; readonly cancelKey?: string }> {
  const parts: Buffer[] = [];
  let cancelKey: string | undefined;
  for (;;) {
    const head = await readBytes(stream, 5);
    const length = head.readInt32BE(1) - 4;
    const body = length > 0 ? await readBytes(stream, length) : Buffer.alloc(0);
    parts.push(head, body);
    const type = head.toString("latin1", 0, 1);
    if (type === "K") cancelKey = body.toString("hex");
    if (type === "Z" || type === "E") return { bytes: Buffer.concat(parts), ...(cancelKey ? { cancelKey } : {}) };
  }
}
