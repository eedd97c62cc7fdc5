import { exitCodeOf, KnownError } from "../../base/errors.ts";
import { planRemoval } from "../../removal/plan-removal.ts";
import type { GlobalOptions, Io } from "../io.ts";
import { errorBody } from "../output/error.ts";
import { createProgressView } from "../output/progress.ts";
import { openProject, withChangingSession } from "../session.ts";
import { describeStop, isStop, nothingChanged } from "../stop-signal.ts";

export async function down(io: Io, options: GlobalOptions, directory: string): Promise<number> {
  const project = await openProject(io, directory, options, false);
  const view = createProgressView(io);
  view.begin("looking for what this project created", "read");
  try {
    return await withChangingSession(io, options, project, "down", async ({ cloud, firewallAccess, setup, clock }) => {
      const { removals, kept } = await planRemoval(setup, cloud, firewallAccess).catch((error: unknown) => {
        throw isStop(error, io.signal) ? nothingChanged(io.signal) : error;
      });
      // The list stays on the screen, whatever comes: the person decides by it.
      view.close();
      for (const { what, why } of removals) io.note(`- ${what} (${why})`);
      for (const what of kept) io.note(`· ${what} stays`);
      if (removals.length > 0 && !options.yes && !(await io.confirm("Remove this for good, with all data in it?", "--yes"))) return 1;
      const removed: string[] = [];
      let current: string | undefined;
      try {
        for (const { what, remove } of removals) {
          io.signal.throwIfAborted();
          current = what;
          const startedAt = clock.now();
          view.begin(what, "removing");
          await remove();
          view.end(what, "removed", clock.now() - startedAt);
          removed.push(what);
          current = undefined;
        }
      } catch (error) {
        view.close();
        const waiting = removals.map(({ what }) => what).filter((what) => !removed.includes(what) && what !== current);
        return endEarly(error, io, { removed, kept, ...(current === undefined ? {} : { unfinished: current }), waiting });
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

interface Removed {
  readonly removed: readonly string[];
  readonly kept: readonly string[];
  /** Its removal was asked for or failed. */
  readonly unfinished?: string;
  /** Not touched yet. */
  readonly waiting: readonly string[];
}

/** What went and what is still there, after a failure and after Ctrl-C; the failure itself as everywhere. */
function endEarly(error: unknown, io: Io, { removed, kept, unfinished, waiting }: Removed): number {
  const known = isStop(error, io.signal) ? undefined : error;
  if (known !== undefined && !(known instanceof KnownError)) throw error;
  const parts = [
    removed.length === 0 ? "nothing was removed" : `removed: ${removed.join(", ")}`,
    ...(unfinished === undefined
      ? []
      : [known === undefined ? `not finished, Azure may go on with it: ${unfinished}` : `not removed: ${unfinished}`]),
    ...(waiting.length === 0 ? [] : [`still there: ${waiting.join(", ")}`]),
    ...(kept.length === 0 ? [] : [`stays, as it is not this project's: ${kept.join(", ")}`]),
  ];
  const told = new KnownError(known?.code ?? "cancelled", `${known?.message ?? describeStop(io.signal)}; ${parts.join("\n  ")}`, {
    hint: known?.hint ?? "run `passwordless-pg down` again to go on",
    cause: known?.cause,
  });
  if (!io.isJson) throw told;
  const remaining = [...(unfinished === undefined ? [] : [unfinished]), ...waiting];
  io.result(JSON.stringify({ ok: false, removed, kept, remaining, error: errorBody(told).error }, undefined, 2));
  return exitCodeOf[told.code];
}
