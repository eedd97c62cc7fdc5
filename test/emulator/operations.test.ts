import { expect, test } from "vitest";
import type { Clock } from "../../src/base/clock.ts";
import type { ClockMode } from "../../src/emulator/clock-mode.ts";
import { armError } from "../../src/emulator/http/arm-error.ts";
import { createOperations, type OperationRequest } from "../../src/emulator/operations.ts";
import { createStore } from "../../src/emulator/store.ts";

const request: OperationRequest = {
  kind: "test/work",
  name: "Work",
  resourceId: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/x",
  location: "eastus",
  payload: null,
  recordedMs: 60_000,
  retryAfterSeconds: 30,
};

function engine(clockMode: ClockMode = { kind: "fast" }, store = createStore()) {
  const time = { now: 1_000_000 };
  const clock: Clock = { now: () => time.now, sleep: async () => undefined };
  const bugs: unknown[] = [];
  return {
    time,
    store,
    bugs,
    operations: createOperations({ store, clock, clockMode, signingSecret: "secret", onBug: (error) => bugs.push(error) }),
  };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("fast: ends at the poll after the work is done, and the change is seen then, not before", async () => {
  const { operations } = engine();
  const seen: string[] = [];
  operations.define("test/work", { work: async () => "result", finish: () => void seen.push("finished") });
  const { id, retryAfterSeconds } = operations.accept(request);
  expect(retryAfterSeconds).toBe(1);
  await turn();
  expect([operations.poll(id)?.status, seen]).toEqual(["InProgress", []]);
  expect(operations.running("/SUBSCRIPTIONS/s/resourcegroups/g")).toHaveLength(0); // it was polled: it ends with the next look
  expect(operations.poll(id)).toMatchObject({ status: "Succeeded", result: "result" });
  expect(seen).toEqual(["finished"]);
  await operations.close();
});

// trap: postgres 10, appservice 16
test("recorded: ends after the scaled duration, however often it is polled", async () => {
  const { operations, time } = engine({ kind: "recorded", scale: 0.5 });
  const { id, retryAfterSeconds } = operations.accept(request);
  expect(retryAfterSeconds).toBe(15);
  await turn();
  time.now += 29_999;
  for (let polls = 0; polls < 5; polls++) expect(operations.poll(id)?.status).toBe("InProgress");
  time.now += 1;
  expect(operations.poll(id)?.status).toBe("Succeeded");
  await operations.close();
});

test("a refusal of the work is the operation's error; a bug is reported and hidden", async () => {
  const { operations, bugs } = engine();
  operations.define("test/work", {
    work: async () => {
      throw armError(409, "ServerIsBusy", "busy");
    },
  });
  operations.define("test/bug", {
    work: async () => {
      throw new Error("inner");
    },
  });
  const ids = [operations.accept({ ...request, polls: 0 }).id, operations.accept({ ...request, kind: "test/bug", polls: 0 }).id];
  await turn();
  expect(ids.map((id) => operations.poll(id)?.error?.code)).toEqual(["ServerIsBusy", "InternalServerError"]);
  expect(operations.poll(ids[1] ?? "")?.error?.message).not.toContain("inner");
  expect(bugs).toHaveLength(1);
  await operations.close();
});

test("what a kill left unfinished is done again", async () => {
  const store = createStore();
  const killed = engine({ kind: "fast" }, store).operations;
  killed.define("test/work", { work: () => new Promise(() => undefined) });
  const { id } = killed.accept({ ...request, polls: 0 });
  const { operations } = engine({ kind: "fast" }, store);
  operations.define("test/work", { work: async () => "again" });
  operations.resume();
  await turn();
  expect(operations.poll(id)).toMatchObject({ status: "Succeeded", result: "again" });
  await operations.close();
});

test("finished operations are forgotten, the oldest first, running ones never", async () => {
  const { operations, store } = engine();
  operations.define("test/long", { work: () => new Promise(() => undefined) });
  const first = operations.accept({ ...request, kind: "test/long" }).id;
  for (let count = 0; count < 700; count++) {
    operations.accept({ ...request, polls: 0 });
    if (count % 50 === 0) await turn();
  }
  await turn();
  expect(store.collection("operations").list().length).toBeLessThanOrEqual(601);
  expect(operations.peek(first)?.status).toBe("InProgress");
});

test("a signature holds for the very URL it was made for", () => {
  const { operations } = engine();
  const url = operations.sign("https://localhost:1/a/b?api-version=1");
  expect(operations.isSigned(new URL(url))).toBe(true);
  expect(operations.isSigned(new URL(url.replace("/a/b", "/a/c")))).toBe(false);
  expect(operations.isSigned(new URL(url.replace("api-version=1", "api-version=2")))).toBe(false);
  expect(operations.isSigned(new URL("https://localhost:1/a/b?api-version=1"))).toBe(false);
});
