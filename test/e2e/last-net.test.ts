import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect } from "vitest";
import { watchedTest as test, type WatchedCli } from "../support/watched-cli.ts";

const bin = resolve(import.meta.dirname, "../../bin/passwordless-pg.js");

/** Breaks inside of the command line, from outside: at SIGUSR2, in the way that the variable says. */
const injection = `
import { EventEmitter } from "node:events";
import { Readable } from "node:stream";
const ways = {
  "an error event that nobody hears": () => void new EventEmitter().emit("error", new Error("injected")),
  "a stream that breaks": () => void new Readable({ read() { this.destroy(new Error("injected")); } }).resume(),
  "a promise that was forgotten": () => void Promise.reject(new Error("injected")),
  "something that is no error": () => { throw "injected"; },
  "a fault in each turn": () => void setInterval(() => { throw new Error("injected"); }, 1),
};
process.on("SIGUSR2", () => setImmediate(ways[process.env.PPG_BREAKS]));
`;
const ways = [...injection.matchAll(/^ {2}"([^"]+)":/gm)].map(([, way]) => way ?? "");

const openings = ({ emulator }: WatchedCli): string[] =>
  emulator.platform.store
    .collection<{ name: string }>("postgres-firewall-rules")
    .list()
    .map(({ name }) => name)
    .filter((name) => name.startsWith("passwordless-pg-"));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function endOf(child: ChildProcess): Promise<Ended> {
  let [stdout, stderr] = ["", ""];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  child.stdin?.end();
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

/** Until an opening is there, or the run has ended. */
async function opened(cli: WatchedCli, end: Promise<unknown>): Promise<void> {
  let hasEnded = false;
  void end.finally(() => {
    hasEnded = true;
  });
  while (!hasEnded && openings(cli).length === 0) await new Promise((done) => setTimeout(done, 5));
}

/** What Node itself prints before it ends a process. */
const noCrash = /throw er;|Unhandled 'error' event|triggerUncaughtException|\nNode\.js v\d/;
const temporaryOf = ({ temporary }: WatchedCli): string[] => readdirSync(temporary);

describe.sequential("a run that breaks while its firewall opening is there", () => {
  test.for(ways)("%s: closes it, one JSON document, no crash", { timeout: 60_000 }, async (way, { cli }) => {
    const inject = join(cli.root, "inject.mjs");
    writeFileSync(inject, injection);
    await cli.run(["init", "--local", "--yes"]);
    for (const json of [["--json"], []]) {
      // So that the run has something to do with the database.
      const breaking = { PPG_BREAKS: way, NODE_OPTIONS: `--import ${pathToFileURL(inject)}` };
      const child = cli.spawn(["verify", "--local", ...json], breaking);
      const end = endOf(child);
      await opened(cli, end);
      expect(openings(cli)).toHaveLength(1);
      child.kill("SIGUSR2");
      const { code, stdout, stderr } = await end;
      expect([way, code, stderr]).toEqual([way, 1, expect.stringMatching(/this is a bug in passwordless-pg\n[^\n]*injected/)]);
      expect(stderr).toMatch(/→ run the same command again; if it stays so, report it/);
      expect(stderr).not.toMatch(noCrash);
      if (json.length > 0) expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: "bug", message: "injected" } });
      expect([openings(cli), temporaryOf(cli)]).toEqual([[], []]);
    }
  });

  test("an app's file that is written to all the time: one known error, with the way out", { timeout: 120_000 }, async ({ cli }) => {
    const log = join(cli.project, "dev.log");
    for (const command of ["up --yes", "deploy"]) {
      const writer = setInterval(() => appendFileSync(log, "one more line\n"), 1);
      const args = [...command.split(" "), "--local"];
      const json = await endOf(cli.spawn([...args, "--json"]));
      const text = await endOf(cli.spawn(args));
      clearInterval(writer);
      const said = JSON.stringify(JSON.parse(json.stdout));
      expect([command, json.code, said]).toEqual([command, 2, expect.stringContaining("dev.log changed while the app was packed")]);
      expect([command, text.code, text.stderr]).toEqual([
        command,
        2,
        expect.stringMatching(/✗ .*dev\.log changed.*\n {2}→ .*\.webappignore/),
      ]);
      for (const { stderr } of [json, text]) expect(stderr).not.toMatch(noCrash);
      expect([openings(cli), temporaryOf(cli)]).toEqual([[], []]);
    }
    rmSync(log);
  });

  test("a file that shrinks or goes while its bytes are sent", { timeout: 120_000 }, async ({ cli }) => {
    const file = join(cli.project, "large.bin");
    for (const change of [(name: string) => truncateSync(name, 1000), (name: string) => rmSync(name)]) {
      writeFileSync(file, Buffer.alloc(64 * 1024 * 1024, "data"));
      writeFileSync(join(cli.project, "a.bin"), Buffer.alloc(64 * 1024 * 1024, "data"));
      const child = cli.spawn(["deploy", "--local", "--json"]);
      child.stderr?.on("data", (text: Buffer) => {
        if (text.includes("uploading") && existsSync(file)) change(file);
      });
      const { code, stdout, stderr } = await endOf(child);
      expect([code, JSON.parse(stdout)]).toMatchObject([
        2,
        { error: { code: "deploy/package-invalid", message: /large\.bin (changed|vanished)/ } },
      ]);
      expect(stderr).not.toMatch(noCrash);
      rmSync(file, { force: true });
      rmSync(join(cli.project, "a.bin"));
    }
  });

  test("its own output in the app's folder is no part of the app", { timeout: 120_000 }, async ({ cli }) => {
    const run = async (): Promise<{ code: number | null; deployments: unknown }> => {
      const line = `'${process.execPath}' '${bin}' up --local --yes --json > up.json 2> up.err`;
      const child = spawn("sh", ["-c", line], { cwd: cli.project, env: cli.environment, stdio: ["pipe", "pipe", "pipe"] });
      const { code } = await endOf(child);
      const { steps } = JSON.parse(readFileSync(join(cli.project, "up.json"), "utf8")) as { steps: { name: string; outcome: string }[] };
      return { code, deployments: steps.filter(({ name }) => name.startsWith("deployment")).map(({ outcome }) => outcome) };
    };
    expect((await run()).code).toBe(0);
    expect(await run()).toEqual({ code: 0, deployments: ["kept"] });
  });

  test("a reader that is gone is no failure to complain of", { timeout: 60_000 }, async ({ cli }) => {
    for (const [args, reader] of [
      ["plan --json", "head -c 5"],
      ["plan", "true"],
      ["verify", "head -n 1"],
      ["server show", "head -n 1"],
      ["--help", "true"],
    ]) {
      const line = `'${process.execPath}' '${bin}' ${args} --local | ${reader}`;
      const child = spawn("sh", ["-c", line], { cwd: cli.project, env: cli.environment, stdio: ["pipe", "pipe", "pipe"] });
      const { stderr } = await endOf(child);
      expect([args, stderr]).toEqual([args, expect.not.stringMatching(/✗|EPIPE|\n\s+at /)]);
    }
    expect(openings(cli)).toEqual([]);
  });
});
