import { execFileSync, spawn } from "node:child_process";
import { chmodSync, chownSync, existsSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { basename, dirname, join } from "node:path";
import { cli, line, median, plainApp, run, type Size, times, work } from "./tools.ts";

/** The same data folder and binaries twice: behind the gateway, and alone with its own TLS. Both clients speak TLS. */
export async function gateway(size: Size): Promise<void> {
  try {
    execFileSync("pgbench", ["--version"], { stdio: "ignore" });
    execFileSync("openssl", ["version"], { stdio: "ignore" });
  } catch {
    console.log("token gateway against a direct connection             not measured: pgbench or openssl is not on this machine");
    return;
  }
  const home = join(work, "gateway");
  const folder = join(work, "gateway-app");
  plainApp(folder);
  await cli(home, "server", "create", "--local", "--yes", folder);
  await cli(home, "firewall", "apply", "--local", "--yes", folder);
  const server = JSON.parse((await cli(home, "server", "show", "--local", folder)).stdout) as { host: string };
  const { clientId } = JSON.parse((await cli(home, "local", "status", "--json")).stdout) as { clientId: string };
  const through = async (): Promise<Record<string, string>> => ({
    PGHOST: server.host,
    PGPORT: "5432",
    PGUSER: clientId,
    PGPASSWORD: (await cli(home, "token", "--local", folder)).stdout.trim(),
    PGDATABASE: "postgres",
    PGSSLMODE: "require",
  });
  await run("pgbench", ["-i", "-q", "-s", String(times(size, 5))], await through());
  const machine = findMachine(home);
  const direct = { PGHOST: "127.0.0.1", PGPORT: String(await freePort()), PGUSER: "azuresu", PGDATABASE: "postgres" };
  const kinds: readonly (readonly [string, readonly string[]])[] = [
    ["TPC-B, 8 clients", ["-c", "8"]],
    ["select only, 8 clients", ["-S", "-c", "8"]],
    ["TPC-B, 1 client", ["-c", "1"]],
  ];
  const tps: Record<string, { gateway: number[]; direct: number[] }> = Object.fromEntries(
    kinds.map(([name]) => [name, { gateway: [], direct: [] }]),
  );
  const measure = async (side: "gateway" | "direct", environment: Record<string, string>): Promise<void> => {
    for (const [name, options] of kinds) {
      const { stdout } = await run("pgbench", ["-n", "-T", String(times(size, 5)), ...options], environment);
      tps[name]?.[side].push(Number(/tps = ([\d.]+)/.exec(stdout)?.[1]));
    }
  };
  for (let round = 0; round < times(size, 3); round += 1) {
    await cli(home, "local", "start");
    await measure("gateway", await through());
    await cli(home, "local", "stop");
    const stop = await startDirect(machine, direct);
    try {
      await measure("direct", { ...direct, PGSSLMODE: "require" });
    } finally {
      await stop();
    }
  }
  for (const [name, { gateway: left, direct: right }] of Object.entries(tps)) {
    line(`token gateway, ${name}`, median(left), median(right), "direct", "≥ 0.9 ×", "tps");
  }
}

/** What runs behind the gateway, as the running process says it. */
interface Machine {
  readonly data: string;
  readonly program: string;
  /** Where the program finds its libraries. */
  readonly environment: Record<string, string>;
}

/** The one server of this home that runs; folders may be called as they like. */
function findMachine(home: string): Machine {
  const found = readdirSync(home, { recursive: true, encoding: "utf8" }).filter((name) => basename(name) === "postmaster.pid");
  for (const file of found) {
    const data = dirname(join(home, file));
    const pid = readFileSync(join(home, file), "utf8").split("\n")[0];
    if (!data.includes("/servers/") || !existsSync(`/proc/${pid}/exe`)) continue;
    const libraries = /(?:^|\0)LD_LIBRARY_PATH=([^\0]*)/.exec(readFileSync(`/proc/${pid}/environ`, "utf8"))?.[1];
    const environment = { LANG: "C.UTF-8", TZ: "UTC", ...(libraries ? { LD_LIBRARY_PATH: libraries } : {}) };
    return { data, program: readlinkSync(`/proc/${pid}/exe`), environment };
  }
  throw new Error(`no flexible server runs in ${home}`);
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer().once("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => done(port));
    });
  });
}

async function startDirect(
  { data, program, environment: libraries }: Machine,
  direct: { readonly PGHOST: string; readonly PGPORT: string; readonly PGUSER: string; readonly PGDATABASE: string },
): Promise<() => Promise<void>> {
  const owner = statSync(data);
  const files = { cert: join(data, "bench.crt"), key: join(data, "bench.key"), hba: join(data, "bench.hba") };
  execFileSync(
    "openssl",
    ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-keyout", files.key, "-out", files.cert],
    { stdio: "ignore" },
  );
  writeFileSync(files.hba, "hostssl all all 127.0.0.1/32 trust\n");
  for (const file of Object.values(files)) chownSync(file, owner.uid, owner.gid);
  chmodSync(files.key, 0o600);
  const settings = {
    listen_addresses: "127.0.0.1",
    port: direct.PGPORT,
    ssl: "on",
    ssl_cert_file: files.cert,
    ssl_key_file: files.key,
    hba_file: files.hba,
    unix_socket_directories: "",
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const identity = process.getuid?.() === 0 ? { uid: owner.uid, gid: owner.gid } : {};
  const child = spawn(program, ["-D", data, ...options], { ...identity, stdio: "ignore", env: libraries });
  const ended = new Promise<void>((done) => child.once("close", () => done()));
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const isUp = await run("psql", ["-c", "select 1"], { ...direct }).then(
      () => true,
      () => false,
    );
    if (isUp) break;
    await new Promise((done) => setTimeout(done, 100));
  }
  return async () => {
    child.kill("SIGINT");
    await ended;
  };
}
