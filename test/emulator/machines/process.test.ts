import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startProcess, sweepProcesses } from "../../../src/emulator/machines/process.ts";
import { createStore } from "../../../src/emulator/store.ts";

const owner = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/a";

function storeFile(): string {
  const folder = mkdtempSync(join(tmpdir(), "ppg-process-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, "state.json");
}

function start(store: ReturnType<typeof createStore>, script: string, onOutput: (text: string) => void = () => {}) {
  const env = { PATH: "/usr/bin:/bin" };
  return startProcess(
    { owner, command: "/bin/sh", args: ["-c", script], cwd: "/", env, onOutput: (chunk) => onOutput(String(chunk)) },
    store,
  );
}

test("the exit code and all output arrive; nothing stays in the store", async () => {
  const store = createStore();
  let text = "";
  const running = await start(store, "echo out; echo err >&2; exit 3", (chunk) => {
    text += chunk;
  });
  expect(await running.ended).toBe(3);
  expect(text.split("\n").sort()).toEqual(["", "err", "out"]);
  expect(store.collection("processes").list()).toEqual([]);
});

test("stop ends the whole group, also one that ignores SIGTERM", async () => {
  let pid = 0;
  const running = await start(createStore(), "trap '' TERM; sleep 1000 & echo $!; wait; sleep 1000", (chunk) => {
    pid = Number(chunk);
  });
  while (pid === 0) await new Promise((resolve) => setImmediate(resolve));
  await running.stop(200);
  expect(await running.ended).toBe(128 + 9);
  expect(existsSync(`/proc/${running.pid}`)).toBe(false);
});

test("a later local Azure sweeps what a killed one left, and spares a pid that was given away", async () => {
  const file = storeFile();
  const running = await start(createStore(file), "sleep 1000");
  const store = createStore(file); // as the next process would read it
  store.collection("processes").set(String(process.pid), { pid: process.pid, startTime: "1", owner });
  expect(sweepProcesses(store, "/providers/Microsoft.Web/")).toEqual([running.pid]);
  expect(await running.ended).toBe(128 + 9);
  expect(createStore(file).collection("processes").list()).toEqual([]);
});
