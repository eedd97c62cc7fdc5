import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { homeFiles } from "../../../src/emulator/home.ts";

/**
 * Stands in for the one service on the internet that az asks, api.ipify.org: which address do you see me at? Here 127.0.0.1.
 * It is reached as a proxy (`HTTPS_PROXY`); every other host is refused, so az talks to nothing but local Azure. Local Azure's own authority
 * vouches for loopback names only, so the service has a certificate of its own: `bundle` is what az must trust, both.
 */
export async function openAddressService(
  home: string,
): Promise<{ readonly proxy: string; readonly bundle: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const kept = (socket: Socket): void => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket)).on("error", () => {});
  };
  const body = "127.0.0.1";
  const own = ownCertificate(home);
  const bundle = join(home, "bundle-with-address-service.pem");
  writeFileSync(bundle, `${readFileSync(homeFiles(home).bundle, "utf8")}\n${own.cert}`);
  const service = createTlsServer(own, (socket) => {
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
    bundle,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await Promise.all([service, proxy].map((server) => new Promise((done) => server.close(done))));
    },
  };
}

function ownCertificate(folder: string): { readonly key: string; readonly cert: string } {
  const [key, cert] = [join(folder, "address-service.key"), join(folder, "address-service.pem")];
  const words =
    "req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=api.ipify.org -addext subjectAltName=DNS:api.ipify.org";
  execFileSync("openssl", [...words.split(" "), "-keyout", key, "-out", cert], { stdio: "pipe" });
  return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
}

function listening(server: ReturnType<typeof createServer>): Promise<number> {
  return new Promise((done, fail) => {
    server.once("error", fail);
    server.listen(0, "127.0.0.1", () => done((server.address() as { port: number }).port));
  });
}
