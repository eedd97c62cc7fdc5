import { expect, test } from "vitest";
import { type Interruption, interrupt, takeReference, type Verdict } from "./interrupt.ts";
import { openScene } from "./scene.ts";

/** The calls after which most was half done when this was written; `npm run test:matrix` takes every call. */
const telling = {
  opening: [
    { command: "up", signal: "SIGKILL", at: { phase: "done", name: /PUT .*flexibleServers\/[^/]+$/ } },
    { command: "up", signal: "SIGKILL", at: { phase: "done", name: /PUT .*databases/ } },
    { command: "up", signal: "SIGKILL", at: { phase: "done", name: /PUT .*firewallRules\/passwordless-pg-/ } },
    { command: "up", signal: "SIGKILL", at: { phase: "done", name: /PUT .*linkers/ } },
    { command: "up", signal: "SIGKILL", at: { phase: "done", name: /POST \/api\/zipdeploy/ } },
    { command: "up", signal: "SIGINT", at: { phase: "arrived", name: /PUT .*firewallRules\/passwordless-pg-/ } },
    { command: "up", signal: "SIGINT twice", at: { phase: "arrived", name: /azureAsyncOperation/ } },
    { command: "up", signal: "SIGTERM", at: { phase: "arrived", name: /\/api\/deployments/ } },
    { command: "up", signal: "SIGHUP", at: { phase: "arrived", name: /LOGIN \/shop/ } },
    { command: "down", signal: "SIGKILL", at: { phase: "done", name: /DELETE/ } },
  ],
  hostile: [
    { command: "up", signal: "SIGKILL", at: { phase: "done", name: /PUT .*linkers\/[^/]*write/ } },
    { command: "up", signal: "SIGINT", at: { phase: "arrived", name: /POST \/api\/zipdeploy/ } },
  ],
} as const satisfies Readonly<Record<string, readonly Interruption[]>>;

test.concurrent.each(["opening", "hostile"] as const)(
  "ended at its most telling calls, the same command run again ends as if nothing had happened: project %s",
  async (kind) => {
    const scene = await openScene(kind);
    try {
      const reference = await takeReference(scene);
      const verdicts: Verdict[] = [];
      for (const interruption of telling[kind]) verdicts.push(await interrupt(scene, interruption, reference));
      expect(verdicts.filter(({ problems, point }) => problems.length > 0 || point === undefined)).toEqual([]);
    } finally {
      await scene.release();
    }
  },
  600_000,
);
