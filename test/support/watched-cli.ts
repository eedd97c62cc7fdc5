import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { test as base } from "vitest";
import { ownStamp } from "../../src/emulator/process-stamp.ts";
import { startTestEmulator, type TestEmulator } from "./emulator.ts";
import { PATIENCE_MS } from "./patience.ts";

interface Watched {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Command lines and environments of every process it started, as seen in `/proc`. */
  readonly children: readonly { readonly command: string; readonly environment: string }[];
}

interface RunOptions {
  readonly environment?: Record<string, string>;
  readonly input?: string;
  /** On a terminal of its own; what it shows is `stdout`. */
  readonly onTerminal?: boolean;
}

/**
 * The built command line against a local Azure in this process, which tells of every token it gives out: no word of what the command line
 * prints, starts and leaves behind may hold one.
 */
export interface WatchedCli {
  readonly emulator: TestEmulator;
  readonly root: string;
  readonly project: string;
  /** Temporary folder of the command line. */
  readonly temporary: string;
  /** Of every process of the command line. */
  readonly environment: Readonly<Record<string, string>>;
  run(args: readonly string[], options?: RunOptions): Promise<Watched>;
  /** Starts it on pipes and does not wait. */
  spawn(args: readonly string[], environment?: Record<string, string>): ReturnType<typeof spawn>;
  /** How many tokens were given out. */
  tokenCount(): number;
  /** Names of the secrets that the text holds: tokens (whole or a part), passwords, keys. Empty is good. */
  secretsIn(text: string): string[];
  /** Further secrets by name. */
  addSecret(name: string, secret: string): void;
  /** Files below the root, outside the closed folder `keys`, that hold a secret. */
  leakingFiles(): string[];
  release(): Promise<void>;
}

const bin = resolve(import.meta.dirname, "../../bin/passwordless-pg.js");

/** An app without dependencies that asks for a token of its identity at its start, as every passwordless app does. */
const appFiles = {
  "package.json": JSON.stringify({ name: "canary", version: "1.0.0", type: "module", scripts: { start: "node server.js" } }),
  "server.js": [
    'import { createServer } from "node:http";',
    'const url = process.env.IDENTITY_ENDPOINT + "?api-version=2019-08-01&resource=https://ossrdbms-aad.database.windows.net";',
    'const { access_token } = await (await fetch(url, { headers: { "X-IDENTITY-HEADER": process.env.IDENTITY_HEADER } })).json();',
    'console.log("has a token of", access_token.length, "characters");',
    'createServer((_, answer) => answer.end("ok")).listen(process.env.PORT);',
  ].join("\n"),
  "passwordless-pg.json": JSON.stringify({
    name: "canary",
    location: "eastus",
    resourceGroup: "rg-canary",
    server: { name: "canary-db-t3st" },
    apps: { api: { runtime: "node|22-lts", path: ".", startup: "node server.js", health: "/healthz", name: "canary-api-t3st" } },
  }),
};

export async function openWatchedCli(): Promise<WatchedCli> {
  const root = mkdtempSync(join(tmpdir(), "ppg-canary-"));
  chmodSync(root, 0o711);
  const [homeFolder, project, temporary] = [join(root, "home"), join(root, "project"), join(root, "tmp")];
  for (const folder of [homeFolder, project, temporary]) mkdirSync(folder, { mode: 0o711 });
  for (const [name, text] of Object.entries(appFiles)) writeFileSync(join(project, name), text);

  const { emulator, release } = await startTestEmulator({ homeFolder, isCallerOutside: true });
  writeFileSync(join(homeFolder, "run.json"), JSON.stringify({ ...ownStamp(), ...emulator.status }), { mode: 0o600 });
  const tokens: string[] = [];
  const giver = emulator.platform.tokens;
  const { mint } = giver;
  giver.mint = (...wanted) => {
    const minted = mint(...wanted);
    tokens.push(minted.token);
    return minted;
  };
  const secrets = new Map<string, string>();
  const keys = join(homeFolder, "keys");
  const learnKeys = (): void => {
    for (const name of readdirSync(keys)) {
      const text = readFileSync(join(keys, name), "utf8");
      // The middle of a PEM file is its own; its CA certificate is public.
      if (name !== "ca.pem") secrets.set(name, text.startsWith("-----") ? (text.split("\n")[2] ?? text) : text);
    }
  };
  const environment = { PATH: process.env.PATH ?? "", HOME: root, TMPDIR: temporary, TERM: "xterm", PASSWORDLESS_PG_HOME: homeFolder };
  const start: WatchedCli["spawn"] = (args, more = {}) =>
    spawn(process.execPath, [bin, ...args], { cwd: project, env: { ...environment, ...more }, stdio: ["pipe", "pipe", "pipe"] });
  const secretsIn = (text: string): string[] => {
    learnKeys();
    const found = [...secrets].filter(([, secret]) => text.includes(secret)).map(([name]) => name);
    const pieces = tokens.flatMap((token) => token.split(".").slice(1)).map((piece) => piece.slice(-60, -20));
    if (pieces.some((piece) => text.includes(piece))) found.push("a token");
    if (/eyJ[\w-]{10,}\.[\w-]{10,}/.test(text)) found.push("what looks like a token");
    return found;
  };
  return {
    emulator,
    root,
    project,
    temporary,
    environment,
    spawn: start,
    tokenCount: () => tokens.length,
    addSecret: (name, secret) => void secrets.set(name, secret),
    secretsIn,
    run: async (args, options = {}) => {
      const child = options.onTerminal
        ? spawn("script", ["-qec", [process.execPath, bin, ...args].map((word) => `'${word}'`).join(" "), "/dev/null"], {
            cwd: project,
            env: { ...environment, ...options.environment },
            stdio: ["pipe", "pipe", "pipe"],
          })
        : start(args, options.environment);
      const children = new Map<string, { command: string; environment: string }>();
      const look = setInterval(() => lookAtChildren(child.pid ?? 0, children), 10);
      let [stdout, stderr] = ["", ""];
      child.stdout?.setEncoding("utf8").on("data", (text: string) => {
        stdout += text;
      });
      child.stderr?.setEncoding("utf8").on("data", (text: string) => {
        stderr += text;
      });
      child.stdin?.end(options.input ?? "");
      const alarm = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
      const code = await new Promise<number | null>((done) => child.once("close", done));
      clearTimeout(alarm);
      clearInterval(look);
      return { code, stdout, stderr, children: [...children.values()] };
    },
    leakingFiles: () => {
      learnKeys();
      const header = tokens[0]?.split(".")[0] ?? "no token was given out";
      const leaks: string[] = [];
      for (const path of filesBelow(root)) {
        const name = relative(root, path);
        if (/^home\/(keys|cache|postgres\/(binaries|templates))\//.test(name)) continue;
        const text = readFileSync(path, "latin1");
        if (text.includes(header)) leaks.push(`${name}: a token`);
        // The data files of PostgreSQL are large: tokens are looked for there by the head that all share.
        const others =
          text.length > 1_000_000 ? [...secrets].filter(([, secret]) => text.includes(secret)).map(([each]) => each) : secretsIn(text);
        leaks.push(...others.map((each) => `${name}: ${each}`));
      }
      return leaks;
    },
    release: async () => {
      giver.mint = mint;
      await release();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** All tests of a file share one watched command line as `cli`. */
export const watchedTest = base.extend<{ $file: { cli: WatchedCli } }>({
  cli: [
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
    async ({}, use: (cli: WatchedCli) => Promise<void>) => {
      const cli = await openWatchedCli();
      await use(cli);
      await cli.release();
    },
    { scope: "file" },
  ],
});

function lookAtChildren(pid: number, seen: Map<string, { command: string; environment: string }>): void {
  for (const child of textOf(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean)) {
    const command = textOf(`/proc/${child}/cmdline`).replaceAll("\0", " ");
    seen.set(`${child} ${command}`, { command, environment: textOf(`/proc/${child}/environ`) });
    lookAtChildren(Number(child), seen);
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // it ended meanwhile
  }
}

function filesBelow(folder: string): string[] {
  return (readdirSync(folder, { recursive: true }) as string[])
    .map((name) => join(folder, name))
    .filter((path) => existsSync(path) && statSync(path).isFile());
}
