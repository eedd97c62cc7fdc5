import { appendFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type Interruption, interrupt, takeReference, type Verdict } from "./interrupt.ts";
import { openScene, type Scene } from "./scene.ts";

/** `PPG_MATRIX_EVERY=7` takes every seventh point, `PPG_MATRIX_LOG` names a file that gets each verdict at once. */
const every = Number(process.env.PPG_MATRIX_EVERY ?? 1);
const logFile = process.env.PPG_MATRIX_LOG;

test("every point of up and down: killed or interrupted there, the same command ends as if nothing had happened", async ({
  onTestFinished,
}) => {
  const scenes = await Promise.all([openScene(), openScene()]);
  onTestFinished(async () => {
    await Promise.all(scenes.map((scene) => scene.release()));
  });
  const [first] = scenes as [Scene, Scene];
  const reference = await takeReference(first);
  const points = allPoints(reference.calls).filter((_, index) => index % every === 0);
  const verdicts: Verdict[] = [];
  await Promise.all(
    scenes.map(async (scene) => {
      for (let point = points.shift(); point; point = points.shift()) {
        const verdict = await interrupt(scene, point, reference);
        verdicts.push(verdict);
        if (logFile) appendFileSync(logFile, `${JSON.stringify(verdict)}\n`);
      }
    }),
  );
  process.stdout.write(`${table(verdicts).join("\n")}\n`);
  expect(verdicts.filter(({ problems }) => problems.length > 0)).toEqual([]);
});

function allPoints({ up, down }: { up: readonly string[]; down: readonly string[] }): Interruption[] {
  const kinds = [
    { signal: "SIGKILL", phase: "arrived" },
    { signal: "SIGKILL", phase: "done" },
    { signal: "SIGINT", phase: "arrived" },
  ] as const;
  return (["up", "down"] as const).flatMap((command) =>
    kinds.flatMap((kind) => (command === "up" ? up : down).map((_, at) => ({ command, ...kind, at }))),
  );
}

function table(verdicts: readonly Verdict[]): string[] {
  const lines = [
    "| command | signal | points | converged | failed | longest from signal to end |",
    "| --- | --- | --- | --- | --- | --- |",
  ];
  const rows = new Map<string, Verdict[]>();
  for (const verdict of verdicts) {
    const { command, signal, phase } = verdict.interruption;
    const row = `${command} | ${signal} ${signal === "SIGINT" ? "at" : phase === "arrived" ? "before" : "after"} a call`;
    rows.set(row, [...(rows.get(row) ?? []), verdict]);
  }
  for (const [row, found] of rows) {
    const failed = found.filter(({ problems }) => problems.length > 0).length;
    const longest = row.includes("SIGINT") ? `${Math.max(...found.map(({ msToEnd }) => msToEnd ?? 0))} ms` : "";
    lines.push(`| ${row} | ${found.length} | ${found.length - failed} | ${failed} | ${longest} |`);
  }
  return lines;
}
