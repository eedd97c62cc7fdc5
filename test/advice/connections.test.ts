import { expect, test } from "vitest";
import { connectionBudget } from "../../src/advice/connections.ts";

test.each([
  { what: "the templates' pool of 5 in one process", settings: {}, instances: 1, max: 50, needed: 5, usable: 35, isEnough: true },
  {
    what: "pool × processes × instances",
    settings: { DB_POOL_SIZE: "4", WEB_CONCURRENCY: "3" },
    instances: 2,
    max: 50,
    needed: 24,
    usable: 35,
    isEnough: true,
  },
  { what: "exactly as many as there are", settings: { DB_POOL_SIZE: "35" }, instances: 1, max: 50, needed: 35, usable: 35, isEnough: true },
  { what: "one too many", settings: { DB_POOL_SIZE: "36" }, instances: 1, max: 50, needed: 36, usable: 35, isEnough: false },
  { what: "a plan that says no instances runs one", settings: {}, instances: 0, max: 50, needed: 5, usable: 35, isEnough: true },
  {
    what: "what is no number above zero is not taken",
    settings: { DB_POOL_SIZE: "-3", WEB_CONCURRENCY: "auto" },
    instances: 1,
    max: 20,
    needed: 5,
    usable: 5,
    isEnough: true,
  },
])("$what", ({ settings, instances, max, what: _, ...expected }) => {
  expect(connectionBudget([{ name: "shop-api", settings, instances }], max)).toMatchObject(expected);
});

test("apps are summed, each with its share in words", () => {
  const users = [
    { name: "shop-api", settings: { DB_POOL_SIZE: "10" }, instances: 2 },
    { name: "shop-web", settings: {}, instances: 1 },
  ];
  expect(connectionBudget(users, 50)).toEqual({
    needed: 25,
    usable: 35,
    isEnough: true,
    parts: ["shop-api 10 × 1 processes × 2 instances", "shop-web 5 × 1 processes × 1 instances"],
  });
});
