import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parts } from "../bench/parts.ts";
import { giveBack } from "../bench/tools.ts";

const root = resolve(import.meta.dirname, "../..");
// Below node_modules, where what is not bundled is found.
const program = join(root, `node_modules/.cache/bench-test-${process.pid}.js`);
const temporary = mkdtempSync(join(tmpdir(), "ppg-bench-test-"));
chmodSync(temporary, 0o711);

beforeAll(async () => {
  await build({
    entryPoints: [join(root, "test/bench/main.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    outfile: program,
    logLevel: "warning",
  });
});

afterAll(async () => {
  await giveBack(); // the names of the parts were read from the bench itself, which makes its folder when it is loaded
  rmSync(program, { force: true });
  rmSync(temporary, { recursive: true, force: true });
});

async function bench(...args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: root,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: temporary },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), closed(child)]);
  return { code, stdout, stderr };
}

const closed = (child: ChildProcess): Promise<number | null> => new Promise((done) => child.once("close", done));

/** What the bench started says its folder in its command line or its environment. */
function leftOver(): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    try {
      const of = (name: string): string => readFileSync(`/proc/${pid}/${name}`, "utf8");
      return /^\d+$/.test(pid) && `${of("cmdline")}${of("environ")}`.includes(`${temporary}/ppg-bench-`) ? [pid] : [];
    } catch {
      return []; // it ended meanwhile
    }
  });
}

test("one short round of each part of `npm run bench` runs to its end and leaves nothing", async () => {
  const { code, stdout, stderr } = await bench("--short");
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(stdout.trim().split("\n").length).toBeGreaterThanOrEqual(Object.keys(parts).length);
  expect([readdirSync(temporary), leftOver()]).toEqual([[], []]);
}, 600_000);

test("a part runs alone, and a name that is none is told", async () => {
  const alone = await bench("--short", "startUp");
  expect(alone).toMatchObject({ code: 0, stderr: "" });
  expect(alone.stdout.trim().split("\n")).toHaveLength(1);
  const none = await bench("start");
  expect(none).toMatchObject({
    code: 2,
    stdout: "",
    stderr: expect.stringContaining("no part is called start; there are startUp, installedSize"),
  });
  expect(readdirSync(temporary)).toEqual([]);
});
