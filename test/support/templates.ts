import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Folder of the template clusters that all tests of a run share: making one takes a second of both cores, and each home needs it. */
const VARIABLE = "PPG_TEST_TEMPLATES";

/** For vitest's `globalSetup`: the first project of a run makes the folder and gives it back. */
export function setup(): () => void {
  if (process.env[VARIABLE]) return () => {};
  const folder = mkdtempSync(join(tmpdir(), "ppg-templates-"));
  chmodSync(folder, 0o711);
  process.env[VARIABLE] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}

/** Gives a new home the templates that other tests have made. A template is never written to, so its files are linked. */
export function lendTemplates(homeFolder: string): void {
  link(process.env[VARIABLE], join(homeFolder, "postgres", "templates"));
}

/** Keeps what a home made for the others. */
export function keepTemplates(homeFolder: string): void {
  const shared = process.env[VARIABLE];
  if (shared) link(join(homeFolder, "postgres", "templates"), shared);
}

function link(from: string | undefined, to: string): void {
  if (!from || !existsSync(from)) return;
  for (const name of readdirSync(from)) {
    // Drafts and half-made ones begin with a dot or have no version.
    if (name.startsWith(".") || existsSync(join(to, name)) || !existsSync(join(from, name, "PG_VERSION"))) continue;
    mkdirSync(to, { recursive: true, mode: 0o755 });
    const draft = join(to, `.link-${process.pid}-${name}`);
    const { status } = spawnSync("cp", ["-al", join(from, name), draft], { stdio: "ignore" });
    try {
      if (status === 0) renameSync(draft, join(to, name));
    } catch {
      // another test was faster
    }
    rmSync(draft, { recursive: true, force: true });
  }
}
