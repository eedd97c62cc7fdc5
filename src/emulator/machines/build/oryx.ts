import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { trimCaches } from "./cache.ts";
import { buildNode } from "./node.ts";
import { buildPython, looksLikePython } from "./python.ts";
import { BuildFailure, type BuildRequest } from "./request.ts";

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
