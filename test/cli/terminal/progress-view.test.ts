import { clearLine, cursorTo, moveCursor } from "node:readline";
import { PassThrough, Writable } from "node:stream";
import { describe, expect, test, vi } from "vitest";
import { systemClock } from "../../../src/base/clock.ts";
import { createIo } from "../../../src/cli/terminal/create-io.ts";
import type { Io } from "../../../src/cli/terminal/io.ts";
import { defineStep } from "../../../src/engine/step.ts";
import { screenOf } from "../../support/terminal.ts";

/** An Io whose stdout and stderr are one terminal (or one pipe), and what stands there. */
function open({ columns, isTerminal = true }: { columns: number; isTerminal?: boolean }) {
  let all = "";
  const output = new Writable({
    write(chunk, _encoding, done) {
      all += isTerminal ? String(chunk).replaceAll("\n", "\r\n") : String(chunk);
      done();
    },
  });
  const terminal = Object.assign(output, {
    isTTY: isTerminal,
    columns,
    cursorTo: (x: number) => cursorTo(output, x),
    moveCursor: (x: number, y: number) => moveCursor(output, x, y),
    clearLine: (direction: -1 | 0 | 1) => clearLine(output, direction),
  });
  const stdin = Object.assign(new PassThrough(), { isTTY: isTerminal });
  const io: Io = createIo(
    { stdin, stdout: terminal, stderr: terminal },
    {},
    {
      environment: { TERM: "xterm" },
      directory: "/",
      packageRoot: "/",
      clock: systemClock,
      signal: new AbortController().signal,
      interrupts: { areHeld: false },
      onInterrupt: () => undefined,
      stop: () => undefined,
      borrowed: new Set(),
      written: { hasResult: false, isClosed: false },
    },
  );
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours, as a terminal takes them
  const screen = (): string[] => screenOf(all, columns).map((line) => line.replace(/\u001b\[[0-9]*m/g, ""));
  return { io, stdin, screen, written: () => all };
}

describe.each([40, 80])("on a terminal of %d columns", (columns) => {
  test("tasks stand below what is said meanwhile, none breaks a line, and nothing of them is left", async () => {
    const { io, screen, written } = open({ columns });
    const { progress } = io;
    progress.begin("flexible server", "create");
    progress.begin("web app api with a name that is longer than any terminal of forty columns", "create");
    progress.detail("flexible server", "Azure tells a long story about the server that is being made, word by word");
    await vi.waitFor(() => expect(written()).toMatch(/flexible server/));
    io.note("first");
    io.result("second");
    const [first, second, ...tasks] = screen();
    expect([first, second]).toEqual(["first", "second"]);
    expect(tasks).toEqual([
      expect.stringMatching(/^\S flexible server create \d+ ms$/),
      expect.stringMatching(/^ {4}Azure tells/),
      expect.stringMatching(/^ {2}web app api with a.* create \d+ ms$/),
    ]);
    progress.end("flexible server", "created", 1234);
    progress.end("web app api with a name that is longer than any terminal of forty columns", "failed", 1);
    expect(screen().join("")).toMatch(/^firstsecond\+ flexible server created 1\.2 s✗ web app api with.*failed 1 ms$/);
    expect(written(), "the cursor is never hidden").not.toContain("\u001b[?25l");
  });
});

test("a question has the terminal for itself; the task goes on below its answer", async () => {
  const { io, stdin, screen, written } = open({ columns: 80 });
  await io.progress.during("reading", "read", async () => {
    await vi.waitFor(() => expect(written()).toMatch(/reading/));
    const answer = io.confirm("Apply?", "--yes");
    expect(screen()).toEqual(["Apply? [y/N]"]);
    const before = written().length;
    await systemClock.sleep(300); // more than two drawings
    expect(written().slice(before)).toBe("");
    stdin.write("y\n");
    expect(await answer).toBe(true);
    io.note("yes");
    expect(screen().at(-1)).toMatch(/^\S reading/);
  });
});

test("what an adapter tells while it waits goes to the task that it works for", async () => {
  const { io, screen, written } = open({ columns: 80 });
  const { progress } = io;
  const told = (text: string) => async (): Promise<void> => {
    await Promise.resolve();
    progress.onWait(text);
    await vi.waitFor(() => expect(written()).toContain(text));
    io.note("x");
    expect(screen().join("\n")).toMatch(new RegExp(`${text.slice(-1)} work.*\n {4}${text}`));
  };
  await Promise.all([progress.during("a", "work", told("told of a")), progress.during("b", "work", told("told of b"))]);
});

test("elsewhere there is a plain line for each beginning and end, and none for waiting", async () => {
  const { io, written } = open({ columns: 80, isTerminal: false });
  await io.progress.during("reading", "read", async () => io.progress.onWait("still reading"));
  const step = defineStep({ name: "web app", needs: {}, read: async () => ({}), plan: () => ({ kind: "keep" }), apply: async () => {} });
  io.progress.onProgress({ kind: "begins", name: "web app", does: "create" });
  io.progress.detail("web app", "half\nway");
  io.progress.onProgress({ kind: "ends", report: { step, name: "web app", outcome: "created", ms: 5, observed: {} } });
  expect(written()).toBe("… web app: create\n  web app: half way\n+ web app created 5 ms\n");
});
