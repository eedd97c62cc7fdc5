import { expect, test } from "vitest";
import { differences, takeReference, wordsOf } from "./interrupt.ts";
import { openScene } from "./scene.ts";
import { takeSnapshot } from "./snapshot.ts";

test("two runs of one project at the same time: one waits and names the other; the end is that of one run", async ({ onTestFinished }) => {
  const scene = await openScene();
  onTestFinished(() => scene.release());
  const reference = await takeReference(scene);
  const runs = [scene.run("init"), scene.run("up")];
  const both = await Promise.all(runs.map(({ ended }) => ended));
  for (const ended of both) expect(ended.code, wordsOf(ended)).toBe(0);
  const named = runs.filter(({ child }) => both.some(({ stderr }) => stderr.includes(`(process ${child.pid}, since`)));
  expect(named).toHaveLength(1);
  const after = await takeSnapshot(scene);
  expect(differences(reference.snapshot.state, after?.state)).toEqual([]);
});

test("a run that was killed leaves no lock; Ctrl-C ends the waiting", async ({ onTestFinished }) => {
  const scene = await openScene();
  onTestFinished(() => scene.release());
  let hold: () => void = () => undefined;
  const held = new Promise<undefined>((done) => {
    hold = () => done(undefined);
  });
  const reached = new Promise<void>((done) => {
    scene.onPoint(async ({ method, path }) => {
      if (method !== "PUT" || !/flexibleServers/i.test(path)) return undefined;
      done();
      return held;
    });
  });
  const first = scene.run("init");
  await reached;
  const second = scene.run("init");
  await new Promise<void>((done) =>
    second.child.stderr?.on("data", (text: string) => text.includes(`process ${first.child.pid}`) && done()),
  );
  second.child.kill("SIGINT");
  expect((await second.ended).code).toBe(130);
  first.child.kill("SIGKILL");
  await first.ended;
  hold();
  const third = await scene.run("init").ended;
  expect(third.code, wordsOf(third)).toBe(0);
});

test("two runs from two machines, three times: each leaves the other's opening alone, both end well, nothing is left open", async ({
  onTestFinished,
}) => {
  const scene = await openScene("opening");
  onTestFinished(() => scene.release());
  const first = await scene.run("up").ended;
  expect(first.code, wordsOf(first)).toBe(0);
  const openings = () =>
    scene.emulator.journal.entries().filter(({ method, path }) => method === "PUT" && /firewallRules\/passwordless-pg-/i.test(path));
  for (let round = 1; round <= 3; round += 1) {
    const before = openings().length;
    const both = await Promise.all([scene.runElsewhere("up"), scene.runElsewhere("up")].map(({ ended }) => ended));
    for (const ended of both) expect(ended.code, `round ${round}: ${wordsOf(ended)}`).toBe(0);
    for (const { stderr } of both) expect(stderr).not.toMatch(/works on the same project/);
    // They come from one address: whoever asks while the other's opening stands needs none.
    expect(openings().length - before).toBeGreaterThanOrEqual(1);
    const rules = JSON.parse((await scene.run("firewall", "list").ended).stdout) as { name: string }[];
    expect(rules.map(({ name }) => name)).toEqual(["azure-services"]);
  }
});
