import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect } from "vitest";
import { ctrlC, ctrlD, openTerminal, type Terminal } from "../support/terminal.ts";
import { watchedTest as test, type WatchedCli } from "../support/watched-cli.ts";

const bin = resolve(import.meta.dirname, "../../bin/passwordless-pg.js");
const hasScript = spawnSync("script", ["--version"]).status === 0;

function open(cli: WatchedCli, args: readonly string[], more: { cwd?: string; columns?: number } = {}): Terminal {
  return openTerminal([process.execPath, bin, ...args], { cwd: cli.project, environment: cli.environment, ...more });
}

/** A folder with an app and no project file. */
function newApp(cli: WatchedCli): string {
  const folder = mkdtempSync(join(cli.root, "new-"));
  writeFileSync(join(folder, "main.py"), "print()\n");
  writeFileSync(join(folder, "requirements.txt"), "fastapi\n");
  return folder;
}

const filesOf = (folder: string): Record<string, string> =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "utf8")]));

const writesSince = ({ emulator }: WatchedCli, last: number): string[] =>
  emulator.journal
    .entries()
    .filter(
      ({ n, method, path }) => n > last && method !== "GET" && /^\/subscriptions\//.test(path) && !/checkNameAvailability/i.test(path),
    )
    .map(({ method, path }) => `${method} ${path}`);

const lastCall = ({ emulator }: WatchedCli): number => emulator.journal.entries().at(-1)?.n ?? 0;

describe.skipIf(!hasScript).sequential("on a terminal", () => {
  const stops = [
    ["Ctrl-C", ctrlC, /✗ stopped by SIGINT/],
    ["Ctrl-D", ctrlD, /✗ stopped at a question/],
  ] as const;

  for (const [key, typed, words] of stops) {
    test.for<[question: string, answers: readonly [question: RegExp, answer: string][], last: RegExp]>([
      ["the project's name", [], /Project name \[/],
      ["the region", [[/Project name \[/, "shop\r"]], /Azure region \[/],
      [
        "the plan",
        [
          [/Project name \[/, "shop\r"],
          [/Azure region \[/, "\r"],
        ],
        /Apply this plan\? \[y\/N\]/,
      ],
    ])(`${key} at the question for %s: 130, and nothing is written`, async ([, answers, last], { cli }) => {
      const folder = newApp(cli);
      const before = filesOf(folder);
      const calls = lastCall(cli);
      for (const command of ["init", "up", "webapp create"]) {
        const terminal = open(cli, [...command.split(" "), "--local", folder]);
        for (const [question, answer] of answers) {
          await terminal.sees(question);
          terminal.type(answer);
        }
        await terminal.sees(last);
        terminal.type(typed);
        expect([command, await terminal.ended]).toEqual([command, 130]);
        expect(terminal.screen().join("\n")).toMatch(words);
        expect(terminal.written()).not.toMatch(/this is a bug|\n\s+at /);
      }
      expect(filesOf(folder)).toEqual(before);
      expect(writesSince(cli, calls)).toEqual([]);
    });

    test(`${key} before a template is laid down`, async ({ cli }) => {
      const folder = mkdtempSync(join(cli.root, "empty-"));
      for (const questions of [[/Project name \[/], [/Project name \[/, /Azure region \[/]]) {
        const terminal = open(cli, ["up", "--local", "--template", "express", folder]);
        for (const [index, question] of questions.entries()) {
          await terminal.sees(question);
          terminal.type(index === questions.length - 1 ? typed : "\r");
        }
        expect(await terminal.ended).toBe(130);
      }
      expect(readdirSync(folder)).toEqual([]);
    });

    test(`${key} where local Azure would be emptied`, async ({ cli }) => {
      const terminal = open(cli, ["local", "reset"]);
      await terminal.sees(/Forget every resource/);
      terminal.type(typed);
      expect(await terminal.ended).toBe(130);
    });
  }

  test("no is no: 1, and nothing is written either", async ({ cli }) => {
    const folder = newApp(cli);
    const before = filesOf(folder);
    const terminal = open(cli, ["init", "--local", folder]);
    await terminal.sees(/Project name/);
    terminal.type("shop\r");
    await terminal.sees(/Azure region/);
    terminal.type("\r");
    await terminal.sees(/Apply this plan/);
    terminal.type("\r");
    expect(await terminal.ended).toBe(1);
    expect(filesOf(folder)).toEqual(before);
  });

  test("down: the list of what goes stands on the screen, whole, when it asks and after", { timeout: 180_000 }, async ({ cli }) => {
    const made = await cli.run(["init", "--local", "--yes"]);
    expect([made.code, made.stderr]).toEqual([0, expect.anything()]);
    const calls = lastCall(cli);
    const whole = (terminal: Terminal): string => terminal.screen().join("");
    for (const columns of [40, 80, 200]) {
      for (const [key, typed, code] of [
        ["Ctrl-C", ctrlC, 130],
        ["Ctrl-D", ctrlD, 130],
        ["no", "n\r", 1],
      ] as const) {
        const terminal = open(cli, ["down", "--local"], { columns });
        await terminal.sees(/Remove this for good[\s\S]*\[y\/N\]/);
        // Words may be broken at the end of a line, but are there.
        for (const part of ["resource group rg-canary", "canary-db-t3st", "canary-api-t3st"])
          expect([columns, key, whole(terminal)]).toEqual([columns, key, expect.stringContaining(part)]);
        const list = terminal.screen().findIndex((line) => line.startsWith("- "));
        expect(list).toBeGreaterThanOrEqual(0);
        terminal.type(typed);
        expect([key, await terminal.ended]).toEqual([key, code]);
        expect(terminal.screen()[list]).toMatch(/^- /);
      }
    }
    expect(writesSince(cli, calls)).toEqual([]);
    const terminal = open(cli, ["down", "--local", "--yes"], { columns: 80 });
    expect(await terminal.ended).toBe(0);
    for (const part of ["- resource group rg-canary", "canary-db-t3st", "canary-api-t3st", "Removed resource group rg-canary"])
      expect(whole(terminal)).toContain(part);
  });
});
