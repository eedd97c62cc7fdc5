import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  afterServerEvent,
  canHappen,
  type ServerEvent,
  type ServerState,
  serverStates,
  serverStateTable,
} from "../../../../src/emulator/services/postgres/server-state.ts";

const events = Object.keys(serverStateTable) as ServerEvent[];
const pairs = serverStates.flatMap((state) => events.map((event) => ({ state, event })));

/** Between writes; only then another one is taken. */
const idle: readonly ServerState[] = ["Ready", "Stopped", "Inaccessible"];

/** A write: what its acceptance does, and how it can end. */
const writes: readonly { begins: ServerEvent; ends: readonly ServerEvent[] }[] = [
  { begins: "update", ends: ["updated", "write-failed", "lost"] },
  { begins: "start", ends: ["started", "start-failed"] },
  { begins: "stop", ends: ["stopped", "write-failed", "lost"] },
  { begins: "restart", ends: ["restarted", "write-failed", "lost"] },
  { begins: "drop", ends: ["drop-failed"] },
];

describe("the states of a flexible server", () => {
  test.each(pairs)("$event in $state leads to a state or is refused", ({ state, event }) => {
    if (canHappen({ state }, event)) expect(serverStates).toContain(afterServerEvent({ state }, event).state);
    else expect(() => afterServerEvent({ state }, event)).toThrow(`'${event}' cannot happen in state '${state}'`);
  });

  test("a write begins on an idle server only", () => {
    const begun = pairs.filter(({ state, event }) => writes.some(({ begins }) => begins === event) && canHappen({ state }, event));
    expect(begun.filter(({ state }) => !idle.includes(state))).toEqual([]);
  });

  test("stop and restart are for started servers only, as Azure says", () => {
    for (const event of ["stop", "restart"] as const)
      expect(serverStates.filter((state) => canHappen({ state }, event))).toEqual(["Ready"]);
  });

  test("whatever the revival does beside a write, its end finds a legal state, and the server is idle again", () => {
    const life = fc.array(
      fc.record({
        write: fc.constantFrom(...writes),
        revival: fc.array(fc.constantFrom<ServerEvent>("revived", "lost"), { maxLength: 1 }), // none begins beside a write
        end: fc.nat(2),
      }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(life, (writesInTurn) => {
        let server: { state: ServerState; isWaiting?: boolean } = afterServerEvent({ state: "Provisioning" }, "created");
        for (const { write, revival, end } of writesInTurn) {
          if (!canHappen(server, write.begins)) continue;
          for (const event of [write.begins, ...revival, write.ends[end % write.ends.length] ?? "lost"])
            server = afterServerEvent(server, event);
          expect(idle).toContain(server.state);
          if (server.isWaiting) expect(server.state).not.toBe("Ready");
        }
      }),
    );
  });

  test.each([
    ["a lost server is started at the next occasion", "lost", { state: "Stopped", isWaiting: true }],
    ["a stopped one is not", "stopped", { state: "Stopped", isWaiting: false }],
    ["nor one whose deletion goes on", "lost", { state: "Dropping", isWaiting: false }],
  ] as const)("%s", (_name, event, expected) => {
    const state = expected.state === "Dropping" ? "Dropping" : event === "stopped" ? "Stopping" : "Ready";
    expect(afterServerEvent({ state, isWaiting: true }, event)).toEqual(expected);
  });
});
