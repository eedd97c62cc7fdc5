import { exitCodeOf, KnownError } from "../base/errors.ts";
import type { Attempt, Outcome, StepReport } from "../engine/report.ts";
import { errorBody, showError } from "./output/error.ts";
import type { Session } from "./session.ts";
import { describeStop, isStop } from "./stop-signal.ts";
import type { Io } from "./terminal/io.ts";

/** What a run did before it was stopped, in words for people: `web app api shop-api-7f3a`. */
interface RunSummary {
  /** It was not there before and stays now. */
  readonly created: readonly string[];
  /** It was there and is as wanted now. */
  readonly updated: readonly string[];
  /** Begun; Azure may still be at it. */
  readonly unfinished: readonly string[];
}

/** More than these are counted only. */
const longest = 12;

export function summarizeRun(steps: readonly (Attempt | StepReport)[] = []): RunSummary {
  const named = (wanted: Outcome): string[] => steps.filter(({ outcome }) => outcome === wanted).map(withOwnName);
  const unfinished = steps.filter(
    ({ outcome, error }) => outcome === "failed" && error instanceof KnownError && error.code === "cancelled",
  );
  return { created: named("created"), updated: named("updated"), unfinished: unfinished.map(({ name }) => name) };
}

function withOwnName(done: Attempt | StepReport): string {
  const { name } = done;
  const own = "observed" in done && (done.observed as { name?: unknown } | undefined)?.name;
  return typeof own === "string" && !name.endsWith(own) ? `${name} ${own}` : name;
}

/**
 * Ends a run that was stopped: gives back the firewall opening, says what stays and how to go on, and answers with the exit code.
 * `body` is what else the JSON document holds. Throws `error` itself when it is something else than the stop.
 */
export async function endStopped(
  error: unknown,
  { io, session, command, summary, body = {} }: { io: Io; session: Session; command: string; summary: RunSummary; body?: object },
): Promise<number> {
  if (!isStop(error, io.signal)) throw error;
  const { created, updated, unfinished } = summary;
  const isUntouched = created.length + updated.length + unfinished.length === 0;
  const lines = [
    `${describeStop(io.signal)}${isUntouched ? "; nothing was changed" : "; nothing is undone"}`,
    ...line("made, and stays", created),
    ...line("changed, and stays so", updated),
    ...line("not finished, Azure may go on with it", unfinished),
    ...(await giveBack(session)),
  ];
  const undo = created.length > 0 ? "; `passwordless-pg down` removes what this project made" : "";
  const stop = new KnownError("cancelled", lines.join("\n  "), {
    hint: `run \`passwordless-pg ${command}\` again to go on${undo}`,
  });
  // `made` and `changed` are the names of the version before, and go with the next one.
  const known = { created, updated, unfinished, made: created, changed: updated };
  if (io.isJson) io.document({ ...body, ok: false, ...known, error: errorBody(stop).error });
  else showError(stop, io);
  return exitCodeOf.cancelled;
}

function line(head: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const rest = names.length - longest;
  return [`${head}: ${names.slice(0, longest).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`];
}

/** Never throws: what could not be given back is tried once more, and told, at the end of the session. */
async function giveBack({ firewallAccess, close }: Session): Promise<string[]> {
  if (firewallAccess.temporaryRules.size === 0) return [];
  try {
    await close();
    return ["the opening in the firewall was closed"];
  } catch {
    return ["the opening in the firewall is still there"];
  }
}
