import fc from "fast-check";
import { expect, test } from "vitest";
import { azureServicesRule, covers, exposureOf, isOpenToAzure, rangesOf, shutOut, wantedRules } from "../../src/steps/firewall.ts";

test("neighbouring addresses share a rule, doubles count once", () => {
  expect(rangesOf(["20.1.2.4", "20.1.2.3", "20.1.2.4", "20.9.0.1"])).toEqual([
    { name: "app-20-1-2-3", start: "20.1.2.3", end: "20.1.2.4" },
    { name: "app-20-9-0-1", start: "20.9.0.1", end: "20.9.0.1" },
  ]);
});

test("a policy says which rules are wanted, whatever asks: the step, the tag, the connector, the checks", () => {
  const sites = [{ possibleOutboundAddresses: ["20.1.2.4"] }, { possibleOutboundAddresses: ["20.1.2.3"] }];
  expect(wantedRules("azure-services", sites, "shop")).toEqual([azureServicesRule]);
  const [rule, ...others] = wantedRules("app-addresses", sites, "shop");
  expect(rule).toEqual({ name: expect.stringMatching(/^app-[0-9a-f]{6}-20-1-2-3$/), start: "20.1.2.3", end: "20.1.2.4" });
  expect(others).toEqual([]);
  expect([wantedRules("azure-services"), wantedRules("app-addresses")]).toEqual([[azureServicesRule], []]);
  expect([isOpenToAzure("azure-services"), isOpenToAzure("app-addresses")]).toEqual([true, false]);
});

test("shut out is what no single rule lets in whole; all of Azure is let in by its own rule alone", () => {
  const range = { name: "app", start: "20.1.2.3", end: "20.1.2.6" };
  const halves = [
    { name: "a", start: "20.1.2.3", end: "20.1.2.4" },
    { name: "b", start: "20.1.2.5", end: "20.1.2.6" },
  ];
  expect(shutOut([range], halves)).toEqual([range]);
  expect(shutOut([range], [{ name: "c", start: "20.1.2.0", end: "20.1.2.255" }])).toEqual([]);
  const everybody = { name: "all", start: "0.0.0.0", end: "255.255.255.255" };
  expect(shutOut([azureServicesRule, range], [everybody])).toEqual([azureServicesRule]);
  expect(shutOut([azureServicesRule], [{ ...azureServicesRule, name: "mine" }])).toEqual([]);
});

test("the rules let in exactly the addresses they were made of", () => {
  fc.assert(
    fc.property(fc.array(fc.ipV4(), { minLength: 1, maxLength: 40 }), fc.ipV4(), (addresses, stranger) => {
      const rules = rangesOf(addresses);
      for (const address of addresses) expect(rules.some((rule) => covers(rule, address))).toBe(true);
      if (!addresses.includes(stranger)) expect(rules.some((rule) => covers(rule, stranger))).toBe(false);
    }),
  );
});

test.each([
  ["one address", [["203.0.113.7", "203.0.113.7"]], false],
  ["a /16", [["198.51.0.0", "198.51.255.255"]], false],
  ["one address more", [["198.51.0.0", "198.52.0.0"]], true],
  ["everybody", [["0.0.0.0", "255.255.255.255"]], true],
  ["all of Azure and its neighbour", [["0.0.0.0", "0.0.0.1"]], true],
  ["all of Azure", [["0.0.0.0", "0.0.0.0"]], false],
  [
    "two halves of a /15",
    [
      ["198.18.0.0", "198.18.255.255"],
      ["198.19.0.0", "198.19.255.255"],
    ],
    true,
  ],
])("%s is open to the internet or not", (_what, ranges, isOpen) => {
  const rules = ranges.map(([start = "", end = ""], at) => ({ name: `rule-${at}`, start, end }));
  expect(exposureOf(rules, "azure-services")?.words.startsWith("open to the internet") ?? false).toBe(isOpen);
});
