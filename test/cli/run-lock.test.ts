import { existsSync, linkSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test as plain } from "vitest";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import type { Io } from "../../src/cli/io.ts";
import { withRunLock } from "../../src/cli/run-lock.ts";

const test = plain.extend<{ folder: string }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest wants the pattern
  folder: async ({}, use) => {
    const folder = mkdtempSync(join(tmpdir(), "ppg-lock-"));
    await use(folder);
    rmSync(folder, { recursive: true });
  },
});

const ioOf = (notes: string[]) =>
  ({ signal: new AbortController().signal, note: (text: string) => void notes.push(text) }) as unknown as Io;

async function listenAt(path: string): Promise<Server> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(path, done));
  return server;
}

/** Where the lock of these tests is. */
async function pathIn(folder: string): Promise<string> {
  let names: string[] = [];
  await withRunLock(ioOf([]), { project: "p", command: "up", clock: systemClock, socketFolder: folder }, async () => {
    names = readdirSync(folder);
  });
  return join(folder, names[0] ?? "");
}

/** What a killed run leaves: a socket's file that nobody listens at. */
async function deadSocketIn(folder: string): Promise<string> {
  const path = await pathIn(folder);
  const dead = await listenAt(`${path}.dead`);
  linkSync(`${path}.dead`, path);
  await new Promise((done) => dead.close(done));
  return path;
}

test("a holder that is suspended is told of, and waited for half an hour only", async ({ folder, onTestFinished }) => {
  const path = await pathIn(folder);
  const mute = await listenAt(path);
  onTestFinished(() => void mute.close());
  let now = 0;
  const clock: Clock = {
    ...systemClock,
    now: () => now,
    sleep: async () => {
      now += 11 * 60_000;
    },
  };
  const notes: string[] = [];
  const waiting = withRunLock(ioOf(notes), { project: "p", command: "up", clock, socketFolder: folder }, async () => "never");
  await expect(waiting).rejects.toMatchObject({ code: "azure/busy" });
  expect(notes).toEqual([expect.stringContaining("does not answer")]);
});

test("the file of a killed run is no lock; those who find it work one at a time", async ({ folder }) => {
  await deadSocketIn(folder);
  let inside = 0;
  let most = 0;
  const run = async (number: number): Promise<void> => {
    const clock: Clock = { ...systemClock, sleep: async () => systemClock.sleep(number) };
    await withRunLock(ioOf([]), { project: "p", command: "up", clock, socketFolder: folder }, async () => {
      inside += 1;
      most = Math.max(most, inside);
      await systemClock.sleep(20);
      inside -= 1;
    });
  };
  await Promise.all(Array.from({ length: 12 }, (_, number) => run(number)));
  expect(most).toBe(1);
  expect(readdirSync(folder)).toEqual([]);
});

test("while another waiter removes that file, it is left alone; a guard left behind is named", async ({ folder }) => {
  const path = await deadSocketIn(folder);
  const guard = `${path}.guard`;
  writeFileSync(guard, "");
  const seen: boolean[] = [];
  const clock: Clock = {
    ...systemClock,
    sleep: async () => {
      seen.push(existsSync(path));
      if (seen.length === 3) utimesSync(guard, 0, 0);
    },
  };
  const waiting = withRunLock(ioOf([]), { project: "p", command: "up", clock, socketFolder: folder }, async () => "never");
  await expect(waiting).rejects.toMatchObject({ code: "azure/busy", hint: expect.stringContaining(guard) });
  expect(seen).toEqual([true, true, true]);
});
