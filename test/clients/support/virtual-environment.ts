import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
/** Kept between runs: two azure-cli take two minutes to install. */
export const cache = resolve(import.meta.dirname, "../../../node_modules/.cache/passwordless-pg");

/** The folder of programs of a Python virtual environment with these packages; made when it is not there yet. */
export async function virtualEnvironment(name: string, packages: readonly string[]): Promise<string> {
  const folder = join(cache, name);
  const done = join(folder, ".complete");
  if (!existsSync(done)) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(cache, { recursive: true });
    await run("python3", ["-m", "venv", folder]);
    await run(join(folder, "bin/pip"), ["install", "--quiet", "--disable-pip-version-check", ...packages], { maxBuffer: 64 * 1024 * 1024 });
    writeFileSync(done, "");
  }
  return join(folder, "bin");
}

/** An azure-cli by version, or the newest that the package index has (the newest already here when it does not answer). */
export async function azureCli(wanted: string): Promise<{ readonly version: string; readonly bin: string }> {
  const version = wanted === "newest" ? await newestAzureCli() : wanted;
  return { version, bin: await virtualEnvironment(`az-${version}`, [`azure-cli==${version}`]) };
}

async function newestAzureCli(): Promise<string> {
  try {
    const { stdout } = await run("python3", ["-m", "pip", "index", "versions", "azure-cli"]);
    const newest = /^azure-cli \(([\d.]+)\)/m.exec(stdout)?.[1];
    if (newest) return newest;
  } catch {
    // no network: what is here has to do
  }
  const here = readdirSync(cache).flatMap((name) => /^az-([\d.]+)$/.exec(name)?.[1] ?? []);
  const newest = here.sort((a, b) => a.localeCompare(b, "en", { numeric: true })).at(-1);
  if (!newest) throw new Error("The package index does not answer, and no azure-cli is here.");
  return newest;
}
