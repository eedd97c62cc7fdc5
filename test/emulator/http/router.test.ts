import { expect, test } from "vitest";
import { createRouter, type RouteBody, route } from "../../../src/emulator/http/router.ts";

const none = () => new Response();
const router = createRouter([
  route("GET", "/sites/{site}", "inferred", none),
  route("GET", "/sites/{site}/slots/{slot}", "inferred", none),
  route("GET", "/sites/{site}/{kind}/{name}", "inferred", none),
  route("PUT", "/sites/{site}", "inferred", "none", none),
  route("GET", "/{scope...}/linkers/{linker}", "inferred", none),
]);

test.for([
  ["a parameter, decoded, in the caller's case", "GET", "/sites/My%20Shop", "/sites/{site}", { site: "My Shop" }],
  ["fixed words in any case", "GET", "/SITES/shop/", "/sites/{site}", { site: "shop" }],
  ["doubled slashes as one", "GET", "//sites//shop", "/sites/{site}", { site: "shop" }],
  ["literals before parameters", "GET", "/sites/a/slots/b", "/sites/{site}/slots/{slot}", { site: "a", slot: "b" }],
  ["many segments", "GET", "/a/b/c/linkers/d", "/{scope...}/linkers/{linker}", { scope: "a/b/c", linker: "d" }],
  ["HEAD by its GET", "HEAD", "/sites/shop", "/sites/{site}", { site: "shop" }],
] as const)("%s", ([, method, path, wanted, params]) => {
  expect(router.find(method, path)).toMatchObject({ route: { path: wanted }, params });
});

test.for([
  ["another method", "POST", "/sites/shop"],
  ["broken percent-encoding", "GET", "/sites/%E0%A4"],
  ["a longer path", "GET", "/sites/shop/slots"],
] as const)("%s is not found", ([, method, path]) => {
  expect(router.find(method, path)).toBeUndefined();
});

test("a route that can have a body must say what it takes; one that cannot must not", () => {
  const shape: RouteBody = { "properties.value": "text" };
  expect(route("PUT", "/x", "inferred", shape, none).body).toBe(shape);
  expect(route("GET", "/x", "inferred", none).body).toBe("none");
  // @ts-expect-error: a PUT that says nothing of its body
  route("PUT", "/x", "inferred", none);
  // @ts-expect-error: a GET with a body
  route("GET", "/x", "inferred", shape, none);
});
