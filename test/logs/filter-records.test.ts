import { expect, test } from "vitest";
import { recordFilter } from "../../src/logs/filter-records.ts";
import type { LogRecord } from "../../src/logs/log-record.ts";

const NOW = Date.parse("2026-02-07T10:00:00Z");
const record = (more: Partial<LogRecord>): LogRecord => ({
  time: "2026-02-07T09:55:00Z",
  app: "api",
  source: "app",
  message: "GET /Items 500",
  ...more,
});

test.each([
  [{}, {}, true],
  [{ filter: "items" }, {}, true],
  [{ filter: "absent" }, {}, false],
  [{ filter: "/items/" }, {}, false],
  [{ filter: "/ITEMS \\d+/i" }, {}, true],
  [{ since: "10m" }, {}, true],
  [{ since: "4m" }, {}, false],
  [{ since: "2026-02-07T09:55:00Z" }, {}, true],
  [{ since: "2026-02-07T09:55:01Z" }, {}, false],
  [{ level: "warn" }, { level: "warning" }, true],
  [{ level: "error" }, { level: "warning" }, false],
  [{ level: "info" }, {}, true],
  [{ level: "warning" }, {}, false],
] as const)("%j on %j", (filter, more, expected) => {
  expect(recordFilter(filter, NOW)(record(more))).toBe(expected);
});

test("a pattern with g gives the same answer again", () => {
  const test = recordFilter({ filter: "/items/gi" }, NOW);
  expect([test(record({})), test(record({}))]).toEqual([true, true]);
});

test.each([{ filter: "/(/" }, { since: "yesterday" }, { since: "10x" }, { level: "loud" }])("refuses %j", (filter) => {
  expect(() => recordFilter(filter, NOW)).toThrow(expect.objectContaining({ code: "usage/invalid" }));
});
