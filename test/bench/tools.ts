import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";

export const root = process.cwd(); // npm runs scripts in the package folder
export const bin = join(root, "bin/passwordless-pg.js");
/** Everything that is measured happens below; `giveBack` removes it. */
export const work = mkdtempSync(join(tmpdir(), "ppg-bench-"));
chmodSync(work, 0o711);

/** `full` gives figures worth reading; `short` only shows that each part still runs. */
export type Size = "full" | "short";

const homes = new Set<string>();

/** Ends every local Azure that a part began, also one that failed in the middle, and removes the folder. */
export async function giveBack(): Promise<void> {
  try {
    for (const home of homes) if (existsSync(home)) await cli(home, "local", "stop");
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

export interface Run {
  readonly ms: number;
  readonly stdout: string;
}

export function run(
  file: string,
  args: readonly string[],
  environment: Record<string, string> = {},
  isFine: (code: number | null) => boolean = (code) => code === 0,
  directory: string = root,
): Promise<Run> {
  return new Promise((done, fail) => {
    const startedAt = performance.now();
    const child = spawn(file, args, {
      env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", ...environment },
      stdio: ["ignore", "pipe", "pipe"],
      cwd: directory,
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      stderr += chunk;
    });
    child.once("error", fail);
    child.once("close", (code) =>
      isFine(code)
        ? done({ ms: performance.now() - startedAt, stdout })
        : fail(new Error(`${args.join(" ")} ended with ${code}\n${stderr}\n${stdout}`)),
    );
  });
}

export function cli(home: string, ...args: readonly string[]): Promise<Run> {
  homes.add(home);
  return run(process.execPath, [bin, ...args], { PASSWORDLESS_PG_HOME: home });
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

export function line(what: string, is: number, floor: number, of: string, budget: string, unit = "ms"): void {
  const ratio = floor > 0 ? ` · ${(is / floor).toFixed(2)} × ${of} (${floor.toFixed(0)} ${unit})` : "";
  console.log(`${what.padEnd(52)} ${is.toFixed(0).padStart(7)} ${unit}${ratio} · budget ${budget}`);
}

/** One in a short round. */
export const times = (size: Size, full: number): number => (size === "full" ? full : 1);

/** In turns, so that noise meets both alike. */
export async function inPairs(rounds: number, left: () => Promise<Run>, right: () => Promise<Run>): Promise<[number, number]> {
  const results: [number[], number[]] = [[], []];
  for (let index = 0; index < rounds; index += 1) {
    results[0].push((await left()).ms);
    results[1].push((await right()).ms);
  }
  return [median(results[0]), median(results[1])];
}

/** An app without dependencies, so that pip and npm do not count. */
export function plainApp(folder: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name: "plain", version: "1.0.0", type: "module", scripts: { start: "node server.js" } }),
  );
  writeFileSync(
    join(folder, "server.js"),
    'import { createServer } from "node:http";\ncreateServer((_, response) => response.end("ok")).listen(process.env.PORT);\n',
  );
}

interface JournalEntry {
  readonly n: number;
  readonly method: string;
  readonly path: string;
}

/** The calls that local Azure has answered, without those of its control API. */
export async function journal(home: string): Promise<readonly JournalEntry[]> {
  const { value: entries } = (await control(home, "journal")) as { value: JournalEntry[] };
  return entries.filter(({ path }) => !path.startsWith("/_local"));
}

export async function control(home: string, path: string, body?: object): Promise<unknown> {
  const { arm, caFile, controlKeyFile } = JSON.parse((await cli(home, "local", "status", "--json")).stdout) as Record<
    "arm" | "caFile" | "controlKeyFile",
    string
  >;
  return new Promise((done, fail) => {
    const headers = { authorization: `Bearer ${readFileSync(controlKeyFile, "utf8")}`, "content-type": "application/json" };
    const outgoing = request(
      `${arm}/_local/${path}`,
      { method: body ? "POST" : "GET", headers, ca: readFileSync(caFile), agent: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => done(text === "" ? undefined : JSON.parse(text)));
      },
    );
    outgoing.on("error", fail);
    outgoing.end(body ? JSON.stringify(body) : undefined);
  });
}
