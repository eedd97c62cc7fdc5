import { appendFileSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createAppLog } from "../../../../src/emulator/machines/app/log.ts";
import { followLogs } from "../../../../src/emulator/machines/app/log-files.ts";

const clock = { now: () => Date.UTC(2026, 1, 7, 9, 12, 31, 412), sleep: async () => {} };

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "ppg-log-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

test("output is kept by line and stamped, however it was cut", () => {
  const path = folder();
  const log = createAppLog(() => path, clock);
  for (const piece of ["fir", "st\nsecond\nth", "ird"]) log.output("lw0", Buffer.from(piece));
  log.flush("lw0");
  log.write("lw0", "docker", "Container is running.");
  log.close();
  expect(readdirSync(path)).toEqual(["2026_02_07_lw0_default_docker.log", "2026_02_07_lw0_docker.log"]);
  const lines = readFileSync(join(path, "2026_02_07_lw0_default_docker.log"), "utf8").split("\n");
  expect(lines.map((line) => line.replace(/^2026-02-07T09:12:31\.412\d{6}Z /, ""))).toEqual(["first", "second", "third", ""]);
});

test("a follower reads only what is new, and loses nothing when a file is rotated", () => {
  const path = folder();
  const file = join(path, "2026_02_07_lw0_docker.log");
  appendFileSync(file, "old\n");
  const follower = followLogs(path);
  expect(follower.next()).toBeUndefined();
  appendFileSync(file, "before\n");
  renameSync(file, file.replace(".log", ".1.log"));
  appendFileSync(file, "after\n");
  appendFileSync(join(path, "2026_02_07_lw1_docker.log"), "other\n");
  const read: string[] = [];
  for (let piece = follower.next(); piece; piece = follower.next()) read.push(String(piece));
  expect(read.sort()).toEqual(["after\n", "before\n", "other\n"]);
  follower.close();
});
