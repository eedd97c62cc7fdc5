import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openDaemonLog } from "../../src/emulator/daemon-log.ts";

test("the log is turned over at its size and takes no more than twice that; it is the owner's alone", () => {
  const folder = mkdtempSync(join(tmpdir(), "ppg-log-"));
  const file = join(folder, "local.log");
  const log = openDaemonLog(file, 10_000);
  for (let line = 0; line < 5_000; line += 1) log(`line ${line} of a bug that comes again and again`);
  log("x".repeat(1_000_000));
  log("last");
  expect(readdirSync(folder).sort()).toEqual(["local.log", "local.log.1"]);
  const sizes = [file, `${file}.1`].map((path) => statSync(path).size);
  expect(Math.max(...sizes)).toBeLessThan(30_000);
  expect(readFileSync(file, "utf8")).toMatch(/ last\n$/);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  rmSync(folder, { recursive: true });
});
