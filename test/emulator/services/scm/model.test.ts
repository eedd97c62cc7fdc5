import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  afterDeploymentEvent,
  type Deployment,
  type DeploymentEvent,
  isComplete,
  phases,
  phaseTable,
  received,
  terminalPhases,
} from "../../../../src/emulator/services/scm/model.ts";

const NOW = "2026-02-07T09:12:31.412Z";
const events: readonly DeploymentEvent[] = [
  { kind: "building" },
  { kind: "built", at: NOW },
  { kind: "build-failed", at: NOW, text: "no" },
  { kind: "aborted", at: NOW, text: "gone" },
  { kind: "started", successful: 1, failed: 0 },
  { kind: "start-failed", failed: 1 },
];
const fresh = (): Deployment => received("/sites/shop", { deployer: "ana", author: "N/A", message: "" }, NOW);

describe("a deployment", () => {
  test.each(phases.flatMap((phase) => events.map((event) => ({ phase, event }))))(
    "$event.kind in $phase leads to a phase or throws",
    ({ phase, event }) => {
      const next = phaseTable[event.kind][phase];
      if (next) expect(afterDeploymentEvent({ ...fresh(), phase }, event).phase).toBe(next);
      else expect(() => afterDeploymentEvent({ ...fresh(), phase }, event)).toThrow(`'${event.kind}' cannot happen in state '${phase}'`);
    },
  );

  test("comes to an end by every way, and nothing happens after it", () => {
    const legal = ({ phase }: Deployment) => events.filter(({ kind }) => phaseTable[kind][phase] !== undefined);
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 4, maxLength: 4 }), (choices) => {
        let deployment = fresh();
        for (const choice of choices) {
          const possible = legal(deployment);
          const event = possible[choice % possible.length];
          if (event) deployment = afterDeploymentEvent(deployment, event);
        }
        expect(terminalPhases).toContain(deployment.phase);
        expect(legal(deployment)).toEqual([]);
        expect(isComplete(deployment)).toBe(true);
        // Kudu's success is the content in place; whether the app starts is ARM's matter.
        expect(deployment.isActive).toBe(deployment.phase.startsWith("Runtime"));
      }),
    );
  });
});
