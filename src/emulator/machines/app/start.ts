import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import type { AppDescription, DeployedApp } from "./description.ts";
import type { WorkerImage, WorkerStart } from "./worker-image.ts";
import { workerImageOf } from "./worker-images.ts";

/** What the instances of one generation have in common. */
export interface ChosenStart {
  readonly app: DeployedApp;
  readonly image: WorkerImage;
  readonly start: WorkerStart & { readonly command: string };
}

/**
 * Chooses how a site's instances start, and says so on the console. `undefined` when there is nothing to run: nothing was deployed yet, or the image
 * finds no start. Then Azure shows its placeholder page.
 */
export async function chooseStart(
  { appFolder, ...rest }: AppDescription,
  say: (...lines: readonly string[]) => void,
): Promise<ChosenStart | undefined> {
  if (appFolder === undefined) return undefined;
  const app = { ...rest, appFolder };
  const image = workerImageOf(app);
  const start = await image.start(app);
  say(...start.console);
  const { command } = start;
  return command === undefined ? undefined : { app, image, start: { ...start, command } };
}

/** Fills the site's folder of programs. */
export function linkPrograms({ app, start }: ChosenStart): void {
  rmSync(app.binFolder, { recursive: true, force: true });
  mkdirSync(app.binFolder, { recursive: true });
  for (const [name, target] of Object.entries(start.programs)) symlinkSync(target, join(app.binFolder, name));
}
