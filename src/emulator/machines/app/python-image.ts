import { existsSync, realpathSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { findPython } from "../runtime.ts";
import { type Detection, isFile, webAppImage } from "./web-app-image.ts";

/**
 * App Service's Python image, with Azure's traps: FastAPI in `main.py` on Python 3.12 without a start-up command serves the
 * placeholder page, in `app.py` it goes to gunicorn as WSGI (microsoft/Oryx: src/startupscriptgenerator; azure/kudu.md 5.2 and 5.3).
 */
export const pythonImage = webAppImage({
  name: "python",
  port: 8000,
  interpreter: findPython,
  withoutInterpreter: "echo 'No Python 3.10 or later on this machine' >&2; exit 127",
  detect,
  programs: ({ path }) => ({ python: path, python3: path }),
  environment: ({ appFolder }, port) => {
    const antenv = join(appFolder, "antenv");
    const gunicorn = `--timeout 600 --access-logfile '-' --error-logfile '-' --bind=127.0.0.1:${port} --chdir=${appFolder}`;
    return {
      variables: { GUNICORN_CMD_ARGS: gunicorn },
      ...(existsSync(antenv) ? { virtualEnvironment: realpathSync(antenv) } : {}),
    };
  },
});

const FLASK_FILES = ["application", "app", "run", "index", "server", "wsgi"];
const FASTAPI_FILES = ["main", "app", "application", "server", "asgi", "api", "index", "run"];

async function detect(folder: string, version: string): Promise<Detection> {
  const wsgi = await djangoModule(folder);
  if (wsgi) return { command: `gunicorn ${wsgi}`, reason: `Found Django app ${wsgi}` };
  if (Number(version.split(".")[1] ?? 0) >= 14) {
    for (const name of FASTAPI_FILES) {
      const text = await readFile(join(folder, `${name}.py`), "utf8").catch(() => "");
      if (!/^\s*(?:from|import)\s+fastapi\b/m.test(text)) continue;
      return { command: `gunicorn -k uvicorn_worker.UvicornWorker ${name}:app`, reason: `Found FastAPI app in ${name}.py` };
    }
  }
  for (const name of FLASK_FILES) {
    if (!(await isFile(join(folder, `${name}.py`)))) continue;
    return { command: `gunicorn ${name}:app`, reason: `Detected an app based on Flask: ${name}.py` };
  }
  return { reason: "No framework detected; using default app from /opt/defaultsite" };
}

async function djangoModule(folder: string): Promise<string | undefined> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const names = entries.flatMap((entry) => (entry.isDirectory() && entry.name !== "antenv" ? [entry.name] : [])).sort();
  for (const name of names) if (await isFile(join(folder, name, "wsgi.py"))) return `${name}.wsgi`;
  return undefined;
}
