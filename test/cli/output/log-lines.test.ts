import { expect, test } from "vitest";
import { tailNote } from "../../../src/cli/output/log-lines.ts";
import { paint } from "../../../src/cli/terminal/style.ts";

const hostile = "/home/LogFiles/a\u001b[2J\u009b31m\u202ex.log";

test("what the other side names, a path or a reason, reaches no terminal as it is", () => {
  const notes = [
    tailNote({ state: "gap", path: hostile }, paint(false)),
    tailNote({ state: "waiting", delayMs: 250, reason: hostile }, paint(false)),
  ];
  expect(notes).toEqual([
    "(some lines of /home/LogFiles/ax.log may have been missed)",
    "(connection lost: /home/LogFiles/ax.log; again in 250 ms)",
  ]);
});
