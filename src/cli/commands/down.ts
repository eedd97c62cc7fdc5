import { exitCodeOf, KnownError } from "../../base/errors.ts";
import { planRemoval } from "../../removal/plan-removal.ts";
import { openProject } from "../open-project.ts";
import { errorBody } from "../output/error.ts";
import { withChangingSession } from "../session.ts";
import { describeStop, isStop, nothingChanged } from "../stop-signal.ts";
import type { GlobalOptions, Io } from "../terminal/io.ts";

export async function down(io: Io, options: GlobalOptions, directory: string): Promise<number> {
  const project = await openProject(io, directory, options);
  return withChangingSession(io, options, project, "down", async ({ cloud, firewallAccess, setup }) => {
    const planning = io.progress.during("looking for what this project created", "read", () => planRemoval(setup, cloud, firewallAccess));
    const { removals, kept } = await planning.catch((error: unknown) => {
      throw isStop(error, io.signal) ? nothingChanged(io.signal) : error;
    });
    for (const { what, why } of removals) io.note(`- ${what} (${why})`);
    for (const what of kept) io.note(`· ${what} stays`);
    if (removals.length > 0 && !options.yes && !(await io.confirm("Remove this for good, with all data in it?", "--yes"))) return 1;
    const removed: string[] = [];
    let current: string | undefined;
    try {
      for (const { what, remove } of removals) {
        io.signal.throwIfAborted();
        current = what;
        const startedAt = io.clock.now();
        await io.progress.during(what, "removing", remove);
        io.progress.end(what, "removed", io.clock.now() - startedAt);
        removed.push(what);
        current = undefined;
      }
    } catch (error) {
      const waiting = removals.map(({ what }) => what).filter((what) => !removed.includes(what) && what !== current);
      return endEarly(error, io, { removed, kept, ...(current === undefined ? {} : { unfinished: current }), waiting });
    }
    if (io.isJson) io.document({ ok: true, removed, kept });
    else io.result(removed.length === 0 ? "Nothing of this project is there." : `Removed ${removed.join(", ")}.`);
    return 0;
  });
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
  io.document({ ok: false, removed, kept, remaining, error: errorBody(told).error });
  return exitCodeOf[told.code];
}
