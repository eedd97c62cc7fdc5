import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PATIENCE_MS } from "../support/patience.ts";
import { freePort } from "./postgres-with-tokens.ts";

const ROOT = join(import.meta.dirname, "../..");
const CACHE = join(ROOT, "node_modules/.cache/templates");

export type TemplateName = "fastapi" | "express";

/** A template that runs as its README says, on a port of its own. */
export interface RunningTemplate {
  readonly url: string;
  output(): string;
  /** Ends it with SIGTERM and waits; answers what it printed. */
  stop(): Promise<{ readonly output: string }>;
}

export async function runTemplate(name: TemplateName, settings: Record<string, string>): Promise<RunningTemplate> {
  const dependencies = installDependencies(name);
  const folder = mkdtempSync(join(tmpdir(), `template-${name}-`));
  cpSync(join(ROOT, "templates", name), folder, { recursive: true });
  const port = String(await freePort());
  const [command, args] =
    name === "express"
      ? [process.execPath, ["server.js"]]
      : [join(dependencies, "bin/python"), ["-m", "uvicorn", "main:app", "--host", "127.0.0.1", "--port", port]];
  if (name === "express") symlinkSync(join(dependencies, "node_modules"), join(folder, "node_modules"));
  const env = { PATH: process.env.PATH ?? "", HOME: folder, PORT: port, PYTHONDONTWRITEBYTECODE: "1", ...settings };
  const child = spawn(command, args, { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const exited = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const url = `http://localhost:${port}`;
  await answers(
    `${url}/healthz`,
    () => child.exitCode !== null,
    () => output,
  );
  return {
    url,
    output: () => output,
    stop: async () => {
      child.kill("SIGTERM");
      await exited;
      rmSync(folder, { recursive: true, force: true });
      return { output };
    },
  };
}

async function answers(url: string, isDead: () => boolean, output: () => string): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; ; ) {
    if (await fetch(url).catch(() => undefined)) return;
    if (isDead() || Date.now() > deadline) throw new Error(`the template does not answer: ${output()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Installs once per content of the file that names the dependencies; answers the folder. */
function installDependencies(name: TemplateName): string {
  const file = name === "fastapi" ? "requirements.txt" : "package-lock.json";
  const source = join(ROOT, "templates", name);
  const hash = createHash("sha256")
    .update(readFileSync(join(source, file)))
    .digest("hex")
    .slice(0, 16);
  const folder = join(CACHE, `${name}-${hash}`);
  const done = join(folder, "complete");
  if (existsSync(done)) return folder;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  if (name === "fastapi") {
    execFileSync("python3", ["-m", "venv", folder], { stdio: "ignore" });
    execFileSync(join(folder, "bin/python"), ["-m", "pip", "install", "-q", "-r", join(source, file)], { stdio: "pipe" });
  } else {
    for (const one of ["package.json", "package-lock.json"]) cpSync(join(source, one), join(folder, one));
    execFileSync("npm", ["ci", "--silent", "--no-audit", "--no-fund"], { cwd: folder, stdio: "pipe" });
  }
  mkdirSync(`${done}.new`);
  renameSync(`${done}.new`, done);
  return folder;
}
