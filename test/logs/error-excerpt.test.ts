import { describe, expect, test } from "vitest";
import { excerptErrors } from "../../src/logs/error-excerpt.ts";

const stamped = (...lines: readonly string[]) =>
  lines.map((line, index) => `2026-02-07T09:12:31.${String(index).padStart(9, "0")}Z ${line}`);
const noise = (count: number, text = "npm warn old") => Array.from({ length: count }, (_, index) => `${text} ${index}`);
const banner = "  A P P   S E R V I C E   O N   L I N U X";
const traceback = (depth: number, error: string) => [
  "Traceback (most recent call last):",
  ...noise(depth, '  File "app.py", line'),
  `ValueError: ${error}`,
];
const node = [
  "file:///home/site/wwwroot/server.js:2",
  'throw new Error("lost");',
  "      ^",
  "",
  "Error: lost",
  "    at file:///home/site/wwwroot/server.js:2:7",
];

describe("the lines that say why a start failed", () => {
  test("all of a short log, from the last start on and without stamps", () => {
    expect(excerptErrors(stamped("old", banner, "one", "two"), 30)).toEqual(["one", "two"]);
  });

  test("an error stays whole however much comes after it", () => {
    const told = excerptErrors(stamped(banner, ...noise(40, "before"), ...node, ...noise(50, "npm error")), 30);
    expect(told).toEqual([...node.slice(1).filter(Boolean), ...noise(50, "npm error").slice(-5)]);
  });

  test("npm's errors when there are no others", () => {
    expect(excerptErrors(stamped(...noise(40), "npm error Missing script: start", ...noise(50)), 30)).toContain(
      "npm error Missing script: start",
    );
  });

  test("the last lines when nothing looks like an error", () => {
    expect(excerptErrors(stamped(...noise(100, "line")), 30)).toEqual(noise(100, "line").slice(-30));
  });

  test("a crash loop tells its error once", () => {
    const once = ["starting", ...traceback(3, "again")];
    const told = excerptErrors(stamped(...noise(20), ...once, ...once, ...once), 12);
    expect(told.filter((line) => line === "ValueError: again")).toHaveLength(1);
  });

  test("a traceback that is too long keeps its beginning and its exception", () => {
    const told = excerptErrors(stamped(...traceback(200, "deep"), ...noise(50)), 30);
    expect(told).toHaveLength(30);
    expect(told[0]).toBe("Traceback (most recent call last):");
    expect(told).toContain("ValueError: deep");
  });

  test("a traceback goes before single lines about it", () => {
    const about = noise(40, "[2026-02-07 09:12:31 +0000] [1] [ERROR] Worker exited");
    const told = excerptErrors(stamped(...traceback(3, "cause"), ...about), 30);
    expect(told).toHaveLength(30);
    expect(told.slice(0, 5)).toEqual(traceback(3, "cause"));
    expect(told.at(-1)).toBe(about.at(-1));
  });
});
