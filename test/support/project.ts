import type { TokenCredential } from "@azure/core-auth";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import type { Cloud } from "../../src/cloud/cloud.ts";
import type { Databases } from "../../src/cloud/database/databases.ts";
import { createFirewallAccess, type FirewallAccess } from "../../src/cloud/firewall-access.ts";
import { apply } from "../../src/engine/apply.ts";
import { type Plan, plan } from "../../src/engine/plan.ts";
import type { Report } from "../../src/engine/report.ts";
import { type ProjectGraph, projectGraph } from "../../src/graph/project-graph.ts";
import { createSetup, type Setup } from "../../src/project/setup.ts";
import { validateProject } from "../../src/project/validate.ts";
import { openTestCloud } from "./cloud.ts";
import type { TestEmulator } from "./emulator.ts";

/** A project without a folder, and the client's own adapters over a test's local Azure. */
export interface TestProject {
  readonly setup: Setup;
  readonly cloud: Cloud;
  readonly firewallAccess: FirewallAccess;
  readonly databases: Databases;
  readonly graph: ProjectGraph;
  plan(): Promise<Plan>;
  init(): Promise<Report>;
  /** ARM writes that the emulator saw since the last call: `PUT /subscriptions/…`. */
  writes(): string[];
}

function credentialOf(emulator: TestEmulator, principal: string): TokenCredential {
  return {
    getToken: async (scopes) => {
      const audience = String(scopes).replace(/\/\.default$/, "");
      return { token: await emulator.tokenFor(principal, audience), expiresOnTimestamp: Date.now() + 3_000_000 };
    },
  };
}

export async function openTestProject(
  emulator: TestEmulator,
  file: object,
  /** `caller`: the seeded service principal when absent, else the principal of this name or object ID. `credential`: instead of the caller's. */
  {
    caller,
    clock = systemClock,
    ...more
  }: { readonly caller?: string | undefined; readonly clock?: Clock; readonly credential?: TokenCredential } = {},
): Promise<TestProject> {
  const setup = createSetup(
    { name: "shop", ...file },
    { folder: "/nowhere", suffix: "t3st", detected: { api: { runtime: "python|3.12" } }, validate: validateProject },
  );
  const signal = new AbortController().signal;
  const credential = more.credential ?? (caller === undefined ? emulator.credential : credentialOf(emulator, caller));
  const cloud = await openTestCloud(emulator, { credential, clock });
  const firewallAccess = createFirewallAccess({
    servers: cloud.postgresServers,
    openServersForCleanup: async () => cloud.postgresServers,
    group: setup.resourceGroup,
    callerId: cloud.caller.objectId,
    owner: setup.owner,
    clock: systemClock,
    signal,
    journal: { add: () => {}, remove: () => {}, abandoned: () => [], held: () => [] },
    onNote: () => {},
  });
  const graph = projectGraph(setup, { cloud, firewallAccess, clock: systemClock, signal });
  let seen = 0;
  return {
    setup,
    cloud,
    firewallAccess,
    databases: cloud.databases(firewallAccess),
    graph,
    plan: () => plan(graph.steps),
    init: async () => {
      const report = await apply(await plan(graph.steps), { clock: systemClock, signal });
      await firewallAccess.revoke();
      return report;
    },
    writes: () => {
      const entries = emulator.journal.entries().filter(({ n }) => n > seen);
      seen = entries.at(-1)?.n ?? seen;
      return entries
        .filter(({ method, path }) => method !== "GET" && !/\/oauth2\/|\/list$|\/listConfigurations$|^\/_local/i.test(path))
        .map(({ method, path }) => `${method} ${path}`);
    },
  };
}
