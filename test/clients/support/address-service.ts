import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { homeFiles } from "../../../src/emulator/home.ts";
import { openCertificates } from "../../../src/emulator/http/certificates.ts";

/**
 * Stands in for the one service on the internet that az asks, api.ipify.org: which address do you see me at? Here 127.0.0.1.
 * It is reached as a proxy (`HTTPS_PROXY`); every other host is refused, so az talks to nothing but local Azure.
 */
export async function openAddressService(home: string): Promise<{ readonly proxy: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const kept = (socket: Socket): void => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket)).on("error", () => {});
  };
  const body = "127.0.0.1";
  const service = createTlsServer(openCertificates(join(home, "keys"), homeFiles(home)).issue(["api.ipify.org"]), (socket) => {
    socket.once("data", () => {
      socket.end(`HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
    });
    socket.on("error", () => {});
  });
  const servicePort = await listening(service);
  const proxy = createServer((socket) => {
    kept(socket);
    socket.once("data", (head) => {
      if (!/^CONNECT api\.ipify\.org:443 /.test(head.toString("latin1")))
        return void socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
      const onward = connect(servicePort, "127.0.0.1", () => socket.write("HTTP/1.1 200 Connection established\r\n\r\n"));
      kept(onward);
      socket.pipe(onward).pipe(socket);
    });
  });
  const port = await listening(proxy);
  return {
    proxy: `http://127.0.0.1:${port}`,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await Promise.all([service, proxy].map((server) => new Promise((done) => server.close(done))));
    },
  };
}

function listening(server: ReturnType<typeof createServer>): Promise<number> {
  return new Promise((done, fail) => {
    server.once("error", fail);
    server.listen(0, "127.0.0.1", () => done((server.address() as { port: number }).port));
  });
}
