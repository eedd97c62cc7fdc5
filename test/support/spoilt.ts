import { expect } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import type { CheckResult } from "../../src/checks/check.ts";
import { repairBeside, safePart } from "../../src/checks/repair.ts";
import type { PostgresServer } from "../../src/cloud/postgres-servers.ts";
import { apply } from "../../src/engine/apply.ts";
import { doctor } from "../../src/graph/project-checks.ts";
import { databasesOf } from "./databases.ts";
import type { TestEmulator } from "./emulator.ts";
import type { TestProject } from "./project.ts";
import type { projectTest } from "./project-fixture.ts";

/** The project that the tests of the checks spoil. */
export const shopFile = {
  location: "eastus",
  server: { sku: "Standard_B1ms", version: "16", storageGb: 32 },
  apps: { api: { runtime: "python|3.12", plan: "B1", startup: "python -m http.server $PORT", settings: { GREETING: "hello" } } },
};

/** Name of its web app and of its role. */
export const shopApi = "shop-api-t3st";

/** Where nothing is deployed these two are always found. */
const undeployed = ["api: code is there", "api: deployed package is that of the folder"];

export const never = new AbortController().signal;

/** What `doctor` says. */
export async function examine(
  { cloud, setup, firewallAccess }: TestProject,
  more: { readonly areRestarting?: boolean } = {},
): Promise<CheckResult[]> {
  const packageHash = async (): Promise<string> => "0".repeat(64);
  try {
    return await doctor({ cloud, setup, firewallAccess, clock: systemClock, signal: never, packageHash, ...more });
  } finally {
    await firewallAccess.revoke();
  }
}

function namesOf(checks: readonly CheckResult[], ignored: readonly string[]): string[] {
  return checks.filter(({ ok, name }) => !ok && !ignored.includes(name)).map(({ name }) => name);
}

/** Exactly these checks are not well. (`table.test.ts` reads the names out of the calls.) */
export function expectWrong(checks: readonly CheckResult[], names: readonly string[], ignored: readonly string[] = undeployed): void {
  expect(namesOf(checks, ignored).sort()).toEqual([...names].sort());
}

/** These checks are not well, and others may not be either. */
export function expectAmongWrong(checks: readonly CheckResult[], names: readonly string[]): void {
  expect(namesOf(checks, [])).toEqual(expect.arrayContaining([...names]));
}

/** What `doctor --fix` does. */
export async function fix(project: TestProject): Promise<void> {
  const beside = await repairBeside(project.setup, project.cloud, systemClock);
  expect(beside.filter(({ outcome }) => outcome === "failed")).toEqual([]);
  const report = await apply(safePart(await project.plan(), project), { clock: systemClock, signal: never });
  await project.firewallAccess.revoke();
  expect(report.steps.filter(({ outcome }) => outcome === "failed").map(({ name, reason }) => `${name}: ${reason}`)).toEqual([]);
}

export interface Spoilt {
  readonly project: TestProject;
  readonly emulator: TestEmulator;
  readonly group: string;
  readonly server: string;
  /** ARM, below the group's `providers`. */
  arm(method: string, path: string, body?: object): Promise<unknown>;
  /** Changes the server's properties as others would, and waits until it is ready and so. */
  patchServer(properties: object, isSo: (server: PostgresServer) => boolean): Promise<void>;
  sql(...statements: readonly string[]): Promise<void>;
}

export function toolsFor(project: TestProject, emulator: TestEmulator): Spoilt {
  const { resourceGroup: group, server, database } = project.setup;
  const arm: Spoilt["arm"] = async (method, path, body) => {
    const answer = await emulator.arm(method, `${emulator.subscription}/resourceGroups/${group}/providers/${path}`, body);
    if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.body;
  };
  return {
    project,
    emulator,
    group,
    server: server.name,
    arm,
    patchServer: async (properties, isSo) => {
      await arm("PATCH", `Microsoft.DBforPostgreSQL/flexibleServers/${server.name}?api-version=2025-08-01`, { properties });
      const isReady = async (): Promise<boolean> => {
        const found = await project.cloud.postgresServers.get(group, server.name);
        return found?.state === "Ready" && isSo(found);
      };
      await expect.poll(isReady).toBe(true);
    },
    sql: (...statements) => databasesOf(emulator, project).run(database, ...statements),
  };
}

/** One batch: made by hand, found by name (and nothing else is), repaired by `--fix` or by the hand named, and then well. */
export interface Batch {
  readonly what: string;
  spoil(tools: Spoilt): Promise<unknown>;
  readonly found: readonly string[];
  /** What `--fix` must not touch, and how a person repairs it. */
  readonly byHand?: readonly string[];
  mend?(tools: Spoilt): Promise<unknown>;
}

/** A test for each batch; each leaves the project well. */
export function testBatches(test: ReturnType<typeof projectTest>, batches: readonly Batch[]): void {
  test.for(batches)("$what", async ({ spoil, found, byHand = [], mend }, { emulator, project }) => {
    const tools = toolsFor(project, emulator);
    await spoil(tools);
    const checks = await examine(project);
    expectWrong(checks, found);
    for (const { name, ok, detail, meaning, hint } of checks) {
      expect(detail, name).not.toBe("");
      if (!ok)
        expect(
          [meaning, hint].map((words) => words ?? ""),
          name,
        ).not.toContain("");
    }
    if (byHand.length < found.length) await fix(project);
    expectWrong(await examine(project), byHand);
    if (!mend) return;
    await mend(tools);
    await fix(project);
    expectWrong(await examine(project), []);
  });
}
