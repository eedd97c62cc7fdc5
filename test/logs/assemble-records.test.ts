import { describe, expect, test } from "vitest";
import { createRecordAssembler, type Origin } from "../../src/logs/assemble-records.ts";

const NOW = Date.parse("2026-02-07T10:00:00Z");
const STAMP = "2026-02-07T09:12:31.412000300Z";

function records(lines: readonly string[], origin: Origin = {}) {
  const assembler = createRecordAssembler("api", () => NOW);
  return [...lines.flatMap((line) => assembler.push(line, origin)), ...assembler.flush()];
}

test.each([
  ["INFO:     Uvicorn running on http://0.0.0.0:8000", "info"],
  ["WARNING:root:low", "warning"],
  ["[2026-02-07 09:12:31 +0000] [1901] [ERROR] Worker failed", "error"],
  ["2026-02-07 09:12:31,412 - shop.orders - CRITICAL - gone", "critical"],
  ["2026-02-07 09:12:31,412 DEBUG shop: sql", "debug"],
  ["Error: connect ECONNREFUSED", "error"],
  ["psycopg.OperationalError: connection failed", "error"],
  ["ERROR something", "error"],
  ["npm ERR! code 1", "error"],
  ["Information for you", undefined],
  ["errors: none", undefined],
  ["10.0.0.1 - - GET /error", undefined],
] as const)("reads the level of %s", (text, level) => {
  expect(records([text])).toEqual([
    { time: "2026-02-07T10:00:00.000Z", app: "api", source: "app", message: text, ...(level ? { level } : {}) },
  ]);
});

test("takes stamp, instance and source from the line and its file", () => {
  const path = (kind: string) => ({ path: `/home/LogFiles/2026_02_07_lw1sdlwk0006AB_${kind}.log` });
  expect(records([`${STAMP} hello`], path("default_docker"))).toEqual([
    { time: STAMP, app: "api", instance: "lw1sdlwk0006AB", source: "app", message: "hello" },
  ]);
  expect(records([`${STAMP} Container has finished running with exit code: 3.`], path("docker"))).toMatchObject([
    { source: "platform", level: "error", instance: "lw1sdlwk0006AB" },
  ]);
  expect(records([`${STAMP} x`], path("easyauth_docker"))).toMatchObject([{ source: "auth" }]);
  expect(records([`${STAMP} Pulling image: appsvc/python:3.12`, "INFO - my own format"])).toMatchObject([
    { source: "platform" },
    { source: "app" },
  ]);
});

test("unpacks structured lines, at once and whole", () => {
  const assembler = createRecordAssembler("api", () => NOW);
  const line = JSON.stringify({
    time: "2026-02-07T09:00:00Z",
    level: "error",
    message: "boom",
    path: "/x",
    exception: "Traceback\n  at x",
  });
  expect(assembler.push(`${STAMP} ${line}`, {})).toEqual([
    { time: STAMP, app: "api", source: "app", level: "error", message: "boom\nTraceback\n  at x", fields: { path: "/x" } },
  ]);
  expect(assembler.push('{"level":50,"msg":"pino","time":1770454800000}', {})).toEqual([
    { time: "2026-02-07T09:00:00.000Z", app: "api", source: "app", level: "error", message: "pino" },
  ]);
  expect(assembler.isHolding).toBe(false);
  expect(records(['{"not":"a record"}', "{broken}", '{"level":"__proto__","message":"x"}'])).toMatchObject([
    { message: '{"not":"a record"}' },
    { message: "{broken}" },
    { message: "x" },
  ]);
});

const python = [
  "ERROR:    Exception in ASGI application",
  "Traceback (most recent call last):",
  '  File "/app/main.py", line 3, in f',
  "    1 / 0",
  "    ~~^~~",
  "ZeroDivisionError: division by zero",
  "",
  "During handling of the above exception, another exception occurred:",
  "",
  "Traceback (most recent call last):",
  '  File "/app/main.py", line 5, in g',
  "ValueError: bad",
];
const node = [
  "file:///app/server.js:12",
  "  throw new Error('x', {",
  "        ^",
  "",
  "Error: x",
  "    at file:///app/server.js:12:9 {",
  "  code: 'E_X'",
  "}",
];

describe("keeps together", () => {
  test.each([
    ["a chained Python traceback", python],
    ["a Python traceback on its own", python.slice(1)],
    ["an uncaught Node error", node],
  ])("%s, and the lines around it apart", (_, lines) => {
    const found = records(["before", ...lines, "after"].map((line) => `${STAMP} ${line}`));
    const message = lines.filter((line) => line !== "").join("\n");
    expect(found.map((record) => record.message)).toEqual(["before", message, "after"]);
    expect(found[1]?.level ?? "error").toBe("error");
  });

  test("the level of a traceback that was flushed in its middle", () => {
    const assembler = createRecordAssembler("api", () => NOW);
    const found = python.slice(1, 6).flatMap((line) => [...assembler.push(line, {}), ...assembler.flush()]);
    expect(found.map(({ level }) => level)).toEqual(["error", "error", "error", "error", "error"]);
  });
});

test("flushes what has waited, and only that", () => {
  let now = 1000;
  const assembler = createRecordAssembler("api", () => now);
  assembler.push("old", { path: "/a.log" });
  now = 1100;
  assembler.push("new", { path: "/b.log" });
  expect(assembler.flush(1050).map(({ message }) => message)).toEqual(["old"]);
  expect(assembler.isHolding).toBe(true);
});

test("ends a record that would never end", () => {
  const found = records(Array.from({ length: 20_000 }, (_, index) => `  ${index} ${"x".repeat(40)}`));
  expect(found.length).toBeGreaterThan(1);
  expect(found.map(({ message }) => message.split("\n").length).reduce((sum, one) => sum + one, 0)).toBe(20_000);
});

test("a structured line too deep to be written again is kept as text", () => {
  const deep = `{"message":"m","a":${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}}`;
  const [record] = records([deep]);
  expect(record?.message).toBe(deep);
  expect(JSON.stringify(record)).toContain("message");
});
