import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { refusalOf } from "../../bin/node-version.js";

test.each(["14.0.0", "18.20.8", "20.14.9", "nonsense"])("Node %s is refused in one sentence that names both versions", (version) => {
  expect(refusalOf(version)).toMatch(new RegExp(`^passwordless-pg needs Node 20\\.15 or newer, and this is ${version}: [^\n]+$`));
});

test.each(["20.15.0", "20.20.2", "22.0.0", "24.1.0-nightly"])("Node %s will do", (version) => {
  expect(refusalOf(version)).toBeUndefined();
});

test("package.json asks for the same", () => {
  const { engines } = JSON.parse(readFileSync(resolve(import.meta.dirname, "../../package.json"), "utf8")) as { engines: { node: string } };
  expect(engines.node).toBe(">=20.15");
});
