import type { Socket } from "node:net";
import { type SecureContext, TLSSocket } from "node:tls";
import { GSSENC_REQUEST, ProtocolBroken, peekByte, readStartup, SSL_REQUEST, type StartupPacket } from "./messages.ts";

/** A connection on which the client has said what it wants, encrypted if it asked for that. */
export interface Greeting {
  readonly stream: Socket;
  readonly packet: StartupPacket;
}

const TLS_RECORD_HANDSHAKE = 0x16;

/** Answers encryption requests until the client says what it wants. Without a context there is no TLS. Throws ProtocolBroken. */
export async function negotiate(socket: Socket, context: SecureContext | undefined): Promise<Greeting> {
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
