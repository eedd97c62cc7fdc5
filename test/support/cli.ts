import { type ChildProcessByStdio, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Readable, Writable } from "node:stream";
import { test as base } from "vitest";

interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export type Running = ChildProcessByStdio<Writable, Readable, Readable>;

/** The built command line in its own home and folder, as a person has it. */
export interface TestCli {
  readonly home: string;
  /** An empty folder for a project. */
  folder(): string;
  run(args: readonly string[], more?: { environment?: Record<string, string>; cwd?: string }): Promise<Finished>;
  /** Starts it and does not wait. */
  spawn(args: readonly string[], more?: { cwd?: string }): Running;
  /** Processes of this home that still run: the daemon, PostgreSQL servers, apps. */
  processes(): string[];
}

const bin = resolve(import.meta.dirname, "../../bin/passwordless-pg.js");

/** Stops local Azure and deletes everything at the end of the file. */
export const cliTest = base.extend<{ $file: { cli: TestCli } }>({
  cli: [
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
    async ({}, use: (cli: TestCli) => Promise<void>) => {
      const root = mkdtempSync(join(tmpdir(), "ppg-cli-"));
      chmodSync(root, 0o711);
      const home = join(root, "home");
      const environment = { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", PASSWORDLESS_PG_HOME: home };
      const start = (args: readonly string[], more: { environment?: Record<string, string>; cwd?: string } = {}): Running =>
        spawn(process.execPath, [bin, ...args], {
          cwd: more.cwd ?? root,
          env: { ...environment, ...more.environment },
          stdio: ["pipe", "pipe", "pipe"],
        });
      const cli: TestCli = {
        home,
        folder: () => mkdtempSync(join(root, "project-")),
        spawn: start,
        run: async (args, more) => {
          const child = start(args, more);
          child.stdin.end();
          const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exitOf(child)]);
          return { code, stdout, stderr };
        },
        processes: () => processesOf(home),
      };
      await use(cli);
      await cli.run(["local", "stop"]);
      rmSync(root, { recursive: true, force: true });
    },
    { scope: "file" },
  ],
});

export function exitOf(child: Running): Promise<number | null> {
  return new Promise((done) => {
    child.once("close", (code) => done(code));
  });
}

async function text(stream: Readable): Promise<string> {
  let all = "";
  for await (const chunk of stream.setEncoding("utf8")) all += chunk;
  return all;
}

/** By environment and command line: everything local Azure starts knows its home by one of the two. */
function processesOf(home: string): string[] {
  const found: string[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
      if (command.includes(home) || environment.includes(home)) found.push(`${pid} ${command}`);
    } catch {
      // it ended meanwhile
    }
  }
  return found;
}
