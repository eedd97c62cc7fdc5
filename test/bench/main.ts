import { execFileSync, spawn } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";

/**
 * `npm run bench`: each figure beside its floor or peer, measured in turns in one run; medians and the ratio of the medians.
 * `npm run bench -- gateway` runs one part (startUp, localStart, noOpInit, longestPath, gateway).
 * The machine is shared and noisy: read the ratios, not the milliseconds.
 */
const root = process.cwd(); // npm runs scripts in the package folder
const bin = join(root, "bin/passwordless-pg.js");
const work = mkdtempSync(join(tmpdir(), "ppg-bench-"));
chmodSync(work, 0o711);

interface Run {
  readonly ms: number;
  readonly stdout: string;
}

function run(
  file: string,
  args: readonly string[],
  environment: Record<string, string> = {},
  isFine: (code: number | null) => boolean = (code) => code === 0,
): Promise<Run> {
  return new Promise((done, fail) => {
    const startedAt = performance.now();
    const child = spawn(file, args, {
      env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      stderr += chunk;
    });
    child.once("error", fail);
    child.once("close", (code) =>
      isFine(code)
        ? done({ ms: performance.now() - startedAt, stdout })
        : fail(new Error(`${args.join(" ")} ended with ${code}\n${stderr}\n${stdout}`)),
    );
  });
}

const cli = (home: string, ...args: readonly string[]): Promise<Run> =>
  run(process.execPath, [bin, ...args], { PASSWORDLESS_PG_HOME: home });

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

function line(what: string, is: number, floor: number, of: string, budget: string, unit = "ms"): void {
  const ratio = floor > 0 ? ` · ${(is / floor).toFixed(2)} × ${of} (${floor.toFixed(0)} ${unit})` : "";
  console.log(`${what.padEnd(52)} ${is.toFixed(0).padStart(7)} ${unit}${ratio} · budget ${budget}`);
}

/** In turns, so that noise meets both alike. */
async function inPairs(times: number, left: () => Promise<Run>, right: () => Promise<Run>): Promise<[number, number]> {
  const results: [number[], number[]] = [[], []];
  for (let index = 0; index < times; index += 1) {
    results[0].push((await left()).ms);
    results[1].push((await right()).ms);
  }
  return [median(results[0]), median(results[1])];
}

/** An app without dependencies, so that pip and npm do not count. */
function plainApp(folder: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name: "plain", version: "1.0.0", type: "module", scripts: { start: "node server.js" } }),
  );
  writeFileSync(
    join(folder, "server.js"),
    'import { createServer } from "node:http";\ncreateServer((_, response) => response.end("ok")).listen(process.env.PORT);\n',
  );
}

async function startUp(): Promise<void> {
  const [version, floor] = await inPairs(
    15,
    () => run(process.execPath, [bin, "--version"]),
    () => run(process.execPath, ["-e", "0"]),
  );
  line("--version", version, floor, "node -e 0", "≤ 1.5 ×");
}

async function localStart(): Promise<void> {
  const homes = [0, 1, 2].map((index) => join(work, `start-${index}`));
  const first: number[] = [];
  const warm: number[] = [];
  for (const home of homes) {
    first.push((await cli(home, "local", "start")).ms);
    await cli(home, "local", "stop");
    warm.push((await cli(home, "local", "start")).ms);
    await cli(home, "local", "stop");
  }
  line("local start, first time", median(first), 0, "", "part of ≤ 4 s with PostgreSQL");
  line("local start, warm", median(warm), 0, "", "part of ≤ 2 s with PostgreSQL");
  const folder = join(work, "server-only");
  plainApp(folder);
  const made: number[] = [];
  for (const [index, home] of homes.entries()) {
    made.push((await cli(home, "server", "create", "--local", "--yes", folder)).ms);
    if (index < homes.length) await cli(home, "local", "stop");
  }
  line("local start + flexible server ready (server create)", median(made), 0, "", "≤ 4 s first time");
  const again: number[] = [];
  for (const home of homes) {
    again.push((await cli(home, "server", "create", "--local", "--yes", folder)).ms);
    await cli(home, "local", "stop");
  }
  line("local start + existing server ready", median(again), 0, "", "≤ 2 s warm");
}

async function noOpInit(): Promise<void> {
  const home = join(work, "noop");
  const folder = join(work, "noop-app");
  plainApp(folder);
  await cli(home, "up", "--local", "--yes", folder);
  const before = await journalLength(home);
  await cli(home, "init", "--local", "--yes", folder);
  const calls = (await journalLength(home)) - before;
  const [init, node] = await inPairs(
    7,
    () => cli(home, "init", "--local", "--yes", folder),
    () => run(process.execPath, ["-e", "0"]),
  );
  line(`init with nothing to do (${calls} HTTP calls with sign-in)`, init, node, "node -e 0", "≤ 12 calls");
  await control(home, "faults", { host: "azure", path: "*", action: { kind: "stall", ms: 50 } });
  const slow: number[] = [];
  for (let index = 0; index < 5; index += 1) slow.push((await cli(home, "init", "--local", "--yes", folder)).ms);
  line("the same with 50 ms added to each HTTP call", median(slow), 0, "", "≤ 1500 ms");
  await cli(home, "local", "stop");
}

async function longestPath(): Promise<void> {
  const scale = 0.02;
  const ratios: number[] = [];
  let shown: [number, number] = [0, 0];
  for (let index = 0; index < 3; index += 1) {
    const home = join(work, `paced-${index}`);
    const folder = join(work, `paced-app-${index}`);
    plainApp(folder);
    await cli(home, "local", "start", "--clock", `recorded:${scale}`);
    const { ms } = await cli(home, "up", "--local", "--yes", "--json", folder);
    const floor = longestOf(home, scale);
    ratios.push(ms / floor);
    shown = [ms, floor];
    await cli(home, "local", "stop");
  }
  line(`up on a recorded clock × ${scale} (median ratio ${median(ratios).toFixed(2)})`, shown[0], shown[1], "the longest path", "≤ 1.05 ×");
}

/** The operations' own durations along the needs: server, then the longest of its children, then connection and deployment. */
function longestOf(home: string, scale: number): number {
  interface Stored {
    readonly kind: string;
    readonly startTime: string;
    readonly endTime?: string;
  }
  const state = JSON.parse(readFileSync(join(home, "state.json"), "utf8")) as {
    operations: Record<string, Stored>;
    "web/deployments": Record<string, { receivedTime: string; endTime: string }>;
  };
  const { operations } = state;
  const took = (pattern: RegExp): number[] =>
    Object.values(operations)
      .filter(({ kind }) => pattern.test(kind))
      .map(({ startTime, endTime }) => Date.parse(endTime ?? startTime) - Date.parse(startTime));
  const most = (pattern: RegExp): number => Math.max(0, ...took(pattern));
  // Children of one server are written one at a time (Azure refuses two at once), so they add up.
  const children = [/postgres\/.*admin/i, /postgres\/.*database/i, /postgres\/.*firewall/i].reduce(
    (sum, pattern) => sum + most(pattern),
    0,
  );
  const [deployment] = Object.values(state["web/deployments"]);
  const built = deployment ? Date.parse(deployment.endTime) - Date.parse(deployment.receivedTime) : 0;
  // The start of the new container, after the build: recorded 210 s (local Azure's own figure for it).
  const deployed = built + 210_000 * scale;
  return most(/postgres\/server/i) + children + most(/servicelinker\/put/i) + deployed;
}

/** The same data folder and binaries twice: behind the gateway, and alone with its own TLS. Both clients speak TLS. */
async function gateway(): Promise<void> {
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

async function journalLength(home: string): Promise<number> {
  const { value: entries } = (await control(home, "journal")) as { value: { n: number; path: string }[] };
  return entries.filter(({ path }) => !path.startsWith("/_local")).length;
}

async function control(home: string, path: string, body?: object): Promise<unknown> {
  const { arm, caFile, controlKeyFile } = JSON.parse((await cli(home, "local", "status", "--json")).stdout) as Record<
    "arm" | "caFile" | "controlKeyFile",
    string
  >;
  return new Promise((done, fail) => {
    const headers = { authorization: `Bearer ${readFileSync(controlKeyFile, "utf8")}`, "content-type": "application/json" };
    const outgoing = request(
      `${arm}/_local/${path}`,
      { method: body ? "POST" : "GET", headers, ca: readFileSync(caFile), agent: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => done(text === "" ? undefined : JSON.parse(text)));
      },
    );
    outgoing.on("error", fail);
    outgoing.end(body ? JSON.stringify(body) : undefined);
  });
}

try {
  const all = { startUp, localStart, noOpInit, longestPath, gateway };
  const asked = process.argv.slice(2);
  for (const [name, measure] of Object.entries(all)) if (asked.length === 0 || asked.includes(name)) await measure();
} finally {
  rmSync(work, { recursive: true, force: true });
}
