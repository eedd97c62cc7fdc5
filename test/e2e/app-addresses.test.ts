import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test as base, describe, expect } from "vitest";
import { openScene, type Scene } from "../matrix/scene.ts";

interface Rule {
  readonly name: string;
  readonly start: string;
  readonly end: string;
  readonly remark?: string;
}

const test = base.extend<{ $file: { scene: Scene } }>({
  scene: [
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
    async ({}, use: (scene: Scene) => Promise<void>) => {
      const scene = await openScene("opening");
      await use(scene);
      await scene.release();
    },
    { scope: "file" },
  ],
});

/** Chooses whom the project file lets in. */
function letIn(scene: Scene, firewall: "azure-services" | "app-addresses"): void {
  const path = join(scene.project, "passwordless-pg.json");
  const file = JSON.parse(readFileSync(path, "utf8")) as { server: object };
  writeFileSync(path, JSON.stringify({ ...file, server: { ...file.server, firewall } }));
}

async function run(scene: Scene, ...args: readonly string[]) {
  const { code, stdout, stderr } = await scene.run(...args).ended;
  // biome-ignore lint/suspicious/noExplicitAny: the document of any command
  const body = JSON.parse(stdout) as any;
  const check = (name: string) => body.checks.find((one: { name: string }) => one.name === name);
  return { code, body, check, words: `${stdout}\n${stderr}` };
}

const rulesOf = async (scene: Scene): Promise<readonly Rule[]> => (await run(scene, "firewall", "list")).body;
const rangesOf = (rules: readonly Rule[]): string[] => rules.map(({ start, end }) => `${start}-${end}`);

async function addByHand(scene: Scene, name: string): Promise<void> {
  const { emulator, group, names } = scene;
  const path = `${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/${names.server}/firewallRules/${name}?api-version=2025-08-01`;
  await emulator.arm("PUT", path, { properties: { startIpAddress: "0.0.0.0", endIpAddress: "0.0.0.0" } });
  await emulator.until(path, ({ status }) => status === 200);
}

/** What `outboundIpAddresses` of every app says on local Azure. */
const app = "127.0.0.1-127.0.0.1";

describe.sequential('"firewall": "app-addresses"', () => {
  test("init lets in the apps' addresses and nobody else; up proves it", async ({ scene }) => {
    letIn(scene, "app-addresses");
    const made = await run(scene, "up");
    expect(made.code, made.words).toBe(0);
    expect(made.check("firewall is narrow")).toMatchObject({ ok: true });
    const rules = await rulesOf(scene);
    expect(rangesOf(rules)).toEqual([app]);
    expect(rules[0]?.name).toMatch(/^app-[0-9a-f]{6}-127-0-0-1$/);
    expect((await run(scene, "plan")).body).toMatchObject({ ok: true, changes: 0 });
  });

  test("a rule 0.0.0.0 that a person made fails verify, is named with its command by plan, list and doctor, and stays", async ({
    scene,
  }) => {
    await addByHand(scene, "colleague");
    const verified = await run(scene, "verify");
    expect(verified.code, verified.words).toBe(8);
    expect(verified.check("firewall is narrow")).toMatchObject({
      ok: false,
      detail: "the server is open to all of Azure, where the project file lets in the apps' addresses only: colleague 0.0.0.0",
    });
    const planned = await run(scene, "plan");
    expect(planned.body.warnings).toEqual([
      expect.objectContaining({ name: "firewall is narrow", detail: expect.stringContaining("colleague") }),
    ]);
    expect((await rulesOf(scene)).find(({ name }) => name === "colleague")?.remark).toMatch(/^open to all of Azure/);
    expect((await run(scene, "doctor")).check("firewall is narrow")).toMatchObject({
      ok: false,
      hint: expect.stringMatching(
        /^run `az postgres flexible-server firewall-rule delete -g rg-shop -n shop-db-t3st --rule-name colleague`$/,
      ),
    });
    const fixed = await run(scene, "doctor", "--fix");
    expect(fixed.check("firewall is narrow")).toMatchObject({ ok: false });
    expect(rangesOf(await rulesOf(scene)).sort()).toEqual(["0.0.0.0-0.0.0.0", app]);
    const { emulator, group, names } = scene;
    const path = `${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/${names.server}/firewallRules/colleague?api-version=2025-08-01`;
    await emulator.arm("DELETE", path);
    await emulator.until(path, ({ status }) => status === 404);
  });

  test.for(["azure-services", "AllowAllAzureServicesAndResourcesWithinAzureIps_1700000000000"])(
    "the rule %s is the tool's own or Service Connector's: a difference in plan, and init takes it away",
    async (name, { scene }) => {
      await addByHand(scene, name);
      expect((await run(scene, "verify")).code).toBe(8);
      expect((await run(scene, "doctor")).check("firewall is narrow")).toMatchObject({ ok: false, hint: expect.stringMatching(/--fix/) });
      const planned = await run(scene, "plan");
      const step = planned.body.steps.find((one: { name: string }) => one.name === "firewall");
      expect(step).toMatchObject({ change: "update", differences: [{ field: `rule ${name}`, observed: "0.0.0.0", desired: "removed" }] });
      expect(planned.code).toBe(3);
      const applied = await run(scene, "firewall", "apply");
      expect(applied.code, applied.words).toBe(0);
      expect(rangesOf(await rulesOf(scene))).toEqual([app]);
      expect((await run(scene, "verify")).code).toBe(0);
    },
  );

  test("the switch to all of Azure and back: each time exactly what the file says, Service Connector keeps out of it", async ({
    scene,
  }) => {
    letIn(scene, "azure-services");
    const opened = await run(scene, "up");
    expect(opened.code, opened.words).toBe(0);
    expect(rangesOf(await rulesOf(scene))).toEqual(["0.0.0.0-0.0.0.0"]);

    // As a project of the first version has it: the connection opens the server by itself.
    const { emulator, group, names } = scene;
    const linkers = `${group}/providers/Microsoft.Web/sites/${names.sites[0]}/providers/Microsoft.ServiceLinker/linkers`;
    const [linker] = (await emulator.arm("GET", `${linkers}?api-version=2024-04-01`)).body.value;
    const path = `${linkers}/${linker.name}?api-version=2024-04-01`;
    await emulator.arm("PUT", path, { properties: { ...linker.properties, publicNetworkSolution: {} } });
    await emulator.until(path, ({ body }) => body.properties.provisioningState === "Succeeded");

    letIn(scene, "app-addresses");
    const closed = await run(scene, "up");
    expect(closed.code, closed.words).toBe(0);
    const [connection] = closed.body.steps.filter(({ name }: { name: string }) => name.startsWith("service connection"));
    expect(connection).toMatchObject({ outcome: "updated", reason: "publicNetworkSolution: enable → optOut" });
    expect(rangesOf(await rulesOf(scene))).toEqual([app]);
    expect((await run(scene, "plan")).body.changes).toBe(0);
  });
});

test("a warning that rides on a success is told, in words and in JSON: public access was switched off in the middle", async ({ scene }) => {
  const { emulator, group, names } = scene;
  const id = `${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/${names.server}?api-version=2025-08-01`;
  const access = async (publicNetworkAccess: string) => {
    await emulator.arm("PATCH", id, { properties: { network: { publicNetworkAccess } } });
    await emulator.until(
      id,
      ({ body }) => body.properties.state === "Ready" && body.properties.network.publicNetworkAccess === publicNetworkAccess,
    );
  };
  const linkers = `${group}/providers/Microsoft.Web/sites/${names.sites[0]}/providers/Microsoft.ServiceLinker/linkers`;
  const [linker] = (await emulator.arm("GET", `${linkers}?api-version=2024-04-01`)).body.value;
  const path = `${linkers}/${linker.name}?api-version=2024-04-01`;
  letIn(scene, "azure-services");
  await emulator.arm("DELETE", path);
  await emulator.until(path, ({ status }) => status === 404);
  // After the run has looked at it: one that is closed from the beginning is refused.
  let isClosed: Promise<void> | undefined;
  scene.onPoint(async ({ phase, method, path: asked }) => {
    if (phase !== "arrived" || method !== "PUT" || !asked.includes("/linkers/")) return undefined;
    isClosed ??= access("Disabled");
    await isClosed;
    return undefined;
  });
  const words = "Deny public network access is set to yes.";
  const { stdout, stderr } = await scene.run("connection", "create").ended;
  scene.onPoint(undefined);
  await access("Enabled");
  expect(`${stdout}${stderr}`).toContain(words);
  expect(JSON.parse(stdout).warnings).toEqual([expect.objectContaining({ name: "Azure warns", detail: expect.stringContaining(words) })]);
});
