import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test as base, expect } from "vitest";
import { KnownError } from "../../src/base/errors.ts";
import { runProgram } from "../../src/cli/run-program.ts";
import type { GlobalOptions } from "../../src/cli/terminal/io.ts";
import { ownStamp } from "../../src/emulator/process-stamp.ts";
import { startTestEmulator, type TestEmulator } from "./emulator.ts";
import { createFakeIo, type FakeIo } from "./io.ts";

interface RunOptions {
  /** What a person types at the questions; without it nobody is there. */
  readonly answers?: readonly string[];
  readonly directory?: string;
  /** Ctrl-C is typed as soon as such a line is there. */
  readonly stopAt?: RegExp;
  onLine?(text: string): void;
}

interface Ended extends FakeIo {
  readonly code: number;
  /** Everything that was said on stderr. */
  readonly said: string;
}

/** The whole command line in this process, from its words to its exit code, with a fake Io and a local Azure that runs. */
export interface CommandLine {
  readonly emulator: TestEmulator;
  /** A folder of an inited project: a Node app without dependencies, the server `shop-db-t3st`, the web app `shop-api-t3st`. */
  project(): Promise<string>;
  /** A new folder with these files. */
  folder(files?: Readonly<Record<string, string>>): string;
  /** `words`: as they are typed, without `passwordless-pg` and `--local`. */
  run(words: string, options?: RunOptions): Promise<Ended>;
  /** ARM writes that the emulator saw while `work` ran. */
  writesOf(work: () => Promise<unknown>): Promise<string[]>;
}

/** An app that starts at once, and answers everywhere. */
export const plainApp = {
  "package.json": JSON.stringify({ name: "plain", version: "1.0.0", type: "module", scripts: { start: "node server.js" } }),
  "server.js":
    'import { createServer } from "node:http";\ncreateServer((_, answer) => answer.end("ok")).listen(process.env.PORT, () => console.log("up"));\n',
};

const projectFile = JSON.stringify({
  name: "shop",
  location: "eastus",
  resourceGroup: "rg-shop",
  server: { name: "shop-db-t3st" },
  database: "shop",
  apps: { api: { runtime: "node|22-lts", path: ".", name: "shop-api-t3st" } },
});

async function openCommandLine(): Promise<{ cli: CommandLine; release: () => Promise<void> }> {
  const root = mkdtempSync(join(tmpdir(), "ppg-commands-"));
  chmodSync(root, 0o711);
  const homeFolder = join(root, "home");
  mkdirSync(homeFolder, { mode: 0o711 });
  const { emulator, release } = await startTestEmulator({ homeFolder });
  writeFileSync(join(homeFolder, "run.json"), JSON.stringify({ ...ownStamp(), ...emulator.status }), { mode: 0o600 });
  const environment = { PATH: process.env.PATH ?? "", PASSWORDLESS_PG_HOME: homeFolder };
  let project: Promise<string> | undefined;
  const cli: CommandLine = {
    emulator,
    folder: (files = {}) => {
      const folder = mkdtempSync(join(root, "project-"));
      for (const [name, text] of Object.entries(files)) {
        mkdirSync(dirname(join(folder, name)), { recursive: true });
        writeFileSync(join(folder, name), text);
      }
      return folder;
    },
    project: () => {
      project ??= (async () => {
        const folder = cli.folder({ ...plainApp, "passwordless-pg.json": projectFile });
        const { code, said } = await cli.run("init --yes", { directory: folder });
        expect(code, said).toBe(0);
        return folder;
      })();
      return project;
    },
    run: async (words, { answers, directory = root, stopAt, ...more } = {}) => {
      const cancel = new AbortController();
      let io: FakeIo | undefined;
      const openIo = (options: GlobalOptions): FakeIo => {
        const onLine = (text: string): void => {
          more.onLine?.(text);
          if (stopAt?.test(text))
            cancel.abort(new KnownError("cancelled", "stopped by SIGINT", { hint: "run the same command again to go on" }));
        };
        io = createFakeIo({ directory, options, environment, signal: cancel.signal, onLine, ...(answers && { answers }) });
        return io;
      };
      const ioNow = (): FakeIo => io ?? openIo({});
      const running = { openIo, ioNow, signal: cancel.signal, isUnread: () => false };
      const code = await runProgram(["node", "passwordless-pg", "--local", ...words.split(" ")], running);
      expect(ioNow().borrowed.size, "nothing is left to give back").toBe(0);
      return { ...ioNow(), code, said: ioNow().messages.join("\n") };
    },
    writesOf: async (work) => {
      const last = emulator.journal.entries().at(-1)?.n ?? 0;
      await work();
      return emulator.journal
        .entries()
        .filter(
          ({ n, method, path }) =>
            n > last && method !== "GET" && /^\/subscriptions\//.test(path) && !/checkNameAvailability|\/list$/i.test(path),
        )
        .map(({ method, path }) => `${method} ${path}`);
    },
  };
  return {
    cli,
    release: async () => {
      await release();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** All tests of a file share one local Azure. */
export const test = base.extend<{ $file: { cli: CommandLine } }>({
  cli: [
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
    async ({}, use: (cli: CommandLine) => Promise<void>) => {
      const { cli, release } = await openCommandLine();
      await use(cli);
      await release();
    },
    { scope: "file" },
  ],
});
