import { expect, test } from "vitest";
import { type Interruption, interrupt, takeReference } from "./interrupt.ts";
import { openScene } from "./scene.ts";

/** The calls after which most was half done when this was written; `npm run test:matrix` takes every call. */
const telling: readonly Interruption[] = [
  { command: "up", signal: "SIGKILL", phase: "done", at: /PUT .*flexibleServers\/[^/]+$/ },
  { command: "up", signal: "SIGKILL", phase: "done", at: /PUT .*databases/ },
  { command: "up", signal: "SIGKILL", phase: "done", at: /PUT .*linkers/ },
  { command: "up", signal: "SIGKILL", phase: "done", at: /POST \/api\/zipdeploy/ },
  { command: "up", signal: "SIGINT", phase: "arrived", at: /azureAsyncOperation/ },
  { command: "up", signal: "SIGINT", phase: "arrived", at: /\/api\/deployments/ },
  { command: "down", signal: "SIGKILL", phase: "done", at: /DELETE/ },
];

test("ended at its most telling calls, the same command run again ends as if nothing had happened", async ({ onTestFinished }) => {
  const scene = await openScene();
  onTestFinished(() => scene.release());
  const reference = await takeReference(scene);
  const verdicts = [];
  for (const interruption of telling) verdicts.push(await interrupt(scene, interruption, reference));
  expect(verdicts.filter(({ problems, point }) => problems.length > 0 || point === undefined)).toEqual([]);
});
