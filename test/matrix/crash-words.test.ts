import { test as base, expect } from "vitest";
import { nameOf, openScene, type Scene } from "./scene.ts";

const test = base.extend<{ scene: Scene }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
  scene: async ({}, use) => {
    const scene = await openScene("opening");
    await use(scene);
    await scene.release();
  },
});

/** Stops a run in words at the first call of this name. */
async function stopAt(scene: Scene, command: string | readonly string[], name: RegExp): Promise<{ code: number | null; stderr: string }> {
  const run = scene.runInWords(...[command].flat());
  let isDone = false;
  scene.onPoint(async (point) => {
    if (isDone || !name.test(nameOf(point))) return undefined;
    isDone = true;
    run.child.kill("SIGINT");
    return undefined;
  });
  const ended = await run.ended;
  scene.onPoint(undefined);
  return ended;
}

test("Ctrl-C in words: what was made, what Azure may go on with, the opening, how to go on", async ({ scene }) => {
  const { code, stderr } = await stopAt(scene, "up", /LOGIN \/shop/);
  expect(code, stderr).toBe(130);
  const words = stderr.slice(stderr.indexOf("✗ stopped by SIGINT"));
  expect(words).toMatch(/^✗ stopped by SIGINT; nothing is undone\n/);
  expect(words).toMatch(/^ {2}made, and stays: resource group rg-shop, flexible server shop-db-t3st, .*database shop/m);
  expect(words).toMatch(/^ {2}not finished, Azure may go on with it: .*database access api/m);
  expect(words).toMatch(/^ {2}the opening in the firewall was closed$/m);
  expect(words).toMatch(
    /^ {2}→ run `passwordless-pg up --local` again to go on; `passwordless-pg down --local` removes what this project made$/m,
  );
  expect(words.trimEnd().split("\n").length).toBeLessThan(10);
});

test("Ctrl-C before anything was written: says that nothing was changed", async ({ scene }) => {
  for (const name of [/openid-configuration/, /GET .*resourcegroups/]) {
    const { code, stderr } = await stopAt(scene, "up", name);
    expect(code, stderr).toBe(130);
    expect(stderr).toMatch(/✗ stopped by SIGINT; nothing was changed\n/);
  }
});

test("Ctrl-C in deploy and in doctor --fix: what is not finished, and the command that goes on", async ({ scene }) => {
  const up = await scene.run("up").ended;
  expect(up.code, up.stderr).toBe(0);
  const deploy = await stopAt(scene, ["deploy", "--force"], /GET .*\/api\/deployments/);
  expect(deploy.code, deploy.stderr).toBe(130);
  expect(deploy.stderr).toMatch(/✗ stopped by SIGINT; nothing is undone\n {2}not finished, Azure may go on with it: deployment api\n/);
  expect(deploy.stderr).toMatch(/→ run `passwordless-pg deploy --local` again to go on$/m);

  const site = `${scene.group}/providers/Microsoft.Web/sites/shop-api-t3st/config/web?api-version=2025-05-01`;
  const changed = await scene.emulator.arm("PATCH", site, { properties: { ftpsState: "AllAllowed" } });
  expect(changed.status, changed.text).toBe(200);
  const fix = await stopAt(scene, ["doctor", "--fix"], /(PATCH|PUT) .*config\/web/);
  expect(fix.code, fix.stderr).toBe(130);
  expect(fix.stderr).toMatch(/(not finished, Azure may go on with it|changed, and stays so): web app configuration api/);
  expect(fix.stderr).toMatch(/→ run `passwordless-pg doctor --fix --local` again to go on$/m);
  const again = await scene.run("doctor", "--fix").ended;
  expect(JSON.parse(again.stdout)).toMatchObject({ ok: true });
});

test("a down that ends early lists what went, what is still there and what is not ours", async ({ scene }) => {
  const up = await scene.run("up").ended;
  expect(up.code, up.stderr).toBe(0);
  const plan = `${scene.group}/providers/Microsoft.Web/serverfarms/elsewhere?api-version=2025-05-01`;
  const made = await scene.emulator.arm("PUT", plan, {
    location: "eastus",
    kind: "linux",
    sku: { name: "B1" },
    properties: { reserved: true },
  });
  expect(made.status, made.text).toBeLessThan(300);

  const action = { kind: "status", status: 403, code: "AuthorizationFailed" } as const;
  scene.emulator.faults.add({ host: "azure", method: "DELETE", path: "*/serverfarms/*", times: 1, action });
  const refused = await scene.run("down").ended;
  expect(refused.code, refused.stderr).toBe(4);
  expect(JSON.parse(refused.stdout)).toMatchObject({
    ok: false,
    removed: ["web app shop-api-t3st"],
    remaining: ["App Service plan shop-api-t3st-plan", "flexible server shop-db-t3st"],
    kept: [expect.stringContaining("elsewhere"), expect.stringContaining("rg-shop")],
    error: { code: "azure/denied", message: expect.stringContaining("still there: flexible server shop-db-t3st") },
  });

  const stopped = await stopAt(scene, "down", /DELETE .*flexibleServers/);
  expect(stopped.code, stopped.stderr).toBe(130);
  const words = stopped.stderr.slice(stopped.stderr.indexOf("✗ stopped by SIGINT"));
  expect(words).toMatch(/^✗ stopped by SIGINT; removed: App Service plan shop-api-t3st-plan\n/);
  expect(words).toMatch(/not finished, Azure may go on with it: flexible server shop-db-t3st/);
  expect(words).toMatch(/→ run `passwordless-pg down --local` again to go on/);
  const last = await scene.run("down").ended;
  expect(last.code, last.stderr).toBe(0);
});

test("a second Ctrl-C ends the tidying up; the next run does it", async ({ scene }) => {
  const openings = (): string[] =>
    scene.emulator.platform.store
      .collection<{ name: string }>("postgres-firewall-rules")
      .list()
      .flatMap(({ name }) => (name.startsWith("passwordless-pg-") ? [name] : []));
  const run = scene.runInWords("init");
  scene.onPoint(async (point) => {
    if (/LOGIN \/shop/.test(nameOf(point))) run.child.kill("SIGINT");
    if (point.method !== "DELETE") return undefined;
    // Signals within one second count as one: npm and the terminal both send Ctrl-C.
    const timer = setInterval(() => run.child.kill("SIGINT"), 300);
    await run.ended;
    clearInterval(timer);
    return "drop";
  });
  expect((await run.ended).code).toBeNull();
  scene.onPoint(undefined);
  expect(openings()).toHaveLength(1);
  const again = await scene.run("init").ended;
  expect(again.code, again.stderr).toBe(0);
  expect(openings()).toEqual([]);
});
