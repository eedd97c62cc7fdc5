import { describe, expect } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { KnownError } from "../../src/base/errors.ts";
import type { CheckResult as Check } from "../../src/checks/check.ts";
import { hints } from "../../src/cloud/hints.ts";
import { doctor, verify } from "../../src/graph/project-checks.ts";
import { fileTest as test } from "../support/emulator.ts";
import { openTestProject } from "../support/project.ts";

/** A server that does not let the caller in by itself: the firewallAccess has to be opened, and given back. */
describe.sequential("the way through a closed firewall", () => {
  test("opened for one address, seen as in use by verify, closed at the end, also when another run took it away", async ({ emulator }) => {
    const project = await openTestProject(emulator, {});
    await project.init();
    const { cloud, databases, firewallAccess, setup } = project;
    const { resourceGroup: group, server } = setup;
    const rules = async () => (await cloud.postgresServers.listFirewallRules(group, server.name)).map(({ name }) => name);
    await cloud.postgresServers.deleteFirewallRule(group, server.name, "azure-services");

    const checks = await verify({ setup, cloud, firewallAccess, clock: systemClock, signal: new AbortController().signal, marker: "row" });
    const find = (name: string) => checks.find((check) => check.name === name);
    expect(find("caller signs in to PostgreSQL over verified TLS")).toMatchObject({ ok: true });
    expect(find("firewall is narrow")?.detail).not.toMatch(/left open by an earlier run/);
    const [opening, ...others] = await rules();
    expect(others).toEqual([]);
    expect(opening).toMatch(/^passwordless-pg-[0-9a-f]{8}-/);

    // A second run of the same caller sweeps it: the first one notices and opens again.
    await cloud.postgresServers.deleteFirewallRule(group, server.name, opening ?? "");
    const administrators = await cloud.postgresServers.listAdministrators(group, server.name);
    const at = await cloud.postgresServers.get(group, server.name);
    if (!at) throw new Error("the server is gone");
    expect(await databases.at(at, administrators[0]?.name ?? "").find(setup.sites[0]?.role ?? "")).toBeDefined();
    await firewallAccess.revoke();
    expect(await rules()).toEqual([]);
  });

  test("one that a run of another machine works through, of the same caller: no leftover to init, verify, doctor and list", async ({
    emulator,
  }) => {
    const [mine, others] = [await openTestProject(emulator, {}), await openTestProject(emulator, {})];
    await mine.init();
    const { cloud, firewallAccess, setup } = mine;
    const { resourceGroup: group, server } = setup;
    await cloud.postgresServers.deleteFirewallRule(group, server.name, "azure-services");
    const at = await cloud.postgresServers.get(group, server.name);
    if (!at) throw new Error("the server is gone");
    await others.databases.at(at, cloud.caller.name).find(setup.sites[0]?.role ?? "");
    const [opening] = others.firewallAccess.temporaryRules;
    const rules = async () => (await cloud.postgresServers.listFirewallRules(group, server.name)).map(({ name }) => name);
    expect(await rules()).toEqual([opening]);

    await mine.init();
    expect(await rules()).toEqual([opening, "azure-services"]);
    const context = { setup, cloud, firewallAccess, clock: systemClock, signal: new AbortController().signal, marker: "row" };
    const find = (checks: readonly Check[], name: string) => checks.find((check) => check.name === name);
    expect(find(await verify(context), "firewall is narrow")).toMatchObject({ ok: true });
    const condition = find(await doctor(context), "no firewall opening is left");
    expect(condition).toMatchObject({ ok: true, detail: `none; another run works through ${opening} (127.0.0.1)` });
    await others.firewallAccess.revoke();
    expect(await rules()).toEqual(["azure-services"]);
  });

  test("a server that answers nothing: no address is guessed, the hint says how to let one in", async ({ emulator }) => {
    const { firewallAccess, setup } = await openTestProject(emulator, {});
    const cause = Object.assign(new Error("no answer within 20 s"), { code: "ETIMEDOUT" });
    const silent =
      (hint: string = hints.databaseSilent) =>
      () =>
        Promise.reject(new KnownError("database/unreachable", "cannot connect", { cause, hint }));
    const { name } = setup.server;
    await expect(firewallAccess.withAccess({ name, publicNetworkAccess: true }, silent())).rejects.toMatchObject({
      code: "database/unreachable",
      cause,
      hint: expect.stringMatching(
        /`az postgres flexible-server firewall-rule create -g \S+ -n \S+ --rule-name my-address --start-ip-address /,
      ),
    });
    await expect(firewallAccess.withAccess({ name, publicNetworkAccess: false }, silent())).rejects.toMatchObject({
      hint: hints.databaseSilent,
    });
    // An environment that knows another cause of silence has said so.
    await expect(firewallAccess.withAccess({ name, publicNetworkAccess: true }, silent("start it"))).rejects.toMatchObject({
      hint: "start it",
    });
    expect(firewallAccess.temporaryRules.size).toBe(0);
  });
});
