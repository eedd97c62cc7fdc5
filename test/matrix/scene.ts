import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, chmodSync, constants, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { build } from "esbuild";
import type { OnTraffic, TrafficPoint } from "../../src/emulator/http/traffic.ts";
import { ownStamp } from "../../src/emulator/process-stamp.ts";
import { startTestEmulator, type TestEmulator } from "../support/emulator.ts";
import { PATIENCE_MS } from "../support/patience.ts";

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
  /** Folder of the project. */
  readonly project: string;
  /** Resource ID of the project's group, as it stands in a URL. */
  readonly group: string;
  readonly names: Names;
  /** With `--json`. */
  run(...args: readonly string[]): Run;
  /** As a person runs it. */
  runInWords(...args: readonly string[]): Run;
  /** As `run`, on a machine of its own: it sees neither the lock nor the notes of the others. */
  runElsewhere(...args: readonly string[]): Run;
  /** What happens at each point until the next call; by default nothing. */
  onPoint(react: OnTraffic | undefined): void;
  /** Forgets everything the project made: the next run starts from nothing. */
  clear(): Promise<void>;
  release(): Promise<void>;
}

/** What the project file calls things. */
interface Names {
  readonly resourceGroup: string;
  readonly server: string;
  readonly database: string;
  /** Web apps, each the name of its role too. */
  readonly sites: readonly string[];
}

const deadlineMs = PATIENCE_MS;

const app = { runtime: "node|22-lts", path: ".", startup: "node server.js", health: "/healthz" };

/** The projects that the matrices run, by what is special in them. */
const projectFiles = {
  /** All of Azure is let in, and local Azure counts the loopback addresses to it. */
  plain: {
    name: "shop",
    location: "eastus",
    resourceGroup: "rg-shop",
    server: { name: "shop-db-t3st" },
    database: "shop",
    apps: { api: { ...app, name: "shop-api-t3st" } },
  },
  /** Names as odd as Azure takes them: key words, capitals, 60 and 63 bytes, letters beyond ASCII; three apps at three levels; and as below an opening is needed. */
  hostile: {
    name: "x-1",
    location: "East US",
    resourceGroup: "Größe_(τ).-select",
    server: { name: `0${"-db-".repeat(15)}-9` },
    database: `_Order-By---${"aB-".repeat(17)}`,
    apps: {
      "own-1": { ...app, name: "Select", access: "owner", settings: { MOTTO: 'it\'s a "quoted" \\ $PORT `x` %2e ünïcode 🐘' } },
      write: { ...app, name: `9-${"Ab-".repeat(19)}z`, access: "write", settings: { EMPTY: "", "DOTTED.NAME": "a;b,c=d\n" } },
      read: { ...app, name: "User--Table", access: "read" },
    },
  },
} as const;

/** `opening`: the plain project, and a firewall that does not count the caller as inside Azure, so that every run needs an opening. */
export type SceneKind = keyof typeof projectFiles | "opening";

/** A Node app without dependencies: nothing is downloaded for its build. */
const appFiles = {
  "package.json": JSON.stringify({ name: "shop", version: "1.0.0", scripts: { start: "node server.js" } }),
  "server.js": [
    'require("http").createServer((request, response) => {',
    '  const isKnown = request.url === "/healthz" || request.url === "/";',
    '  response.writeHead(isKnown ? 200 : 404).end("ok");',
    "}).listen(process.env.PORT);",
  ].join("\n"),
};

/** `PPG_MATRIX_SCENES`: how many scenes work side by side. Most of a run is waiting, so more than there are cores. */
export async function openScenes(kind: SceneKind = "plain", count = Number(process.env.PPG_MATRIX_SCENES ?? 5)): Promise<Scene[]> {
  const opened = await Promise.allSettled(Array.from({ length: count }, () => openScene(kind)));
  const scenes = opened.flatMap((scene) => (scene.status === "fulfilled" ? [scene.value] : []));
  const failed = opened.find((scene) => scene.status === "rejected");
  if (!failed) return scenes;
  await Promise.all(scenes.map((scene) => scene.release()));
  throw failed.reason;
}

/** Bundles the command line and starts a local Azure for it. Give it back with `release`. */
export async function openScene(kind: SceneKind = "plain"): Promise<Scene> {
  const root = mkdtempSync(join(scratchFolder(), "ppg-matrix-"));
  chmodSync(root, 0o711);
  const main = await bundle(root);
  const project = join(root, "shop");
  mkdirSync(project);
  const file = projectFiles[kind === "opening" ? "plain" : kind];
  const isCallerOutside = kind === "opening" || kind === "hostile";
  const files = { ...appFiles, "passwordless-pg.json": JSON.stringify(file) };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(project, name), text);

  let react: OnTraffic | undefined;
  const homeFolder = join(root, "home");
  mkdirSync(homeFolder, { mode: 0o711 });
  const { emulator, release } = await startTestEmulator({ homeFolder, isCallerOutside, onTraffic: async (point) => react?.(point) });
  // What the daemon writes: the command line takes this process for it.
  writeFileSync(join(homeFolder, "run.json"), JSON.stringify({ ...ownStamp(), ...emulator.status }), { mode: 0o600 });

  const running = new Set<ChildProcess>();
  const launch = (args: readonly string[], environment: Readonly<Record<string, string>> = {}): Run => {
    const startedAt = Date.now();
    const child = spawn(process.execPath, [main, ...args, "--local", "--yes", project], {
      cwd: root,
      env: { PATH: process.env.PATH ?? "", HOME: root, PASSWORDLESS_PG_HOME: homeFolder, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(child);
    return { child, ended: endOf(child, startedAt).finally(() => running.delete(child)) };
  };
  const start = (...args: readonly string[]): Run => launch(args);
  const group = `${emulator.subscription}/resourceGroups/${encodeURIComponent(file.resourceGroup)}`;
  const groupUrl = `${group}?api-version=2021-04-01`;
  return {
    emulator,
    project,
    group,
    names: {
      resourceGroup: file.resourceGroup,
      server: file.server.name,
      database: file.database,
      sites: Object.values(file.apps).map(({ name }) => name),
    },
    run: (...args) => start(...args, "--json"),
    runInWords: start,
    runElsewhere: (...args) => launch([...args, "--json"], otherMachine(root)),
    onPoint: (next) => {
      react = next;
    },
    clear: async () => {
      react = undefined;
      emulator.faults.clear();
      const { status, headers } = await emulator.arm("DELETE", groupUrl);
      // Polled, it ends as soon as its work is done; unpolled, after a second.
      const operation = headers.get("location");
      if (status === 202 && operation) await emulator.until(operation, (answer) => answer.status !== 202);
      await emulator.until(groupUrl, (answer) => answer.status === 404);
    },
    release: async () => {
      react = undefined;
      for (const child of running) child.kill("SIGKILL");
      await release();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

let machines = 0;

/** Lock and notes are in the temporary folder. */
function otherMachine(root: string): Record<string, string> {
  machines += 1;
  const temporary = join(root, `tmp-${machines}`);
  mkdirSync(temporary, { mode: 0o700 });
  return { TMPDIR: temporary };
}

/** In memory where there is room: databases are made and removed hundreds of times, and no disk needs to know. */
function scratchFolder(): string {
  try {
    const { bavail, bsize } = statfsSync("/dev/shm");
    accessSync("/dev/shm", constants.W_OK);
    return bavail * bsize > 4 * 2 ** 30 ? "/dev/shm" : tmpdir();
  } catch {
    return tmpdir(); // not Linux
  }
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

/** Is it a call of the command line? All are, but those of apps to their identity endpoint. The probes of apps do not come to their address. */
export function isOfClient({ host }: TrafficPoint): boolean {
  return host === "azure" || /^(scm|site|postgres):/.test(host);
}

/** `PUT …/flexibleServers/shop-db` on one line, with what differs from run to run taken out. */
export function nameOf({ host, method, path }: Pick<TrafficPoint, "host" | "method" | "path">): string {
  const short = path
    .replace(/^\/subscriptions\/[^/]+/i, "")
    .replace(/\/(operations|operationStatuses|operationResults|azureAsyncOperation\w*)\/[^/]+/gi, "/$1/{id}")
    .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b/g, "{id}")
    .replace(/\b[0-9a-f]{32,}\b/g, "{id}")
    .replace(/(firewallRules\/passwordless-pg-)[^/]+/i, "$1{id}");
  return `${host} ${method} ${short}`;
}
