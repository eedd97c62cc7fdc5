import { appendFileSync } from "node:fs";
import { type Interruption, interrupt, type Reference, takeReference, type Verdict } from "./interrupt.ts";
import { openScenes, type Scene, type SceneKind } from "./scene.ts";

/** `PPG_MATRIX_EVERY=7` takes every seventh point of every project, 1 all. `PPG_MATRIX_LOG` names a file that gets each verdict at once. */
const wanted = process.env.PPG_MATRIX_EVERY;
const logFile = process.env.PPG_MATRIX_LOG;

type Points = Reference["points"]["up"];

/**
 * Every point, or every n-th, of `up` and `down` of one project: killed before and after the call, and stopped by Ctrl-C at it.
 * Prints the table.
 * The verdicts that are not good: those with problems, and too many points that no run came by.
 */
export async function tryEveryPoint(kind: SceneKind, usually = 1): Promise<readonly Verdict[]> {
  const every = Number(wanted ?? usually);
  const scenes = await openScenes(kind);
  try {
    const [first] = scenes as [Scene];
    // How often it polls differs: what the first, slow run came by and a second one did not is no point of its own.
    const slow = await takeReference(first);
    const reference = await takeReference(first);
    const points = everyPoint({ up: common("up", slow, reference), down: common("down", slow, reference) }).filter(
      (_, index) => index % every === 0,
    );
    const verdicts: Verdict[] = [];
    await Promise.all(
      scenes.map(async (scene) => {
        for (let point = points.shift(); point; point = points.shift()) {
          // Runs do not poll equally often: a point that this one did not come by is tried once more.
          const once = await interrupt(scene, point, reference);
          const verdict = once.point === undefined && once.problems.length === 0 ? await interrupt(scene, point, reference) : once;
          verdicts.push(verdict);
          if (logFile) appendFileSync(logFile, `${JSON.stringify({ kind, ...verdict })}\n`);
        }
      }),
    );
    process.stdout.write(`${table(kind, verdicts).join("\n")}\n`);
    const missed = verdicts.filter(({ point, problems }) => point === undefined && problems.length === 0);
    const isTooMany = missed.length > Math.max(5, verdicts.length / 20);
    return [...verdicts.filter(({ problems }) => problems.length > 0), ...(isTooMany ? missed : [])];
  } finally {
    await Promise.all(scenes.map((scene) => scene.release()));
  }
}

function common(command: "up" | "down", one: Reference, other: Reference): Points {
  const known = new Set(one.points[command].map((point) => JSON.stringify(point)));
  return other.points[command].filter((point) => known.has(JSON.stringify(point)));
}

function everyPoint(points: Readonly<Record<"up" | "down", Points>>): Interruption[] {
  return (["up", "down"] as const).flatMap((command) => [
    ...points[command].map((at) => ({ command, signal: "SIGKILL", at }) as const),
    ...points[command].filter(({ phase }) => phase === "arrived").map((at) => ({ command, signal: "SIGINT", at }) as const),
  ]);
}

function table(kind: SceneKind, verdicts: readonly Verdict[]): string[] {
  const lines = [
    `| project | command | ended | points | converged | failed | not come by | longest from signal to end |`,
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
  ];
  const rows = new Map<string, Verdict[]>();
  for (const verdict of verdicts) {
    const { command, signal, at } = verdict.interruption;
    const row = `${kind} | ${command} | ${signal} ${signal === "SIGKILL" ? (at.phase === "arrived" ? "before" : "after") : "at"} a call`;
    rows.set(row, [...(rows.get(row) ?? []), verdict]);
  }
  for (const [row, found] of rows) {
    const failed = found.filter(({ problems }) => problems.length > 0).length;
    const missed = found.filter(({ problems, point }) => problems.length === 0 && point === undefined).length;
    const longest = row.includes("SIGKILL") ? "" : `${Math.max(...found.map(({ msToEnd }) => msToEnd ?? 0))} ms`;
    lines.push(`| ${row} | ${found.length} | ${found.length - failed - missed} | ${failed} | ${missed} | ${longest} |`);
  }
  return lines;
}
