import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { systemClock } from "../../../src/base/clock.ts";
import { createIo } from "../../../src/cli/terminal/create-io.ts";
import type { GlobalOptions, Io } from "../../../src/cli/terminal/io.ts";
import { paint } from "../../../src/cli/terminal/style.ts";

function open(options: GlobalOptions, isTerminal = false): { io: Io; written(): { out: string; err: string } } {
  const pipe = () => Object.assign(new PassThrough(), { isTTY: isTerminal });
  const [stdin, stdout, stderr] = [pipe(), pipe(), pipe()];
  const cancel = new AbortController();
  const io = createIo({ stdin, stdout, stderr }, options, {
    environment: { TERM: "xterm" },
    directory: "/",
    packageRoot: "/",
    clock: systemClock,
    signal: cancel.signal,
    interrupts: { areHeld: false },
    onInterrupt: () => undefined,
    stop: (reason) => cancel.abort(reason),
    borrowed: new Set(),
    written: { hasResult: false, isClosed: false },
  });
  const textOf = (stream: PassThrough): string => String(stream.read() ?? "");
  return { io, written: () => ({ out: textOf(stdout), err: textOf(stderr) }) };
}

const hostile = "a\u009b2J\u202eb\u001b]2;owned\u0007\u001b[2J\u001b[31;5mc\rd\u0008";

test("whatever is said, nothing in it steers the terminal; line breaks stay", () => {
  const { io, written } = open({});
  io.result(`${hostile}\nx`);
  io.note(hostile);
  io.complain(hostile);
  expect(written()).toEqual({ out: "abcd\nx\n", err: "abcd\nabcd\n" });
});

test("our own colours stay where there are any, and only they", () => {
  const { io, written } = open({}, true);
  const { red, dim } = paint(io.hasColor);
  io.note(`${red(hostile)} ${dim("x")}`);
  expect(written().err).toBe("\u001b[31mabcd\u001b[39m \u001b[2mx\u001b[22m\n");
});

test("JSON is escaped and reads back", () => {
  const { io, written } = open({ json: true });
  io.result(JSON.stringify({ a: hostile }));
  const { out } = written();
  expect(out).not.toMatch(/[\u007f-\u009f\u202e]/);
  expect(JSON.parse(out)).toEqual({ a: hostile });
});

test("nobody else writes to the terminal", () => {
  const folder = resolve(import.meta.dirname, "../../../src");
  const files = (readdirSync(folder, { recursive: true }) as string[]).filter(
    (name) => name.endsWith(".ts") && !name.startsWith("emulator"),
  );
  const writing = files.filter((name) => /process\.std(out|err)|console\./.test(readFileSync(join(folder, name), "utf8")));
  expect(writing.sort()).toEqual(["cli/main.ts", "cli/run.ts"]);
});
