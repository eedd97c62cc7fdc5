import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";

/** Local Azure's process, built from these sources: its file for `startLocal`, and what removes it again. */
export async function buildDaemon(): Promise<readonly [daemonFile: string, release: () => void]> {
  const folder = mkdtempSync(join(tmpdir(), "ppg-dist-"));
  const daemonFile = join(folder, "daemon.mjs");
  await build({
    entryPoints: ["src/emulator/daemon.ts"],
    outfile: daemonFile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    logLevel: "error",
    banner: { js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);" },
  });
  return [daemonFile, () => rmSync(folder, { recursive: true, force: true })];
}
