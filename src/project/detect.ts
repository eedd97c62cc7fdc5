import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { DetectedApp } from "./site-setup.ts";

/**
 * Looks at an app's folder. Python when there is a requirements.txt, pyproject.toml or any of the usual entry files; Node when there is a package.json.
 * A FastAPI app gets an explicit start command: on Python below 3.14 App Service starts none by itself and serves its placeholder page with 200.
 */
export async function detectApp(folder: string): Promise<DetectedApp> {
  const read = (name: string): Promise<string | undefined> => readFile(join(folder, name), "utf8").catch(() => undefined);
  const [requirements, pyproject, manifest] = await Promise.all([read("requirements.txt"), read("pyproject.toml"), read("package.json")]);
  const entries = await Promise.all(
    ["main", "app", "server", "application", "api"].map(async (name) => ({ name, text: await read(`${name}.py`) })),
  );
  const isPython =
    requirements !== undefined || pyproject !== undefined || (manifest === undefined && entries.some(({ text }) => text !== undefined));
  if (isPython) {
    const found = entries.map(({ name, text }) => ({ name, text, variable: fastApiVariable(text) })).find(({ variable }) => variable);
    return {
      runtime: "python|3.12",
      ...(found ? { startup: `python -m uvicorn ${found.name}:${found.variable} --host 0.0.0.0 --port $PORT` } : {}),
      ...(found?.text?.includes('"/healthz"') ? { health: "/healthz" } : {}),
    };
  }
  if (manifest === undefined) return {};
  const sources = await Promise.all(["server.js", "app.js", "index.js", "main.js", "src/server.js", "src/index.js"].map(read));
  return { runtime: "node|22-lts", ...(sources.some((text) => text?.includes('"/healthz"')) ? { health: "/healthz" } : {}) };
}

function fastApiVariable(text: string | undefined): string | undefined {
  return /^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)?FastAPI\(/m.exec(text ?? "")?.[1];
}
