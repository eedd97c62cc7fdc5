import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, test as base, beforeAll, expect } from "vitest";
import { localStatus, requireAnswer, resetLocal, startLocal, stopLocal } from "../../src/emulator/local.ts";
import { isSameProcess, type ProcessStamp } from "../../src/emulator/process-stamp.ts";
import { buildDaemon } from "../support/daemon.ts";
import { httpsCall } from "../support/emulator.ts";
import { until } from "../support/patience.ts";
import { keepTemplates, lendTemplates } from "../support/templates.ts";

let daemonFile = "";
let release = (): void => undefined;

beforeAll(async () => {
  [daemonFile, release] = await buildDaemon();
});

afterAll(() => release());

const test = base.extend<{ home: string }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
  home: async ({}, use) => {
    const home = mkdtempSync(join(tmpdir(), "ppg-home-"));
    lendTemplates(home);
    await use(home);
    await stopLocal(home);
    keepTemplates(home);
    rmSync(home, { recursive: true, force: true });
  },
});

const options = () => ({ daemonFile });

test("starts, answers, and a second start gives the same daemon", async ({ home }) => {
  expect(await localStatus(home)).toEqual({ running: false, home });
  const started = await startLocal(home, options());
  expect(started).toMatchObject({ running: true, home });
  expect(await startLocal(home, options())).toEqual(started);
  const key = readFileSync(started.controlKeyFile, "utf8");
  const ca = readFileSync(started.caFile, "utf8");
  const told = await httpsCall(`${started.arm}/_local/status`, ca, { headers: { authorization: `Bearer ${key}` } });
  expect(told.body).toMatchObject({ running: true, pid: started.pid, arm: started.arm });
  expect(statSync(join(home, "keys")).mode & 0o777).toBe(0o700);
  for (const file of readdirSync(join(home, "keys")))
    expect([file, statSync(join(home, "keys", file)).mode & 0o777]).toEqual([file, 0o600]);
});

test("several starters at once get one daemon", async ({ home }) => {
  const all = await Promise.all([1, 2, 3].map(() => startLocal(home, options())));
  expect(new Set(all.map(({ pid }) => pid)).size).toBe(1);
});

test("stop ends the process and the port; the next start takes the same port and subscription", async ({ home }) => {
  const first = await startLocal(home, options());
  const stamp = JSON.parse(readFileSync(join(home, "run.json"), "utf8")) as ProcessStamp;
  expect(isSameProcess(stamp)).toBe(true);
  expect(await stopLocal(home)).toBe(true);
  expect(isSameProcess(stamp)).toBe(false);
  expect(existsSync(join(home, "run.json"))).toBe(false);
  expect(await stopLocal(home)).toBe(false);
  const second = await startLocal(home, options());
  expect({ arm: second.arm, subscriptionId: second.subscriptionId }).toEqual({ arm: first.arm, subscriptionId: first.subscriptionId });
});

test("a daemon killed with SIGKILL does not look like a running one and can be started again", async ({ home }) => {
  const first = await startLocal(home, options());
  process.kill(first.pid, "SIGKILL");
  await until("it is gone", async () => !(await localStatus(home)).running);
  expect(await localStatus(home)).toEqual({ running: false, home });
  const second = await startLocal(home, options());
  expect(second.pid).not.toBe(first.pid);
  expect(second.subscriptionId).toBe(first.subscriptionId);
});

test("reset forgets the subscription, keeps the caches", async ({ home }) => {
  const first = await startLocal(home, options());
  await resetLocal(home);
  expect(await localStatus(home)).toEqual({ running: false, home });
  expect(existsSync(join(home, "keys"))).toBe(false);
  expect(existsSync(join(home, "cache"))).toBe(true);
  expect((await startLocal(home, options())).subscriptionId).not.toBe(first.subscriptionId);
});

test("a taken port is named", async ({ home }) => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as { port: number };
  try {
    await expect(startLocal(home, { ...options(), port })).rejects.toMatchObject({
      code: "local/port-in-use",
      message: expect.stringContaining(String(port)),
    });
  } finally {
    other.close();
  }
});

test("a start that is cancelled half-way leaves no daemon", async ({ home }) => {
  const controller = new AbortController();
  const starting = startLocal(home, { ...options(), signal: controller.signal });
  const refused = expect(starting).rejects.toMatchObject({ code: "cancelled" });
  await until("a daemon begins", () => existsSync(join(home, "local.log")));
  controller.abort();
  await refused;
  expect((await localStatus(home)).running).toBe(false);
});

test.for(['{"web/sites":{}}', '{"format":1,"data":{}}', '{"format":', "null", ""])(
  "a state that is not of this version is told, not misread, and reset is the way out: %j",
  async (text, { home }) => {
    await startLocal(home, options());
    await stopLocal(home);
    writeFileSync(join(home, "state.json"), text);
    await expect(startLocal(home, options())).rejects.toMatchObject({
      code: "local/failed",
      message: expect.stringContaining("state.json"),
      hint: expect.stringContaining("local reset"),
    });
    await resetLocal(home);
    expect(await startLocal(home, options())).toMatchObject({ running: true, home });
  },
);

test("a start that asks for another port, clock or token lifetime than what runs is refused and says so; one that asks for the same is not", async ({
  home,
}) => {
  const started = await startLocal(home, { ...options(), clockMode: { kind: "recorded", scale: 0.5 }, tokenLifetimeSeconds: 900 });
  const port = Number(new URL(started.arm).port);
  const others = [{ port: port === 65_535 ? port - 1 : port + 1 }, { clockMode: { kind: "fast" } as const }, { tokenLifetimeSeconds: 901 }];
  for (const other of others) {
    await expect(startLocal(home, { ...options(), ...other })).rejects.toMatchObject({
      code: "local/failed",
      message: expect.stringContaining(
        String(Object.keys(other)[0] === "port" ? port : Object.keys(other)[0] === "clockMode" ? "fast" : 901),
      ),
      hint: expect.stringContaining("local stop"),
    });
  }
  const same = { port, clockMode: { kind: "recorded", scale: 0.5 }, tokenLifetimeSeconds: 900 } as const;
  expect(await startLocal(home, { ...options(), ...same })).toEqual(started);
  expect(await startLocal(home, options())).toEqual(started);
});

test("a suspended daemon is ended in order, and soon", async ({ home }) => {
  const { pid } = await startLocal(home, options());
  process.kill(pid, "SIGSTOP");
  const before = performance.now();
  expect(await stopLocal(home)).toBe(true);
  expect(performance.now() - before).toBeLessThan(10_000);
  expect(readFileSync(join(home, "local.log"), "utf8")).toMatch(/ ended\n$/);
});

test("apps, keys and packages are closed to other users, and so is what an older version left open", async ({ home }) => {
  for (const name of ["keys", "sites", "cache"]) mkdirSync(join(home, name), { mode: 0o755 });
  await startLocal(home, options());
  const modes = ["keys", "sites", "cache", "postgres", "."].map((name) => [name, (statSync(join(home, name)).mode & 0o777).toString(8)]);
  expect(Object.fromEntries(modes)).toEqual({ keys: "700", sites: "700", cache: "700", postgres: "711", ".": "711" });
});

test("a daemon that runs but does not answer is told of soon, with the way out", async ({ home }) => {
  const started = await startLocal(home, options());
  const { signal } = new AbortController();
  await requireAnswer(started, signal);
  process.kill(started.pid, "SIGSTOP");
  await expect(requireAnswer(started, signal, 300)).rejects.toMatchObject({
    code: "local/failed",
    hint: expect.stringContaining("local stop"),
  });
  process.kill(started.pid, "SIGCONT");
  await requireAnswer(started, signal);
});
