import { KnownError } from "../../base/errors.ts";
import { planRemoval } from "../../steps/removal.ts";
import type { GlobalOptions, Io } from "../io.ts";
import { createProgressView } from "../output/progress.ts";
import { openProject, withChangingSession } from "../session.ts";

export async function down(io: Io, options: GlobalOptions, directory: string): Promise<number> {
  const project = await openProject(io, directory, options, false);
  const view = createProgressView(io);
  view.begin("looking for what this project created", "read");
  try {
    return await withChangingSession(io, options, project, "down", async ({ cloud, door, setup, clock }) => {
      const { removals, kept } = await planRemoval(setup, cloud, door);
      view.forget("looking for what this project created");
      for (const { what, why } of removals) io.note(`- ${what} (${why})`);
      for (const what of kept) io.note(`· ${what} stays`);
      if (removals.length > 0 && !options.yes) {
        view.close();
        if (!(await io.confirm("Remove this for good, with all data in it?", "--yes"))) return 1;
      }
      const removed: string[] = [];
      for (const { what, remove } of removals) {
        if (io.signal.aborted)
          throw new KnownError("cancelled", `stopped; ${removals.length - removed.length} things are still there`, {
            hint: "run `passwordless-pg down` again",
          });
        const startedAt = clock.now();
        view.begin(what, "removing");
        await remove();
        view.end(`removed ${what}`, "updated", clock.now() - startedAt);
        view.forget(what);
        removed.push(what);
      }
      view.close();
      if (io.isJson) io.result(JSON.stringify({ ok: true, removed, kept }, undefined, 2));
      else io.result(removed.length === 0 ? "Nothing of this project is there." : `Removed ${removed.join(", ")}.`);
      return 0;
    });
  } finally {
    view.close();
  }
}
