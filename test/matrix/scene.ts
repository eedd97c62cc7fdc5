import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { build } from "esbuild";
import type { OnTraffic, TrafficPoint } from "../../src/emulator/http/traffic.ts";
import { ownStamp } from "../../src/emulator/process-stamp.ts";
import { startTestEmulator, type TestEmulator } from "../support/emulator.ts";

/** How a run of the command line ended. */
export interface Ended {
  /** `null` when it was killed. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

/** Local Azure in this process, the command line in another, and a way to step in at every point between the two. */
export interface Scene {
  readonly emulator: TestEmulator;
  readonly project: string;
  readonly group: string;
  run(...args: readonly string[]): Run;
  /** What happens at each point until the next call; by default nothing. */
  onPoint(react: OnTraffic | undefined): void;
  /** Forgets everything the project made: the next run starts from nothing. */
  clear(): Promise<void>;
  release(): Promise<void>;
}

const deadlineMs = 90_000;

/** A Node app without dependencies: nothing is downloaded for its build. */
const appFiles = {
  "package.json": JSON.stringify({ name: "shop", version: "1.0.0", scripts: { start: "node server.js" } }),
  "server.js": [
    'require("http").createServer((request, response) => {',
    '  const isKnown = request.url === "/healthz" || request.url === "/";',
    '  response.writeHead(isKnown ? 200 : 404).end("ok");',
    "}).listen(process.env.PORT);",
  ].join("\n"),
  "passwordless-pg.json": JSON.stringify({
    name: "shop",
    location: "eastus",
    resourceGroup: "rg-shop",
    server: { name: "shop-db-t3st" },
    database: "shop",
    apps: { api: { name: "shop-api-t3st", runtime: "node|22-lts", path: ".", startup: "node server.js", health: "/healthz" } },
  }),
};

/** Bundles the command line once and starts a local Azure for it. Give it back with `release`. */
export async function openScene(): Promise<Scene> {
  const root = mkdtempSync(join(tmpdir(), "ppg-matrix-"));
  chmodSync(root, 0o711);
  const main = await bundle(root);
  const project = join(root, "shop");
  mkdirSync(project);
  for (const [name, text] of Object.entries(appFiles)) writeFileSync(join(project, name), text);

  let react: OnTraffic | undefined;
  const homeFolder = join(root, "home");
  mkdirSync(homeFolder, { mode: 0o711 });
  const { emulator, release } = await startTestEmulator({ homeFolder, onTraffic: async (point) => react?.(point) });
  // What the daemon writes: the command line takes this process for it.
  writeFileSync(join(homeFolder, "run.json"), JSON.stringify({ ...ownStamp(), ...emulator.status }), { mode: 0o600 });

  const running = new Set<ChildProcess>();
  const group = `${emulator.subscription}/resourceGroups/rg-shop`;
  return {
    emulator,
    project,
    group,
    run: (...args) => {
      const startedAt = Date.now();
      const child = spawn(process.execPath, [main, ...args, "--local", "--yes", "--json", project], {
        cwd: root,
        env: { PATH: process.env.PATH ?? "", HOME: root, PASSWORDLESS_PG_HOME: homeFolder },
        stdio: ["ignore", "pipe", "pipe"],
      });
      running.add(child);
      return { child, ended: endOf(child, startedAt).finally(() => running.delete(child)) };
    },
    onPoint: (next) => {
      react = next;
    },
    clear: async () => {
      react = undefined;
      emulator.faults.clear();
      await emulator.arm("DELETE", `${group}?api-version=2021-04-01`);
      await emulator.until(`${group}?api-version=2021-04-01`, ({ status }) => status === 404, 60_000);
    },
    release: async () => {
      react = undefined;
      for (const child of running) child.kill("SIGKILL");
      await release();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

async function bundle(root: string): Promise<string> {
  const packageRoot = resolve(import.meta.dirname, "../..");
  await build({
    entryPoints: [join(packageRoot, "src/cli/main.ts")],
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    outdir: join(root, "dist"),
    logLevel: "warning",
    banner: { js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);" },
  });
  writeFileSync(join(root, "package.json"), '{"type":"module"}');
  const main = join(root, "main.js");
  writeFileSync(main, 'import { main } from "./dist/main.js";\nprocess.exitCode = await main(process.argv);\n');
  return main;
}

function endOf(child: ChildProcess, startedAt: number): Promise<Ended> {
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const alarm = setTimeout(() => {
    stderr += `\n[the test killed it after ${deadlineMs} ms]`;
    child.kill("SIGKILL");
  }, deadlineMs);
  return new Promise((done) => {
    child.once("close", (code) => {
      clearTimeout(alarm);
      done({ code, stdout, stderr, ms: Date.now() - startedAt });
    });
  });
}

/** Is it a call of the command line? The emulator's own hosts for apps, and the test's own ARM calls between runs, are not. */
export function isOfClient({ host }: TrafficPoint): boolean {
  return host === "azure" || host.startsWith("scm:") || host.startsWith("postgres:");
}

/** `PUT …/flexibleServers/shop-db` on one line, with what differs from run to run taken out. */
export function nameOf({ host, method, path }: Pick<TrafficPoint, "host" | "method" | "path">): string {
  const short = path
    .replace(/^\/subscriptions\/[^/]+/i, "")
    .replace(/\/(operations|operationStatuses|operationResults|azureAsyncOperation\w*)\/[^/]+/gi, "/$1/{id}")
    .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b/g, "{id}")
    .replace(/\b[0-9a-f]{32,}\b/g, "{id}");
  return `${host} ${method} ${short}`;
}
