import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { callsOfUp, runWithTrouble, troubles } from "./faulty.ts";
import { takeReference, wordsOf } from "./interrupt.ts";
import { openScene } from "./scene.ts";

/** The one that once did most harm; `npm run test:matrix` takes all, each call by itself. */
const telling = ["lost answer"];

test("trouble at every call of up: a typed error with a hint or success, and in the end as if nothing had happened", async ({
  onTestFinished,
}) => {
  const scene = await openScene();
  onTestFinished(() => scene.release());
  const reference = await takeReference(scene);
  const calls = await callsOfUp(scene);
  const verdicts = [];
  for (const trouble of troubles.filter(({ name }) => telling.includes(name))) {
    verdicts.push(await runWithTrouble(scene, trouble, calls, reference));
  }
  expect(verdicts.flatMap(({ trouble, problems }) => problems.map((problem) => `${trouble}: ${problem}`))).toEqual([]);
});

test("a Retry-After of an hour is told at once, not sat out", async ({ onTestFinished }) => {
  const scene = await openScene();
  onTestFinished(() => scene.release());
  const action = { kind: "status", status: 429, headers: { "retry-after": "3600" } } as const;
  scene.emulator.faults.add({ host: "azure", path: "/subscriptions/*", action });
  const ended = await scene.run("init").ended;
  expect(ended.code, wordsOf(ended)).toBe(6);
  expect(JSON.parse(ended.stdout)).toMatchObject({ ok: false, error: { code: "azure/busy", hint: expect.stringContaining("60 minutes") } });
});

test("TLS that nobody trusts is told as such, with what to do", async ({ onTestFinished }) => {
  const scene = await openScene();
  onTestFinished(() => scene.release());
  const { homeFolder, platform } = scene.emulator;
  const runFile = join(homeFolder, "run.json");
  const stranger = join(homeFolder, "stranger.pem");
  // The leaf alone: behind it comes the authority, which would be trusted.
  const [leaf] = platform.certificates.issue(["elsewhere.example"]).cert.split(/(?<=-----END CERTIFICATE-----\n)/);
  writeFileSync(stranger, leaf ?? "");
  writeFileSync(runFile, JSON.stringify({ ...(JSON.parse(readFileSync(runFile, "utf8")) as object), caFile: stranger }));
  const ended = await scene.run("init").ended;
  expect(ended.code, wordsOf(ended)).toBe(1);
  expect(JSON.parse(ended.stdout)).toMatchObject({
    ok: false,
    error: { code: "azure/unreachable", hint: expect.stringContaining("certificate") },
  });
});
