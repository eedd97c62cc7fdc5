import { describe, expect } from "vitest";
import { warningsOf } from "../../src/checks/warnings.ts";
import { fileTest as test } from "../support/emulator.ts";
import { openTestProject, type TestProject } from "../support/project.ts";

const rulesOf = async ({ cloud, setup }: TestProject): Promise<string[]> =>
  (await cloud.postgresServers.listFirewallRules(setup.resourceGroup, setup.server.name))
    .map(({ name, start }) => `${name} ${start}`)
    .sort();
const put = ({ cloud, setup }: TestProject, name: string, start: string, end = start): Promise<void> =>
  cloud.postgresServers.putFirewallRule(setup.resourceGroup, setup.server.name, { name, start, end });
const outcomeOf = async (project: TestProject) => (await project.init()).steps.find(({ name }) => name === "firewall");

describe.sequential("rules for the apps' addresses", () => {
  test("of addresses that no app has any more go, those of another project and of people stay", async ({ emulator }) => {
    const project = await openTestProject(emulator, { server: { firewall: "app-addresses" } });
    await project.init();
    const [own = ""] = (await rulesOf(project)).map((rule) => rule.split(" ")[0] ?? "");
    expect(own).toMatch(/^app-[0-9a-f]{6}-127-0-0-1$/);
    const ours = own.slice(0, "app-123456-".length);
    await put(project, `${ours}203-0-113-7`, "203.0.113.7");
    await put(project, "app-ffffff-203-0-113-8", "203.0.113.8");
    await put(project, "office", "203.0.113.9");
    // Wider than it is wanted: written over, not taken away.
    await put(project, own, "127.0.0.1", "127.0.0.9");
    expect(await outcomeOf(project)).toMatchObject({
      outcome: "updated",
      reason: expect.stringContaining(`${ours}203-0-113-7: 203.0.113.7 → removed`),
    });
    expect(await rulesOf(project)).toEqual([`${own} 127.0.0.1`, "app-ffffff-203-0-113-8 203.0.113.8", "office 203.0.113.9"]);
    const { setup, cloud } = project;
    expect(await cloud.postgresServers.listFirewallRules(setup.resourceGroup, setup.server.name)).toContainEqual({
      name: own,
      start: "127.0.0.1",
      end: "127.0.0.1",
    });
  });

  test("on somebody else's server the rule for all of Azure is named and left: others live on it", async ({ emulator }) => {
    const host = await openTestProject(emulator, { name: "host", server: { name: "shared-db" } });
    await host.init();
    const guest = await openTestProject(emulator, {
      name: "guest",
      resourceGroup: host.setup.resourceGroup,
      server: { name: "shared-db", firewall: "app-addresses" },
      apps: { api: { name: "guest-api-t3st" } },
    });
    const planned = await guest.plan();
    const change = planned.steps.find(({ step }) => step.name === "firewall")?.change;
    expect(JSON.stringify(change)).not.toContain("azure-services");
    expect(await outcomeOf(guest)).not.toMatchObject({ outcome: "failed" });
    expect((await rulesOf(host)).filter((rule) => rule === "azure-services 0.0.0.0")).toHaveLength(1);
    expect(await warningsOf(guest, await guest.plan(), { isQuick: true })).toContainEqual(
      expect.objectContaining({ name: "firewall is narrow", detail: expect.stringMatching(/all of Azure.*azure-services 0\.0\.0\.0/) }),
    );
  });
});
