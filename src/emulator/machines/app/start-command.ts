import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { RuntimeRequest } from "./runtime.ts";

/** What Oryx's `create-script` decides for an app folder. */
export type StartDecision =
  | { readonly kind: "command"; readonly command: string; readonly reason: string }
  /** Azure's placeholder page, answered with 200. */
  | { readonly kind: "default-site"; readonly reason: string };

/**
 * Chooses how an app is started, with Azure's traps: FastAPI in `main.py` on Python 3.12 without a start-up command serves the
 * placeholder page, in `app.py` it goes to gunicorn as WSGI (microsoft/Oryx: src/startupscriptgenerator; azure/kudu.md 5.2 and 5.3).
 *
 * @param appCommandLine site config "startup command": shell text, or the name of a file in the app
 */
export async function chooseStart(folder: string, runtime: RuntimeRequest, appCommandLine: string): Promise<StartDecision> {
  const own = appCommandLine.trim();
  if (own !== "") return { kind: "command", command: await ownCommand(folder, own), reason: `Site's appCommandLine: ${own}` };
  if (runtime.stack === "python") return choosePython(folder, runtime.version);
  if (runtime.stack === "node") return chooseNode(folder);
  return { kind: "default-site", reason: `Local Azure runs Python and Node only; no way to start ${runtime.version || "this stack"}.` };
}

async function ownCommand(folder: string, text: string): Promise<string> {
  if (/[\s;|&]/.test(text) || !(await isFile(join(folder, text)))) return text;
  return text.endsWith(".txt") ? (await readFile(join(folder, text), "utf8")).trim() : `sh ./${text}`;
}

const FLASK_FILES = ["application", "app", "run", "index", "server", "wsgi"];
const FASTAPI_FILES = ["main", "app", "application", "server", "asgi", "api", "index", "run"];

async function choosePython(folder: string, version: string): Promise<StartDecision> {
  const wsgi = await djangoModule(folder);
  if (wsgi) return { kind: "command", command: `gunicorn ${wsgi}`, reason: `Found Django app ${wsgi}` };
  if (Number(version.split(".")[1] ?? 0) >= 14) {
    for (const name of FASTAPI_FILES) {
      const text = await readFile(join(folder, `${name}.py`), "utf8").catch(() => "");
      if (!/^\s*(?:from|import)\s+fastapi\b/m.test(text)) continue;
      return {
        kind: "command",
        command: `gunicorn -k uvicorn_worker.UvicornWorker ${name}:app`,
        reason: `Found FastAPI app in ${name}.py`,
      };
    }
  }
  for (const name of FLASK_FILES) {
    if (!(await isFile(join(folder, `${name}.py`)))) continue;
    return { kind: "command", command: `gunicorn ${name}:app`, reason: `Detected an app based on Flask: ${name}.py` };
  }
  return { kind: "default-site", reason: "No framework detected; using default app from /opt/defaultsite" };
}

async function djangoModule(folder: string): Promise<string | undefined> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries
    .filter((entry) => entry.isDirectory() && entry.name !== "antenv")
    .sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (await isFile(join(folder, entry.name, "wsgi.py"))) return `${entry.name}.wsgi`;
  }
  return undefined;
}

async function chooseNode(folder: string): Promise<StartDecision> {
  const manifest = await readManifest(folder);
  if (manifest?.scripts?.start) return { kind: "command", command: "npm start", reason: "Found scripts.start in package.json" };
  if (manifest?.main)
    return { kind: "command", command: `node ${quote(manifest.main)}`, reason: `Found main in package.json: ${manifest.main}` };
  for (const name of ["bin/www", "server.js", "app.js", "index.js", "hostingstart.js"]) {
    if (await isFile(join(folder, name))) return { kind: "command", command: `node ${name}`, reason: `Found ${name}` };
  }
  return { kind: "default-site", reason: "No start script or entry file found; using the default static site" };
}

/** The members of package.json that build and start look at. */
export interface NodeManifest {
  readonly main?: string;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly workspaces?: unknown;
}

/** `undefined` when there is no package.json or it is no JSON. */
export async function readManifest(folder: string): Promise<NodeManifest | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as NodeManifest;
  } catch {
    return undefined;
  }
}

/**
 * Moves a start command from Azure's container to this machine: every address becomes 127.0.0.1, and the platform's
 * well-known port (8000 Python, 8080 Node) becomes the instance's own.
 */
export function onLoopback(command: string, runtime: RuntimeRequest): string {
  const port = runtime.stack === "node" ? "8080" : "8000";
  return command
    .replace(/(?<![\d.])0\.0\.0\.0(?![\d.])/g, "127.0.0.1")
    .replace(/\[::\]/g, "127.0.0.1")
    .replace(/(--host(?:=|\s+)["']?)::(?=["'\s]|$)/g, "$1127.0.0.1")
    .replace(/((?:--bind|-b)(?:=|\s+)["']?):(?=\$?\w)/g, "$1127.0.0.1:")
    .replace(new RegExp(`((?:127\\.0\\.0\\.1|localhost):|(?:--port|-p)(?:=|\\s+)["']?)${port}(?!\\d)`, "g"), "$1$PORT");
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isFile(),
    () => false,
  );
}
