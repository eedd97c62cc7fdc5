import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { cleanupJournal } from "../../src/cli/cleanup-journal.ts";

const opening = { name: "passwordless-pg-00000000-abc-abcdef", server: "orders-db", address: "203.0.113.7" };

describe("notes of openings", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ppg-notes-"));
    vi.stubEnv("TMPDIR", folder);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What a process wrote there, as another one would have. */
  function rewrite(change: object): void {
    const [notes = ""] = readdirSync(folder);
    const [file = ""] = readdirSync(join(folder, notes));
    const path = join(folder, notes, file);
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), ...change }));
  }

  it("of a run that lives are in use, of a dead one abandoned, removed they are neither", async () => {
    const child = spawn(process.execPath, ["-e", "process.stdin.resume(); console.log('up')"], { stdio: ["pipe", "pipe", "ignore"] });
    try {
      await new Promise((up) => child.stdout.once("data", up));
      const notes = cleanupJournal("shop");
      notes.add(opening);
      rewrite({ pid: child.pid, birth: undefined });
      expect([notes.abandoned(), notes.held()]).toEqual([[], [opening.name]]);
      expect([cleanupJournal("other").abandoned(), cleanupJournal("other").held()]).toEqual([[], []]);
      const ended = new Promise((done) => child.once("close", done));
      child.kill("SIGKILL");
      await ended;
      expect([notes.abandoned(), notes.held()]).toEqual([[opening], []]);
      notes.remove(opening.name);
      expect([notes.abandoned(), notes.held()]).toEqual([[], []]);
      expect(readdirSync(folder)).toEqual([]);
    } finally {
      child.kill("SIGKILL");
    }
  });

  it.runIf(process.platform === "linux")("whose writer's number another process has today are abandoned", () => {
    const notes = cleanupJournal("shop");
    notes.add(opening);
    rewrite({ pid: process.ppid });
    expect([notes.abandoned(), notes.held()]).toEqual([[opening], []]);
  });
});
