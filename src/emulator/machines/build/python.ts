import { existsSync } from "node:fs";
import { readdir, readFile, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { findPython, type Interpreter } from "../runtime.ts";
import { BuildFailure, type BuildRequest } from "./request.ts";
import { makeShared, sharedFolder } from "./shared-environment.ts";
import { runTool } from "./tool.ts";

const PYTHON_FILES = ["requirements.txt", "pyproject.toml", "setup.py", "uv.lock", "runtime.txt"];

export async function looksLikePython(folder: string): Promise<boolean> {
  const names = await readdir(folder, { recursive: true });
  return names.some((name) => PYTHON_FILES.includes(name) || name.endsWith(".py"));
}

/** Answers whether anything was installed: only then the caches have grown. */
export async function buildPython(request: BuildRequest): Promise<boolean> {
  const { folder, say, runtime } = request;
  const python = await findPython(runtime.version);
  if (!python) throw new BuildFailure(`Python ${runtime.version} is not on this machine, nor another one from 3.10 on.`);
  say(`  python: ${python.version}`);
  if (!python.isExact) say(`Python ${runtime.version} is not on this machine: ${python.version} stands for it.`, 1);
  const requirements = await readFile(join(folder, "requirements.txt"), "utf8").catch(() => undefined);
  const args = await pipArguments(folder, requirements);
  if (!args) say("Could not find requirements.txt, pyproject.toml, or setup.py; Not installing dependencies...", 1);
  const own = join(folder, "antenv");
  await rm(own, { recursive: true, force: true }); // a packed one would not fit this machine
  if (args && (requirements === undefined || !isSelfContained(requirements))) {
    await makeVirtualEnvironment(request, python, own, args);
    return true;
  }
  const shared = sharedFolder(request, "venv", [python.path, python.version], requirements ?? "");
  const isNew = await makeShared(shared, request, () => makeVirtualEnvironment(request, python, shared, args));
  await symlink(shared, own);
  return isNew;
}

async function pipArguments(folder: string, requirements: string | undefined): Promise<readonly string[] | undefined> {
  if (requirements !== undefined) return ["--prefer-binary", "-r", "requirements.txt"];
  const isProject = existsSync(join(folder, "pyproject.toml")) || existsSync(join(folder, "setup.py"));
  return isProject ? ["--prefer-binary", "."] : undefined;
}

/** Do the requirements depend on nothing but their own text? Then a finished environment may serve again. */
function isSelfContained(requirements: string): boolean {
  return requirements
    .split("\n")
    .map((line) => line.trim())
    .every((line) => !/^(-r|-c|-e|--requirement|--constraint|--editable)\b|^\.{0,2}\/|^\.$|@\s*file:|^file:|git\+/.test(line));
}

async function makeVirtualEnvironment(
  request: BuildRequest,
  python: Interpreter,
  target: string,
  pipArgs: readonly string[] | undefined,
): Promise<void> {
  request.say(`Python Virtual Environment: antenv`);
  request.say("Creating virtual environment...");
  // Azure's antenv holds pip; here the interpreter's own pip installs into it when it can, which saves some seconds.
  const hasPip = await canInstallElsewhere(python);
  await runTool(request, python.path, ["-m", "venv", ...(hasPip ? ["--without-pip"] : []), target]);
  request.say("Activating virtual environment...");
  if (!pipArgs) return;
  request.say("Running pip install...");
  const into = join(target, "bin", "python");
  const pip = hasPip ? ["-m", "pip", "--python", into] : ["-m", "pip"];
  const options = ["--cache-dir", join(request.cacheFolder, "pip"), "--disable-pip-version-check", "--no-compile"];
  await runTool(request, hasPip ? python.path : into, [...pip, "install", ...options, ...pipArgs]);
}

/** `pip --python` came with 22.3. */
async function canInstallElsewhere(python: Interpreter): Promise<boolean> {
  const { stdout } = await execa(python.path, ["-m", "pip", "--version"], { reject: false });
  const [, major = 0, minor = 0] = (/^pip (\d+)\.(\d+)/.exec(stdout ?? "") ?? []).map(Number);
  return major > 22 || (major === 22 && minor >= 3);
}
