import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");

/** The command line on a Node that says it is this version. */
function runOn(version: string, ...args: readonly string[]) {
  const pretend = `data:text/javascript,Object.defineProperty(process.versions,"node",{value:"${version}"})`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--import", pretend, resolve(root, "bin/passwordless-pg.js"), ...args], {
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

test.each(["14.0.0", "18.20.8", "20.14.9", "nonsense"])("Node %s is refused in one sentence that names both versions", (version) => {
  const words = `passwordless-pg needs Node 20.15 or newer, and this is ${version}: install a newer one (https://nodejs.org)`;
  expect(runOn(version, "up")).toEqual({ status: 2, stdout: "", stderr: `${words}\n` });
  const { status, stdout } = runOn(version, "up", "--json");
  expect([status, JSON.parse(stdout)]).toEqual([2, { ok: false, error: { code: "usage/invalid", message: words } }]);
});

test.each(["20.15.0", "20.20.2", "22.0.0", "24.1.0-nightly"])("Node %s will do", (version) => {
  // Not the build is meant here, which may be absent.
  expect(runOn(version, "--version").stderr).not.toMatch(/needs Node/);
});

test("what an old Node reads has no syntax that it does not know", () => {
  for (const name of ["passwordless-pg.js", "node-version.js"])
    expect(readFileSync(resolve(root, "bin", name), "utf8")).not.toMatch(/\?\.[\w[(]|\?\?|^\s*await |^const .* = await |\bat\(|static \{/m);
});

test("package.json asks for the same", () => {
  const { engines } = JSON.parse(readFileSync(resolve(root, "package.json"), "utf8")) as { engines: { node: string } };
  expect(engines.node).toBe(">=20.15");
});
