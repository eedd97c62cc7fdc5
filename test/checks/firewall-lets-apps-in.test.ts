import { expect, test } from "vitest";
import { firewallLetsAppsIn } from "../../src/checks/network.ts";
import { createSetup } from "../../src/project/setup.ts";
import { azureServicesRule, wantedRules } from "../../src/steps/firewall.ts";

const site = (name: string, ...possibleOutboundAddresses: string[]) => ({ site: async () => ({ name, possibleOutboundAddresses }) });

function look(firewall: string, rules: readonly { name: string; start: string; end: string }[], ...sites: ReturnType<typeof site>[]) {
  const file = { name: "shop", server: { firewall } };
  const context = { folder: "/shop", suffix: "7f3a", detected: { api: { runtime: "python|3.12" } }, validate: () => [] };
  return firewallLetsAppsIn.look({ rules: async () => [...rules], sites, context: { setup: createSetup(file, context) } });
}

test("a policy that lets in addresses: those of every app, and an app without one is not known to be let in", async () => {
  const shop = { name: "shop", possibleOutboundAddresses: ["20.1.2.3"] };
  const rules = wantedRules("app-addresses", [shop], "shop/db");
  expect(await look("app-addresses", rules, site("shop", "20.1.2.3"))).toMatchObject({ ok: true });
  expect(await look("app-addresses", rules, site("shop", "20.1.2.3"), site("work", "20.9.0.1"))).toMatchObject({
    ok: false,
    detail: expect.stringContaining("20.9.0.1"),
  });
  expect(await look("app-addresses", rules, site("shop", "20.1.2.3"), site("work"))).toEqual({
    ok: false,
    detail: "Azure names no outbound address of work",
  });
});

test("a policy that lets in all of Azure asks no app", async () => {
  expect(await look("azure-services", [azureServicesRule], site("shop"))).toMatchObject({ ok: true });
  expect(await look("azure-services", [], site("shop"))).toMatchObject({ ok: false });
});
