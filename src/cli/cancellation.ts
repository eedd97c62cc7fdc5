import { exitCodeOf, KnownError } from "../base/errors.ts";
import type { Report } from "../engine/report.ts";
import { errorBody, showError } from "./output/error.ts";
import type { Session } from "./session.ts";
import { describeStop, isStop } from "./stop-signal.ts";
import type { Io } from "./terminal/io.ts";

/** What a run did before it was stopped, in words for people: `web app api shop-api-7f3a`. */
interface RunSummary {
  /** It was not there before and stays now. */
  readonly made: readonly string[];
  /** It was there and is as wanted now. */
  readonly changed: readonly string[];
  /** Begun; Azure may still be at it. */
  readonly unfinished: readonly string[];
}

/** More than these are counted only. */
const longest = 12;

export function summarizeRun(report: Report | undefined): RunSummary {
  const steps = report?.steps ?? [];
  const named = (outcomes: readonly string[]): string[] =>
    steps.filter(({ outcome }) => outcomes.includes(outcome)).map(({ name }) => withOwnName(name, report?.observed.get(name)));
  const unfinished = steps.filter(
    ({ outcome, error }) => outcome === "failed" && error instanceof KnownError && error.code === "cancelled",
  );
  return { made: named(["created"]), changed: named(["updated"]), unfinished: unfinished.map(({ name }) => name) };
}

function withOwnName(step: string, observed: unknown): string {
  const name = (observed as { name?: unknown } | undefined)?.name;
  return typeof name === "string" && !step.endsWith(name) ? `${step} ${name}` : step;
}

/**
 * Ends a run that was stopped: gives back the firewall opening, says what stays and how to go on, and answers with the exit code.
 * `body` is what else the JSON document holds. Throws `error` itself when it is something else than the stop.
 */
export async function endStopped(
  error: unknown,
  { io, session, command, doings, body = {} }: { io: Io; session: Session; command?: string; doings: RunSummary; body?: object },
): Promise<number> {
  if (!isStop(error, io.signal)) throw error;
  const { made, changed, unfinished } = doings;
  const isUntouched = made.length + changed.length + unfinished.length === 0;
  const lines = [
    `${describeStop(io.signal)}${isUntouched ? "; nothing was changed" : "; nothing is undone"}`,
    ...line("made, and stays", made),
    ...line("changed, and stays so", changed),
    ...line("not finished, Azure may go on with it", unfinished),
    ...(await giveBack(session)),
  ];
  const undo = made.length > 0 ? "; `passwordless-pg down` removes what this project made" : "";
  const stop = new KnownError("cancelled", lines.join("\n  "), {
    hint: `run ${command === undefined ? "the same command" : `\`passwordless-pg ${command}\``} again to go on${undo}`,
  });
  if (io.isJson) io.result(JSON.stringify({ ...body, ok: false, made, changed, unfinished, error: errorBody(stop).error }, undefined, 2));
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
