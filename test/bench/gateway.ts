import { execFileSync, spawn } from "node:child_process";
import { chmodSync, chownSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cli, line, median, plainApp, run, work } from "./tools.ts";

/** The same data folder and binaries twice: behind the gateway, and alone with its own TLS. Both clients speak TLS. */
export async function gateway(): Promise<void> {
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
  await run("pgbench", ["-i", "-q", "-s", "5"], await through());
  const direct = { PGHOST: "127.0.0.1", PGPORT: "54329", PGUSER: "azuresu", PGDATABASE: "postgres", PGSSLMODE: "require" };
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
      const { stdout } = await run("pgbench", ["-n", "-T", "5", ...options], environment);
      tps[name]?.[side].push(Number(/tps = ([\d.]+)/.exec(stdout)?.[1]));
    }
  };
  for (let round = 0; round < 3; round += 1) {
    await cli(home, "local", "start");
    await measure("gateway", await through());
    await cli(home, "local", "stop");
    const stop = await startDirect(home);
    await measure("direct", direct);
    await stop();
  }
  for (const [name, { gateway: left, direct: right }] of Object.entries(tps)) {
    line(`token gateway, ${name}`, median(left), median(right), "direct", "≥ 0.9 ×", "tps");
  }
}

async function startDirect(home: string): Promise<() => Promise<void>> {
  const [server] = readdirSync(join(home, "postgres/servers"));
  const data = join(home, "postgres/servers", server ?? "", "data");
  const [binaries] = readdirSync(join(home, "postgres/binaries"));
  const bin = join(home, "postgres/binaries", binaries ?? "", "bin/postgres");
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
    port: "54329",
    ssl: "on",
    ssl_cert_file: files.cert,
    ssl_key_file: files.key,
    hba_file: files.hba,
    unix_socket_directories: "",
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const identity = process.getuid?.() === 0 ? { uid: owner.uid, gid: owner.gid } : {};
  const child = spawn(bin, ["-D", data, ...options], {
    ...identity,
    stdio: "ignore",
    env: { LD_LIBRARY_PATH: join(home, "postgres/binaries", binaries ?? "", "lib"), LANG: "C.UTF-8", TZ: "UTC" },
  });
  const ended = new Promise<void>((done) => child.once("close", () => done()));
  const environment = { PGHOST: "127.0.0.1", PGPORT: "54329", PGUSER: "azuresu", PGDATABASE: "postgres" };
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const isUp = await run("psql", ["-c", "select 1"], environment).then(
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
