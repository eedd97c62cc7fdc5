import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { arch, platform } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import type { Store } from "../../store.ts";
import { type NodeManifest, readManifest } from "../node-manifest.ts";
import { rememberGroup, signalGroup } from "../process.ts";
import { findPython, type Interpreter, ownNode, type RuntimeRequest } from "../runtime.ts";
import { CACHE_MARK, markUsed, trimCaches } from "./cache.ts";
import type { LogType } from "./log.ts";

/** The build said no: the app's fault. `message` is the line that tells why. */
export class BuildFailure extends Error {}

export interface BuildRequest {
  /** Resource ID of the site: its tools are swept after a `kill -9` of local Azure. */
  readonly owner: string;
  readonly store: Store;
  /** The unpacked package, which becomes the app's folder. */
  readonly folder: string;
  readonly runtime: RuntimeRequest;
  /** As in Azure, the build sees the app settings. */
  readonly appSettings: Readonly<Record<string, string>>;
  /** Package caches and finished environments; nothing is written outside of it and `folder`. */
  readonly cacheFolder: string;
  /** The sites, whose releases link to finished environments. */
  readonly sitesFolder: string;
  readonly signal: AbortSignal;
  /** One line of `Running oryx build...`. */
  say(line: string, type?: LogType): void;
}

/** Is a build wanted? By the app setting, or by `[config]` in a root file `.deployment` (azure/kudu.md 5.1). */
export async function isBuildWanted(folder: string, appSettings: Readonly<Record<string, string>>): Promise<boolean> {
  const isOn = (value: string | undefined): boolean => value?.trim().toLowerCase() === "true" || value?.trim() === "1";
  const setting = Object.entries(appSettings).find(([name]) => name.toUpperCase() === "SCM_DO_BUILD_DURING_DEPLOYMENT");
  if (setting) return isOn(setting[1]);
  const file = await readFile(join(folder, ".deployment"), "utf8").catch(() => "");
  return isOn(/^\s*SCM_DO_BUILD_DURING_DEPLOYMENT\s*=\s*(.+)$/im.exec(file)?.[1]);
}

/** Builds in place as Oryx does for Python and Node. Throws `BuildFailure`; rejects with the signal's reason when aborted. */
export async function buildApp(request: BuildRequest): Promise<void> {
  const begun = Date.now();
  const { say, runtime } = request;
  say("Operation performed by Microsoft Oryx, https://github.com/Microsoft/Oryx (played by local Azure)");
  say("Detecting platforms...");
  const isPython = runtime.stack === "python" && (await looksLikePython(request.folder));
  const isNode = existsSync(join(request.folder, "package.json"));
  if (!isPython && !isNode) {
    say("Error: Could not detect any platform in the source directory.", 2);
    throw new BuildFailure("Couldn't detect a version for the platform in the repo: no requirements.txt, *.py or package.json.");
  }
  say("Detected following platforms:");
  building += 1;
  try {
    const hasInstalled = await (isPython ? buildPython(request) : buildNode(request));
    if (hasInstalled) await trimCaches(request.cacheFolder, request.sitesFolder, { mayDropPackages: building === 1 });
  } finally {
    building -= 1;
  }
  say(`Done in ${Math.round((Date.now() - begun) / 1000)} sec(s).`);
}

/** A package cache must not go while another build's tools work in it. */
let building = 0;

const PYTHON_FILES = ["requirements.txt", "pyproject.toml", "setup.py", "uv.lock", "runtime.txt"];

async function looksLikePython(folder: string): Promise<boolean> {
  const names = await readdir(folder, { recursive: true });
  return names.some((name) => PYTHON_FILES.includes(name) || name.endsWith(".py"));
}

/** Answers whether anything was installed: only then the caches have grown. */
async function buildPython(request: BuildRequest): Promise<boolean> {
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
  const key = createHash("sha256")
    .update([python.path, python.version, platform(), arch(), requirements ?? ""].join("\n"))
    .digest("hex");
  const shared = join(request.cacheFolder, "venv", key.slice(0, 32));
  const isNew = await once(shared, request, () => makeVirtualEnvironment(request, python, shared, args));
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
  await run(request, python.path, ["-m", "venv", ...(hasPip ? ["--without-pip"] : []), target]);
  request.say("Activating virtual environment...");
  if (!pipArgs) return;
  request.say("Running pip install...");
  const into = join(target, "bin", "python");
  const pip = hasPip ? ["-m", "pip", "--python", into] : ["-m", "pip"];
  const options = ["--cache-dir", join(request.cacheFolder, "pip"), "--disable-pip-version-check", "--no-compile"];
  await run(request, hasPip ? python.path : into, [...pip, "install", ...options, ...pipArgs]);
}

/** `pip --python` came with 22.3. */
async function canInstallElsewhere(python: Interpreter): Promise<boolean> {
  const { stdout } = await execa(python.path, ["-m", "pip", "--version"], { reject: false });
  const [, major = 0, minor = 0] = (/^pip (\d+)\.(\d+)/.exec(stdout ?? "") ?? []).map(Number);
  return major > 22 || (major === 22 && minor >= 3);
}

async function buildNode(request: BuildRequest): Promise<boolean> {
  const { folder, say } = request;
  const manifest = await readManifest(folder);
  if (!manifest) throw new BuildFailure("package.json is not valid JSON.");
  const node = ownNode(request.runtime.version);
  say(`  nodejs: ${node.version}`);
  if (!node.isExact) say(`Node ${request.runtime.version} is played by the Node of local Azure, ${node.version}.`, 1);
  const lock = await readFile(join(folder, "package-lock.json"), "utf8").catch(() => undefined);
  const needsInstall =
    Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }).length > 0 || manifest.workspaces !== undefined;
  const install = [lock === undefined ? "install" : "ci", "--no-audit", "--no-fund", "--cache", join(request.cacheFolder, "npm")];
  await rm(join(folder, "node_modules"), { recursive: true, force: true });
  let isNew = needsInstall;
  if (!needsInstall) say("package.json asks for no dependencies.");
  else if (isPlain(manifest, lock)) isNew = await linkSharedModules(request, node, manifest, lock, install);
  else await npm(request, install);
  for (const script of ["build", "build:azure"]) {
    if (manifest.scripts?.[script]) await npm(request, ["run", script]);
  }
  return isNew;
}

const LIFECYCLE = ["preinstall", "install", "postinstall", "prepare", "build", "build:azure"];

/** Would an install somewhere else give the same `node_modules`, and does no script write into them? */
function isPlain(manifest: NodeManifest, lock: string | undefined): boolean {
  const versions = Object.values({ ...manifest.dependencies, ...manifest.devDependencies });
  return (
    manifest.workspaces === undefined &&
    !LIFECYCLE.some((script) => manifest.scripts?.[script] !== undefined) &&
    !versions.some((version) => /^(file:|link:|\.|\/)/.test(version)) &&
    !lock?.includes('"file:')
  );
}

async function linkSharedModules(
  request: BuildRequest,
  node: Interpreter,
  manifest: NodeManifest,
  lock: string | undefined,
  install: readonly string[],
): Promise<boolean> {
  const key = createHash("sha256")
    .update([node.version, platform(), arch(), JSON.stringify(manifest), lock ?? ""].join("\n"))
    .digest("hex");
  const shared = join(request.cacheFolder, "node", key.slice(0, 32));
  const isNew = await once(shared, request, async () => {
    await mkdir(shared, { recursive: true });
    await writeFile(join(shared, "package.json"), JSON.stringify(manifest));
    if (lock !== undefined) await writeFile(join(shared, "package-lock.json"), lock);
    await npm({ ...request, folder: shared }, install);
  });
  await symlink(join(shared, "node_modules"), join(request.folder, "node_modules"));
  return isNew;
}

function npm(request: BuildRequest, args: readonly string[]): Promise<void> {
  request.say(`Running 'npm ${args.filter((arg) => !arg.startsWith("/")).join(" ")}'...`);
  return run(request, "npm", args);
}

const making = new Map<string, Promise<void>>();

/** Makes a cached folder once, and answers whether it did; a folder without its mark is what a killed build left, and is made anew. */
async function once(folder: string, request: BuildRequest, make: () => Promise<void>): Promise<boolean> {
  const other = making.get(folder);
  if (other) await other.catch(() => {});
  if (existsSync(join(folder, CACHE_MARK))) {
    await markUsed(folder);
    request.say("The same dependencies were installed before: using them again (local Azure's cache).");
    return false;
  }
  const work = (async () => {
    await rm(folder, { recursive: true, force: true });
    await mkdir(join(folder, ".."), { recursive: true });
    try {
      await make();
      await writeFile(join(folder, CACHE_MARK), "");
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  })().finally(() => making.delete(folder));
  making.set(folder, work);
  await work;
  return true;
}

/** Runs a tool with its output as log lines. The tool keeps this machine's own settings (proxies, registries). */
async function run(request: BuildRequest, command: string, args: readonly string[]): Promise<void> {
  const child = execa(command, args, {
    cwd: request.folder,
    env: toolSettings(request.appSettings),
    all: true,
    buffer: false,
    reject: false,
    stdin: "ignore",
    detached: true, // a group of its own, so that no grandchild outlives it
  });
  const forget = child.pid === undefined ? () => {} : rememberGroup(child.pid, request.owner, request.store);
  const end = (): void => {
    if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL");
  };
  if (request.signal.aborted) end();
  request.signal.addEventListener("abort", end);
  let lastError = "";
  for await (const line of child.iterable({ from: "all" })) {
    if (line.trim() === "") continue;
    const isError = /^(error\b|npm (err!|error)\b)/i.test(line.trim());
    if (isError && (lastError === "" || /no matching distribution|could not find/i.test(line))) lastError = line.trim();
    request.say(line, isError ? 2 : 0);
  }
  const result = await child;
  request.signal.removeEventListener("abort", end);
  forget();
  request.signal.throwIfAborted();
  if (!result.failed) return;
  const why = lastError || result.originalMessage || `exit code ${result.exitCode}`;
  request.say(`${command.split("/").at(-1)} failed with exit code ${result.exitCode ?? "none"}`, 2);
  throw new BuildFailure(why);
}

/** The app's settings without those that would lead the tool itself astray. */
function toolSettings(appSettings: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(appSettings).filter(([name]) => !/^(PATH|HOME|PYTHON.*|NODE_OPTIONS|NODE_ENV|LD_.*)$/i.test(name)),
  );
}
