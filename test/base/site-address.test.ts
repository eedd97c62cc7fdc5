import { expect, test } from "vitest";
import { siteAddressId, siteName } from "../../src/base/site-address.ts";

test.each([
  [{ group: "rg-shop", app: "shop" }, "resourceGroups/rg-shop/providers/Microsoft.Web/sites/shop"],
  [{ group: "rg-shop", app: "shop", slot: "staging" }, "resourceGroups/rg-shop/providers/Microsoft.Web/sites/shop/slots/staging"],
  [
    { group: "r/g?", app: "a/../b", slot: "s/slots/t#?%2F" },
    "resourceGroups/r%2Fg%3F/providers/Microsoft.Web/sites/a%2F..%2Fb/slots/s%2Fslots%2Ft%23%3F%252F",
  ],
])("%j is one path, whatever the names hold", (address, path) => {
  expect(siteAddressId("s1", address)).toBe(`/subscriptions/s1/${path}`);
});

test("a slot is named as Azure names its resource", () => {
  expect(siteName({ group: "rg", app: "shop", slot: "staging" })).toBe("shop/staging");
  expect(siteName({ group: "rg", app: "shop" })).toBe("shop");
});
