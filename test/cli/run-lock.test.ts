import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test as plain } from "vitest";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { withRunLock } from "../../src/cli/run-lock.ts";
import type { Io } from "../../src/cli/terminal/io.ts";

const test = plain.extend<{ folder: string }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest wants the pattern
  folder: async ({}, use) => {
    const folder = mkdtempSync(join(tmpdir(), "ppg-lock-"));
    await use(folder);
    rmSync(folder, { recursive: true, force: true });
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
  await withRunLock(ioOf([]), { project: "p", command: "up", clock: systemClock, socketFolders: [folder] }, async () => {
    names = readdirSync(folder);
  });
  return join(folder, names[0] ?? "");
}

/** What a killed run leaves: a socket's file that nobody listens at. */
async function deadSocketIn(folder: string): Promise<string> {
  const path = await pathIn(folder);
  mkdirSync(folder, { mode: 0o700 }); // the last run took the empty one away
  const dead = await listenAt(`${path}.dead`);
  linkSync(`${path}.dead`, path);
  await new Promise((done) => dead.close(done));
  return path;
}

test("a holder that is suspended is told of, and waited for half an hour only", async ({ folder, onTestFinished }) => {
  const path = await pathIn(folder);
  mkdirSync(folder, { mode: 0o700 });
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
  const waiting = withRunLock(ioOf(notes), { project: "p", command: "up", clock, socketFolders: [folder] }, async () => "never");
  await expect(waiting).rejects.toMatchObject({ code: "azure/busy" });
  expect(notes).toEqual([expect.stringContaining("does not answer")]);
});

test("the file of a killed run is no lock; those who find it work one at a time", async ({ folder }) => {
  await deadSocketIn(folder);
  let inside = 0;
  let most = 0;
  const run = async (number: number): Promise<void> => {
    const clock: Clock = { ...systemClock, sleep: async () => systemClock.sleep(number) };
    await withRunLock(ioOf([]), { project: "p", command: "up", clock, socketFolders: [folder] }, async () => {
      inside += 1;
      most = Math.max(most, inside);
      await systemClock.sleep(20);
      inside -= 1;
    });
  };
  await Promise.all(Array.from({ length: 12 }, (_, number) => run(number)));
  expect(most).toBe(1);
  expect(existsSync(folder)).toBe(false);
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
  const waiting = withRunLock(ioOf([]), { project: "p", command: "up", clock, socketFolders: [folder] }, async () => "never");
  await expect(waiting).rejects.toMatchObject({ code: "azure/busy", hint: expect.stringContaining(guard) });
  expect(seen).toEqual([true, true, true]);
});

// The folder of a run could be made by anybody first, where everybody may write.
const foreign: Readonly<Record<string, (folder: string) => void>> = {
  "open to others": (folder) => {
    mkdirSync(folder);
    chmodSync(folder, 0o777);
  },
  "open to the group": (folder) => {
    mkdirSync(folder);
    chmodSync(folder, 0o710);
  },
  "a link to a folder of ours": (folder) => {
    mkdirSync(`${folder}.real`, { mode: 0o700 });
    symlinkSync(`${folder}.real`, folder);
  },
  "a file": (folder) => writeFileSync(folder, ""),
  ...(process.getuid?.() === 0 && {
    "another user's": (folder: string) => {
      mkdirSync(folder, { mode: 0o700 });
      chownSync(folder, 65_534, 65_534);
    },
  }),
};

test.for(Object.keys(foreign))(
  "a folder that is not this user's alone is gone around, and refused where there is no other: %s",
  async (kind, { folder }) => {
    const [taken, own] = [join(folder, "taken"), join(folder, "own")];
    foreign[kind]?.(taken);
    const request = { project: "p", command: "up", clock: systemClock };
    const seen = await withRunLock(ioOf([]), { ...request, socketFolders: [taken, own] }, async () => readdirSync(own));
    expect(seen).toEqual([expect.stringMatching(/^[0-9a-f]{24}\.sock$/)]);
    await expect(withRunLock(ioOf([]), { ...request, socketFolders: [taken] }, async () => "never")).rejects.toMatchObject({
      code: "project/unwritable",
      message: expect.stringContaining(taken),
      hint: expect.stringContaining("TMPDIR"),
    });
    if (lstatSync(taken).isDirectory()) expect(readdirSync(taken)).toEqual([]);
  },
);

test("a folder where anybody may put another in its place is no place for it", async ({ folder }) => {
  const open = join(folder, "open");
  mkdirSync(open);
  const lockIn = (mode: number) => {
    chmodSync(open, mode);
    return withRunLock(ioOf([]), { project: "p", command: "up", clock: systemClock, socketFolders: [join(open, "x")] }, async () => "held");
  };
  await expect(lockIn(0o777)).rejects.toMatchObject({ code: "project/unwritable" });
  expect(await lockIn(0o1777)).toBe("held");
});

test.for([
  ["escapes", { pid: 1, command: "up\u001b]2;PWNED\u0007\u001b[2J", since: "\u009b31mnow\u202e" }],
  ["without end", { pid: 1, command: "x".repeat(10_000_000), since: "" }],
  ["no words", { pid: {}, command: ["up"], since: null }],
] as const)("what a holder says of itself is harmless on a terminal and bounded: %s", async ([, said], { folder, onTestFinished }) => {
  const path = await pathIn(folder);
  mkdirSync(folder, { mode: 0o700 });
  const liar = createServer((socket) => socket.on("error", () => undefined).end(JSON.stringify(said)));
  await new Promise<void>((done) => liar.listen(path, done));
  onTestFinished(() => void liar.close());
  let now = 0;
  const clock: Clock = {
    ...systemClock,
    now: () => now,
    sleep: async () => {
      now += 11 * 60_000;
    },
  };
  const notes: string[] = [];
  const waiting = withRunLock(ioOf(notes), { project: "p", command: "up", clock, socketFolders: [folder] }, async () => "never");
  const error: Error = await waiting.then(
    () => expect.fail("it ran"),
    (reason: Error) => reason,
  );
  for (const words of [...notes, error.message]) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    expect(words).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
    expect(words.length).toBeLessThan(300);
  }
});

test.runIf(process.platform === "linux")("the lock is a file and no abstract name that other users could take", async ({ folder }) => {
  const { readFileSync } = await import("node:fs");
  const names = await withRunLock(ioOf([]), { project: "p", command: "up", clock: systemClock, socketFolders: [folder] }, async () =>
    readFileSync("/proc/net/unix", "utf8").split("\n"),
  );
  expect(names.filter((line) => line.includes(folder))).toHaveLength(1);
  expect(names.filter((line) => /@.*passwordless-pg/.test(line))).toEqual([]);
});

test("a folder that another run's end takes away just before the lock is made is made again", async ({ folder }) => {
  const common = join(folder, "common");
  let isTaken = false;
  // The iterator is closed when the folder was found good, right before the socket is made.
  const socketFolders = Object.assign([common], {
    *[Symbol.iterator]() {
      try {
        yield common;
      } finally {
        if (!isTaken) rmSync(common, { recursive: true });
        isTaken = true;
      }
    },
  });
  const held = await withRunLock(ioOf([]), { project: "p", command: "up", clock: systemClock, socketFolders }, async () => isTaken);
  expect(held).toBe(true);
});
