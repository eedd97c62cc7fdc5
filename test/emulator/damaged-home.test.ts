import { createHash } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { localStatus, resetLocal, startLocal, stopLocal } from "../../src/emulator/local.ts";
import { isRunning, statOf } from "../../src/emulator/process-stamp.ts";
import { buildDaemon } from "../support/daemon.ts";
import { httpsCall, startTestEmulator } from "../support/emulator.ts";

// A power cut, a full disk, a person with an editor: what is left of a file of the home.

const damages: Readonly<Record<string, (file: string, before: string) => void>> = {
  empty: (file) => writeFileSync(file, ""),
  "torn half": (file, before) => writeFileSync(file, before.slice(0, before.length / 2)),
  "binary junk": (file) => writeFileSync(file, createHash("sha512").update(file).digest()),
  "JSON of something else": (file) => writeFileSync(file, '{"pid":-1,"startTime":"0","home":[]}'),
  "a folder in its place": (file) => {
    mkdirSync(file);
    writeFileSync(join(file, "inside"), "x");
  },
  unreadable: (file, before) => {
    // root reads everything but a link to itself
    if (process.getuid?.() === 0) return symlinkSync(file, file);
    writeFileSync(file, before);
    chmodSync(file, 0);
  },
};

function damage(file: string, how: string): void {
  const before = readFileSync(file, "utf8");
  rmSync(file);
  damages[how]?.(file, before);
}

let daemonFile = "";
let release = (): void => undefined;
beforeAll(async () => {
  [daemonFile, release] = await buildDaemon();
});
afterAll(() => release());

async function withHome(work: (home: string) => Promise<void>): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), "ppg-damaged-"));
  try {
    await work(home);
  } finally {
    await stopLocal(home);
    rmSync(home, { recursive: true, force: true });
  }
}

/** A home that was left as a killed daemon leaves it. */
async function killedHome(home: string): Promise<void> {
  const { pid } = await startLocal(home, { daemonFile });
  process.kill(pid, "SIGKILL");
  await expect.poll(async () => (await localStatus(home)).running).toBe(false);
  writeFileSync(join(home, "journal.ndjson"), '{"n":7}\n');
  writeFileSync(join(home, "lock"), readFileSync(join(home, "run.json"), "utf8").replace(/,"home".*/s, "}"));
}

describe.each(Object.keys(damages))("%s", (how) => {
  test("run.json, lock, local.log: absent for every command, and local Azure starts", async () => {
    await withHome(async (home) => {
      await killedHome(home);
      const state = JSON.parse(readFileSync(join(home, "state.json"), "utf8"));
      for (const file of ["run.json", "lock", "local.log", "journal.ndjson"]) damage(join(home, file), how);
      expect(await localStatus(home)).toEqual({ running: false, home });
      expect(await stopLocal(home)).toBe(false);
      for (const file of ["run.json", "lock", "local.log"]) {
        rmSync(join(home, file), { recursive: true, force: true });
        writeFileSync(join(home, file), "{}");
        damage(join(home, file), how);
      }
      const started = await startLocal(home, { daemonFile });
      expect(started).toMatchObject({ running: true, subscriptionId: state.data.identity.local.subscriptionId });
      expect(await localStatus(home)).toEqual(started);
      expect(readFileSync(join(home, "local.log"), "utf8")).not.toContain("bug");
    });
  });

  test("each file of the home: reset works, nothing of it is left, and the next start makes it anew", async () => {
    await withHome(async (home) => {
      await killedHome(home);
      const files = ["run.json", "lock", "state.json", "local.log", "journal.ndjson", "ca.pem", "ca-bundle.pem"];
      const keys = readdirSync(join(home, "keys")).map((name) => join("keys", name));
      for (const file of [...files, ...keys]) {
        const path = join(home, file);
        mkdirSync(join(home, "keys"), { recursive: true });
        if (!lstatSync(path, { throwIfNoEntry: false })) writeFileSync(path, "of before ".repeat(10));
        if (!lstatSync(join(home, "state.json"), { throwIfNoEntry: false })) writeFileSync(join(home, "state.json"), "{}");
        damage(path, how);
        await resetLocal(home);
        expect([file, readdirSync(home).sort()]).toEqual([file, ["cache", "postgres"]]);
      }
      expect(await startLocal(home, { daemonFile })).toMatchObject({ running: true, home });
    });
  });

  test("each secret and key is made anew, is told of, and nobody gets in with what the file holds", async () => {
    const homeFolder = mkdtempSync(join(tmpdir(), "ppg-damaged-"));
    const first = await startTestEmulator({ homeFolder });
    const keys = readdirSync(join(homeFolder, "keys"));
    expect(keys.sort()).toEqual(["ca.key", "ca.pem", "client-secret", "control-key", "signing-secret", "token.key", "user-password"]);
    await first.emulator.close();
    for (const name of keys) damage(join(homeFolder, "keys", name), how);
    const log: string[] = [];
    const { emulator } = await startTestEmulator({ homeFolder, log: (line) => void log.push(line) });
    for (const name of keys) {
      expect([name, log.filter((line) => line.includes(join("keys", name))).length]).toEqual([name, 1]);
      expect(readFileSync(join(homeFolder, "keys", name), "utf8").length).toBeGreaterThanOrEqual(32);
    }
    // A whole way through everything that was made anew: sign-in, tokens, TLS, a long operation's signed address.
    expect(await emulator.credential.getToken("https://management.azure.com/.default")).toHaveProperty("token");
    expect((await emulator.arm("GET", "/subscriptions?api-version=2022-12-01")).status).toBe(200);
    const bare = await httpsCall(`${emulator.control.url}/_local/status`, emulator.caPem, {});
    expect(bare.status).toBe(401);
    const { tenantId, authority } = emulator.endpoints;
    const body = new URLSearchParams({
      grant_type: "client_credentials",
      client_id: emulator.clientId,
      client_secret: "",
      scope: "https://management.azure.com/.default",
    }).toString();
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const empty = await emulator.fetch(`${authority}/${tenantId}/oauth2/v2.0/token`, { method: "POST", headers, body });
    expect(empty.status).toBe(401);
    await emulator.close();
    await first.release();
  });

  test("a state that may hold databases is told of, not forgotten", async () => {
    await withHome(async (home) => {
      await killedHome(home);
      damage(join(home, "state.json"), how);
      const refused = {
        code: "local/failed",
        message: expect.stringContaining("state.json"),
        hint: expect.stringContaining("local reset"),
      };
      await expect(startLocal(home, { daemonFile })).rejects.toMatchObject(refused);
      expect(await localStatus(home)).toEqual({ running: false, home });
      expect(await stopLocal(home)).toBe(false);
      await resetLocal(home);
      expect(await startLocal(home, { daemonFile })).toMatchObject({ running: true, home });
    });
  });
});

test("secrets shorter than 32 characters are no secrets", async () => {
  const homeFolder = mkdtempSync(join(tmpdir(), "ppg-damaged-"));
  mkdirSync(join(homeFolder, "keys"));
  const names = ["client-secret", "control-key", "signing-secret", "user-password"];
  for (const name of names) writeFileSync(join(homeFolder, "keys", name), "a".repeat(31), { mode: 0o600 });
  const { release: give } = await startTestEmulator({ homeFolder });
  for (const name of names) expect(readFileSync(join(homeFolder, "keys", name), "utf8")).toMatch(/^[\w-]{43}$/);
  await give();
});

test.skipIf(process.platform !== "linux")("a daemon whose run file was lost is found: stop ends it, start gives one, not two", async () => {
  await withHome(async (home) => {
    const first = await startLocal(home, { daemonFile });
    writeFileSync(join(home, "run.json"), "");
    const second = await startLocal(home, { daemonFile });
    expect(isRunning(statOf(first.pid))).toBe(false); // one that nobody has reaped yet has ended, too
    expect(second.arm).toBe(first.arm);
    rmSync(join(home, "run.json"));
    expect(await stopLocal(home)).toBe(true);
    expect(isRunning(statOf(second.pid))).toBe(false);
  });
});
