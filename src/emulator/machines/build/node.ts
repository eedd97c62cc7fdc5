import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type NodeManifest, readManifest } from "../node-manifest.ts";
import { type Interpreter, ownNode } from "../runtime.ts";
import { BuildFailure, type BuildRequest } from "./request.ts";
import { makeShared, sharedFolder } from "./shared-environment.ts";
import { runTool } from "./tool.ts";

interface Install {
  readonly node: Interpreter;
  readonly manifest: NodeManifest;
  /** `package-lock.json` */
  readonly lock: string | undefined;
  readonly args: readonly string[];
}

/** Answers whether anything was installed: only then the caches have grown. */
export async function buildNode(request: BuildRequest): Promise<boolean> {
  const { folder, say } = request;
  const manifest = await readManifest(folder);
  if (!manifest) throw new BuildFailure("package.json is not valid JSON.");
  const node = ownNode(request.runtime.version);
  say(`  nodejs: ${node.version}`);
  if (!node.isExact) say(`Node ${request.runtime.version} is played by the Node of local Azure, ${node.version}.`, 1);
  const lock = await readFile(join(folder, "package-lock.json"), "utf8").catch(() => undefined);
  const needsInstall =
    Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }).length > 0 || manifest.workspaces !== undefined;
  const args = [lock === undefined ? "install" : "ci", "--no-audit", "--no-fund", "--cache", join(request.cacheFolder, "npm")];
  await rm(join(folder, "node_modules"), { recursive: true, force: true });
  let isNew = needsInstall;
  if (!needsInstall) say("package.json asks for no dependencies.");
  else if (isPlain(manifest, lock)) isNew = await linkSharedModules(request, { node, manifest, lock, args });
  else await npm(request, args);
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

/** Answers whether they had to be installed. */
async function linkSharedModules(request: BuildRequest, install: Install): Promise<boolean> {
  const { node, manifest, lock, args } = install;
  const shared = sharedFolder(request, "node", [node.version], JSON.stringify(manifest), lock ?? "");
  const isNew = await makeShared(shared, request, async () => {
    await mkdir(shared, { recursive: true });
    await writeFile(join(shared, "package.json"), JSON.stringify(manifest));
    if (lock !== undefined) await writeFile(join(shared, "package-lock.json"), lock);
    await npm({ ...request, folder: shared }, args);
  });
  await symlink(join(shared, "node_modules"), join(request.folder, "node_modules"));
  return isNew;
}

function npm(request: BuildRequest, args: readonly string[]): Promise<void> {
  request.say(`Running 'npm ${args.filter((arg) => !arg.startsWith("/")).join(" ")}'...`);
  return runTool(request, "npm", args);
}
