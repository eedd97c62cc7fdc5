import { execFileSync } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer, type Server, type TLSSocket } from "node:tls";
import { test as base, expect } from "vitest";
import { homeFiles } from "../../src/emulator/home.ts";
import type { Certificates } from "../../src/emulator/http/certificates.ts";
import { openCertificates } from "../../src/emulator/http/certificates.ts";

const test = base.extend<{ home: string }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
  home: async ({}, use) => {
    const home = mkdtempSync(join(tmpdir(), "ppg-ca-"));
    mkdirSync(join(home, "keys"));
    await use(home);
    rmSync(home, { recursive: true, force: true });
  },
});

const open = (home: string, remade: string[] = []): Certificates =>
  openCertificates(join(home, "keys"), homeFiles(home), (file) => void remade.push(file));

async function listening(pair: { key: string; cert: string }): Promise<[server: Server, port: number]> {
  const server = createServer(pair, (socket) => socket.on("error", () => undefined).end());
  server.on("tlsClientError", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return [server, (server.address() as AddressInfo).port];
}

/** What Node says of the chain, `true` when it trusts it. */
async function nodeTrusts(home: string, names: readonly string[], servername: string): Promise<string | true> {
  const [server, port] = await listening(open(home).issue(names));
  try {
    return await new Promise((resolve) => {
      const socket: TLSSocket = connect({ port, host: "127.0.0.1", servername, ca: readFileSync(homeFiles(home).ca) }, () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", (error) => resolve(error.message));
    });
  } finally {
    server.close();
  }
}

const outcomeOf = (program: string, args: readonly string[], env: Record<string, string> = {}): string => {
  try {
    return execFileSync(program, args, { encoding: "utf8", stdio: "pipe", env: { ...process.env, ...env } });
  } catch (error) {
    const { stderr, stdout } = error as { stderr?: string; stdout?: string };
    return `${stdout ?? ""}${stderr ?? ""}`;
  }
};
const has = (program: string): boolean => outcomeOf("sh", ["-c", `command -v ${program} && echo there`]).includes("there");

test("the authority speaks for loopback addresses and localhost only, and not for ten years", async ({ home }) => {
  for (const names of [["localhost", "127.0.0.1"], ["127.9.8.7", "localhost"], ["shop.localhost"]]) {
    expect(await nodeTrusts(home, names, names[0]?.startsWith("127") ? "localhost" : (names[0] ?? ""))).toBe(true);
  }
  for (const name of ["management.azure.com", "example.com", "localhost.example.com", "10.0.0.1", "128.0.0.1"]) {
    expect([name, await nodeTrusts(home, [name, "localhost"], "localhost")]).toEqual([name, "permitted subtree violation"]);
  }
  const authority = new X509Certificate(readFileSync(homeFiles(home).ca));
  const days = (Date.parse(authority.validTo) - Date.now()) / 86_400_000;
  expect([days > 397, days <= 825]).toEqual([true, true]);
});

test.skipIf(!has("openssl"))("openssl reads the constraint as critical and takes and refuses as it says", ({ home }) => {
  const certificates = open(home);
  const words = outcomeOf("openssl", ["x509", "-in", certificates.caFile, "-noout", "-text"]);
  expect(words.replace(/\s+/g, " ")).toContain(
    "X509v3 Name Constraints: critical Permitted: DNS:localhost IP:127.0.0.0/255.0.0.0 IP:0:0:0:0:0:0:0:1/FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF",
  );
  const verify = (name: string): string => {
    const file = join(home, "leaf.pem");
    writeFileSync(file, certificates.issue([name]).cert);
    return outcomeOf("openssl", ["verify", "-x509_strict", "-CAfile", certificates.caFile, file]);
  };
  expect(verify("localhost")).toContain("leaf.pem: OK");
  expect(verify("example.com")).toContain("permitted subtree violation");
});

const PYTHON = `
import socket, ssl, sys
host, port, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context(cafile=ca)
if hasattr(ssl, "VERIFY_X509_STRICT"): context.verify_flags |= ssl.VERIFY_X509_STRICT
with context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname=host) as s: print("trusted", s.version())
`;

test.skipIf(!has("python3"))("Python's ssl trusts it by name and by address, in its strict mode too", async ({ home }) => {
  const [server, port] = await listening(open(home).issue(["127.9.8.7", "localhost"]));
  const ask = async (host: string): Promise<string> => {
    const { execFile } = await import("node:child_process");
    return new Promise((resolve) =>
      execFile("python3", ["-c", PYTHON, host, String(port), homeFiles(home).ca], (_, out, err) => resolve(out + err)),
    );
  };
  try {
    for (const host of ["localhost", "127.9.8.7"]) expect(await ask(host)).toContain("trusted TLS");
  } finally {
    server.close();
  }
});

test.skipIf(!has("openssl"))(
  "an authority without the constraint, of an older version, is made anew with a new key, and told of",
  ({ home }) => {
    const [key, pem] = [join(home, "keys", "ca.key"), join(home, "keys", "ca.pem")];
    const make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"];
    execFileSync("openssl", [...make, "-subj", "/CN=passwordless-pg local Azure CA", "-keyout", key, "-out", pem], { stdio: "ignore" });
    const before = readFileSync(key, "utf8");
    const remade: string[] = [];
    const { caPem } = open(home, remade);
    expect(remade).toEqual([key, pem]);
    expect(readFileSync(key, "utf8")).not.toBe(before);
    expect(readFileSync(homeFiles(home).ca, "utf8")).toBe(caPem);
    expect(new X509Certificate(caPem).checkPrivateKey(createPrivateKey(readFileSync(key, "utf8")))).toBe(true);
    const again: string[] = [];
    expect(open(home, again).caPem).toBe(caPem);
    expect(again).toEqual([]);
  },
);
