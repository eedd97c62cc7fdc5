import fc from "fast-check";
import { expect, test } from "vitest";
import {
  checkDatabaseName,
  checkIdentity,
  checkResourceGroupName,
  checkServerName,
  checkSiteName,
  linkerNameFrom,
  projectNameFrom,
  suffixFrom,
} from "../../src/project/names.ts";

test.each([
  ["orders-db-7f3a", true],
  ["abc", true],
  ["ab", false],
  // trap: postgres 12
  ["Orders", false],
  ["orders_db", false],
  ["-orders", false],
  ["orders-", false],
  ["o".repeat(63), true],
  ["o".repeat(64), false],
])("server name %s: %s", (name, isFine) => {
  expect(checkServerName(name) === undefined).toBe(isFine);
});

test.each([
  ["Shop-1", true],
  ["a", false],
  ["a_b", false],
  ["shop-", false],
  ["s".repeat(61), false],
])("web app name %s: %s", (name, isFine) => {
  expect(checkSiteName(name) === undefined).toBe(isFine);
});

const identityId = "/subscriptions/s/resourceGroups/rg-shared/providers/Microsoft.ManagedIdentity/userAssignedIdentities";
test.each([
  ["shop-id", true],
  ["0_a", true],
  ["ab", false],
  ["-shop", false],
  ["shop.id", false],
  ["i".repeat(128), true],
  ["i".repeat(129), false],
  [`${identityId}/shop-id`, true],
  [`${identityId.toUpperCase()}/shop-id`, true],
  [identityId, false],
  [`${identityId}/shop-id/federatedIdentityCredentials/x`, false],
  [`${identityId}/a`, false],
  ["/subscriptions/s/resourceGroups/rg/providers/Microsoft.Web/sites/shop", false],
  ["subscriptions/shop-id", false],
  ["", false],
])("identity %s: %s", (identity, isFine) => {
  expect(checkIdentity(identity) === undefined).toBe(isFine);
});

test.each([
  // trap: postgres 36
  ["azure_sys", false],
  ["template1", false],
  ["postgres", true],
  ["1shop", false],
  ['sh"op', false],
])("database name %s: %s", (name, isFine) => {
  expect(checkDatabaseName(name) === undefined).toBe(isFine);
});

test("a resource group may not end in a dot", () => {
  expect(checkResourceGroupName("rg.")).toBeDefined();
  expect(checkResourceGroupName("rg-(one)_2")).toBeUndefined();
});

// trap: servicelinker 12
test("whatever the folder is called, the derived names are accepted", () => {
  fc.assert(
    fc.property(fc.string(), fc.string({ minLength: 1 }), (folder, key) => {
      const name = projectNameFrom(folder);
      expect(name).toMatch(/^[a-z][a-z0-9-]{0,30}[a-z0-9]$/);
      expect(checkServerName(`${name}-db-${suffixFrom(folder)}`)).toBeUndefined();
      expect(linkerNameFrom(key)).toMatch(/^[A-Za-z0-9._]+$/);
    }),
  );
});
