import { appendFileSync } from "node:fs";
import { expect, test } from "vitest";
import { callsOfUp, type FaultVerdict, runWithTrouble, troubles } from "./faulty.ts";
import { takeReference } from "./interrupt.ts";
import { openScenes, type Scene } from "./scene.ts";

/** `PPG_MATRIX_TOGETHER=1` lets all calls of one trouble fail in the same series of runs: quicker, and a harder test of the way back. */
const isTogether = process.env.PPG_MATRIX_TOGETHER === "1";
const every = Number(process.env.PPG_MATRIX_EVERY ?? 1);
/** `PPG_MATRIX_FAULTS`: only the kinds whose name this pattern fits. */
const only = new RegExp(process.env.PPG_MATRIX_FAULTS ?? "");
const logFile = process.env.PPG_MATRIX_LOG;

test("every trouble at every call: success, or a typed error with a hint; in the end as if nothing had happened", async ({
  onTestFinished,
}) => {
  const scenes = await openScenes();
  onTestFinished(async () => {
    await Promise.all(scenes.map((scene) => scene.release()));
  });
  const [first] = scenes as [Scene, Scene];
  const reference = await takeReference(first);
  const calls = await callsOfUp(first);
  const work = troubles
    .filter(({ name }) => only.test(name))
    .flatMap((trouble) => {
      const befallen = calls.filter(trouble.befalls);
      return isTogether ? [{ trouble, befallen }] : befallen.map((call) => ({ trouble, befallen: [call] }));
    })
    .filter((_, index) => index % every === 0);
  const verdicts: FaultVerdict[] = [];
  await Promise.all(
    scenes.map(async (scene) => {
      for (let next = work.shift(); next; next = work.shift()) {
        const verdict = await runWithTrouble(scene, next.trouble, next.befallen, reference);
        verdicts.push(verdict);
        if (logFile) appendFileSync(logFile, `${JSON.stringify(verdict)}\n`);
      }
    }),
  );
  process.stdout.write(`${table(verdicts).join("\n")}\n`);
  expect(verdicts.filter(({ problems }) => problems.length > 0)).toEqual([]);
});

function table(verdicts: readonly FaultVerdict[]): string[] {
  const lines = ["| fault | points | converged | of these in the first run | failed |", "| --- | --- | --- | --- | --- |"];
  for (const { name } of troubles) {
    const found = verdicts.filter(({ trouble }) => trouble === name);
    const failed = found.filter(({ problems }) => problems.length > 0).length;
    const atOnce = found.filter(({ problems, runs }) => problems.length === 0 && runs === 1).length;
    if (found.length > 0) lines.push(`| ${name} | ${found.length} | ${found.length - failed} | ${atOnce} | ${failed} |`);
  }
  return lines;
}
