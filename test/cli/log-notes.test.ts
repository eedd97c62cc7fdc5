import { expect, test } from "vitest";
import { noteOf } from "../../src/cli/commands/logs.ts";
import { paint } from "../../src/cli/terminal/style.ts";

const hostile = "/home/LogFiles/a\u001b[2J\u009b31m\u202ex.log";

test("what the other side names, a path or a reason, reaches no terminal as it is", () => {
  const notes = [
    noteOf({ state: "gap", path: hostile }, paint(false)),
    noteOf({ state: "waiting", delayMs: 250, reason: hostile }, paint(false)),
  ];
  expect(notes).toEqual([
    "(some lines of /home/LogFiles/ax.log may have been missed)",
    "(connection lost: /home/LogFiles/ax.log; again in 250 ms)",
  ]);
});
