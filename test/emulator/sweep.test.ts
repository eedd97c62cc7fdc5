import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, test as base, beforeAll, describe, expect } from "vitest";
import { prepareHome } from "../../src/emulator/home.ts";
import { resetLocal, startLocal, stopLocal } from "../../src/emulator/local.ts";
import { keepLogShort } from "../../src/emulator/machines/bounded-log.ts";
import { trimCaches } from "../../src/emulator/machines/build/cache.ts";
import { draftName, isAbandonedDraft } from "../../src/emulator/machines/draft-name.ts";
import { createPostgresMachine } from "../../src/emulator/machines/postgres/machine.ts";
import { findPostmaster } from "../../src/emulator/machines/postgres/postmaster.ts";
import { preparePostgres } from "../../src/emulator/machines/postgres/prepare.ts";
import { isSameProcess } from "../../src/emulator/process-stamp.ts";

let dist = "";
const WAIT_MS = 60_000;

beforeAll(async () => {
  dist = mkdtempSync(join(tmpdir(), "ppg-dist-"));
  const banner = { js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);" };
  const common = { bundle: true, format: "esm", platform: "node", target: "node20", logLevel: "error", banner } as const;
  await build({ ...common, entryPoints: ["src/emulator/daemon.ts"], outfile: join(dist, "daemon.mjs") });
  await build({ ...common, entryPoints: ["src/emulator/machines/postgres/prepare.ts"], outfile: join(dist, "postgres.mjs") });
  symlinkSync(join(process.cwd(), "node_modules"), join(dist, "node_modules"));
});

afterAll(() => rmSync(dist, { recursive: true, force: true }));

const test = base.extend<{ home: string }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
  home: async ({}, use) => {
    const home = mkdtempSync(join(tmpdir(), "ppg-home-"));
    await use(home);
    await stopLocal(home);
    rmSync(home, { recursive: true, force: true });
  },
});

async function until<T>(what: string, look: () => T | undefined | false): Promise<T> {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`not reached: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const namesIn = (folder: string): readonly string[] => (existsSync(folder) ? readdirSync(folder) : []);

/** A process that makes the template as the daemon does, killed while the template's server runs. */
async function killedTemplate(home: string): Promise<{ folder: string; pid: number }> {
  prepareHome(home);
  const script = `import(${JSON.stringify(join(dist, "postgres.mjs"))}).then(({preparePostgres})=>preparePostgres(${JSON.stringify(join(home, "postgres"))},16,()=>{}))`;
  const maker: ChildProcess = spawn(process.execPath, ["-e", script], { stdio: "inherit" });
  const templates = join(home, "postgres", "templates");
  const found = await until("the template's server", () => {
    const draft = namesIn(templates).find((name) => name.startsWith(".draft-"));
    const left = draft && findPostmaster(join(templates, draft, "data"));
    return left && draft ? { folder: join(templates, draft), pid: left.pid } : undefined;
  });
  const ended = once(maker, "exit");
  maker.kill("SIGKILL");
  await ended;
  return found;
}

describe("what a killed local Azure leaves", () => {
  for (const [way, sweep] of [
    ["start", (home: string) => startLocal(home, { daemonFile: join(dist, "daemon.mjs") })],
    ["stop", stopLocal],
    ["reset", resetLocal],
  ] as const) {
    test(`the template's server, its folder, files half written: swept by ${way}`, async ({ home }) => {
      const left = await killedTemplate(home);
      writeFileSync(join(home, "state.json"), JSON.stringify({ format: 2, data: {} }));
      const files = [
        "state.json.4711.tmp",
        "run.json.4711.tmp",
        "keys/token.key.4711.tmp",
        "sites/shop/tmp/abc.zip",
        "cache/venv/half/bin/python",
      ];
      for (const file of [...files, "postgres/fetch/x", `postgres/.draft-fetch-${2 ** 22 + 1}-1-01234567/x`]) {
        mkdirSync(join(home, file, ".."), { recursive: true });
        writeFileSync(join(home, file), "left");
      }
      await sweep(home);
      expect(existsSync(left.folder), left.folder).toBe(false);
      expect(existsSync(`/proc/${left.pid}/cmdline`) && readFileSync(`/proc/${left.pid}/cmdline`, "utf8").includes(left.folder)).toBe(
        false,
      );
      expect(files.filter((file) => existsSync(join(home, file)))).toEqual([]);
      expect(namesIn(join(home, "postgres")).filter((name) => name === "fetch" || isAbandonedDraft(name))).toEqual([]);
    });
  }

  test("drafts of living processes stay", async ({ home }) => {
    const { postgres } = prepareHome(home);
    const mine = join(postgres, "templates", draftName("t"));
    mkdirSync(mine, { recursive: true });
    writeFileSync(join(home, "state.json"), JSON.stringify({ format: 2, data: {} }));
    await stopLocal(home);
    expect(existsSync(mine)).toBe(true);
  });

  test("a process is ended only when it is the server of that folder, beyond doubt", async ({ home }) => {
    const { postgres } = prepareHome(home);
    const data = join(postgres, "servers", "mine", "data");
    mkdirSync(data, { recursive: true });
    writeFileSync(join(home, "state.json"), JSON.stringify({ format: 2, data: {} }));
    // It says the right words, but works somewhere else.
    const stranger = spawn(process.execPath, ["-e", "setInterval(()=>{},1000)", "--", "-D", data], { cwd: home, stdio: "ignore" });
    await once(stranger, "spawn");
    const pid = stranger.pid as number;
    try {
      for (const lines of [
        [pid, data, Math.floor(Date.now() / 1000)],
        [pid, home, 1],
        [process.pid, data, 1],
        [1, data, 1],
        ["", data],
        ["junk"],
        [],
      ]) {
        writeFileSync(join(data, "postmaster.pid"), lines.join("\n"));
        expect(findPostmaster(data), lines.join(" ")).toBeUndefined();
        await stopLocal(home);
        expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
      }
    } finally {
      stranger.kill();
      await once(stranger, "exit");
    }
  });

  test("a server without its daemon is found and ended, data kept", async ({ home }) => {
    const { postgres } = prepareHome(home);
    const runtime = await preparePostgres(postgres, 16, () => {});
    const folder = join(postgres, "servers", "mine");
    const machine = createPostgresMachine(
      runtime,
      folder,
      () => ({}),
      () => {},
    );
    await machine.start();
    await machine.stop();
    const orphan = runtime.account.start(join(runtime.binaries.bin, "postgres"), ["-D", join(folder, "data")], openSync("/dev/null", "w"));
    const left = await until("it runs", () => findPostmaster(join(folder, "data")));
    expect(left.pid).toBe(orphan.pid);
    expect(isSameProcess(left)).toBe(true);
    writeFileSync(join(home, "state.json"), JSON.stringify({ format: 2, data: {} }));
    const ended = once(orphan, "exit");
    await stopLocal(home);
    await ended;
    expect(existsSync(join(folder, "data", "PG_VERSION"))).toBe(true);
  });
});

describe("what grows has a bound", () => {
  test("a log that somebody else holds open", async ({ home }) => {
    const file = join(home, "server.log");
    writeFileSync(file, "");
    const errors: unknown[] = [];
    const end = keepLogShort(file, (error) => errors.push(error), { maxBytes: 10_000, everyMs: 5 });
    try {
      const line = `${"x".repeat(99)}\n`;
      for (let round = 0; round < 20; round++) {
        for (let n = 0; n < 150; n++) appendFileSync(file, line);
        await until("it was turned over", () => statSync(file).size <= 10_000);
      }
    } finally {
      end();
    }
    expect(errors).toEqual([]);
    expect(readdirSync(home).sort()).toEqual(["server.log", "server.log.1"]);
    expect(statSync(`${file}.1`).size).toBeLessThan(40_000);
  });

  test("PostgreSQL's log, when a server starts", async ({ home }) => {
    const { postgres } = prepareHome(home);
    const folder = join(postgres, "servers", "talker");
    const machine = createPostgresMachine(
      await preparePostgres(postgres, 16, () => {}),
      folder,
      () => ({}),
      () => {},
    );
    await machine.start();
    await machine.stop();
    writeFileSync(join(folder, "server.log"), "x".repeat(5_000_000));
    await machine.start();
    try {
      expect(statSync(join(folder, "server.log")).size).toBeLessThan(1_000_000);
      expect(statSync(join(folder, "server.log.1")).size).toBe(5_000_000);
    } finally {
      await machine.stop();
    }
  });

  test("finished environments go, the least recently used first, and none that an app stands on", async ({ home }) => {
    const { cache, sites } = prepareHome(home);
    const now = Date.now();
    const make = (kind: string, name: string, ageHours: number): string => {
      const folder = join(cache, kind, name);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, "big"), Buffer.alloc(1_000_000, 1));
      writeFileSync(join(folder, ".complete"), "");
      const at = new Date(now - ageHours * 3_600_000);
      utimesSync(join(folder, ".complete"), at, at);
      return folder;
    };
    const [oldest, old, used, recent, fresh] = [
      make("venv", "a", 9),
      make("node", "b", 8),
      make("venv", "c", 7),
      make("node", "d", 1),
      make("venv", "e", 0),
    ];
    const release = join(sites, "shop", "releases", "r1");
    mkdirSync(release, { recursive: true });
    symlinkSync(used, join(release, "antenv"));
    mkdirSync(join(cache, "npm"), { recursive: true });
    writeFileSync(join(cache, "npm", "blob"), Buffer.alloc(100_000, 1));
    await trimCaches(cache, sites, { environmentsBytes: 2_500_000, packagesBytes: 1_000_000 }, now);
    expect([oldest, old, used, recent, fresh].map((folder) => existsSync(folder))).toEqual([false, false, true, true, true]);
    expect(existsSync(join(cache, "npm"))).toBe(true);
    await trimCaches(cache, sites, { environmentsBytes: 1, packagesBytes: 1 }, now);
    expect([used, recent, fresh].map((folder) => existsSync(folder))).toEqual([true, false, true]);
    expect(existsSync(join(cache, "npm"))).toBe(false);
    expect(readdirSync(join(cache, "venv")).filter((name) => name.startsWith("."))).toEqual([]);
  });
});
