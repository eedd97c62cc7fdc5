import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { test } from "../../support/command-line.ts";

test("tail: lines until Ctrl-C, as words and as records; its end is no error", async ({ cli }) => {
  const directory = await cli.project();
  const deployed = await cli.run("deploy", { directory });
  expect(deployed.code, deployed.said).toBe(0);
  const restart = (): void => void cli.run("webapp restart", { directory });
  for (const [words, line] of [
    ["logs tail", /^\d\d:\d\d:\d\d\.\d{3} .*up$/],
    ["logs tail --json", /"app":"shop-api-t3st".*"message":"up"/],
  ] as const) {
    const { code, said, results } = await cli.run(words, {
      directory,
      stopAt: line,
      onLine: (text) => {
        if (text.startsWith("log of")) restart();
      },
    });
    expect([code, said]).toEqual([130, "log of shop-api-t3st; Ctrl-C ends it"]);
    expect(results).toContainEqual(expect.stringMatching(line));
  }
});

test("download: one zip, and never over a file that is there", async ({ cli }) => {
  const directory = await cli.project();
  const { code, documents } = await cli.run("logs download -o today.zip --json", { directory });
  expect([code, documents]).toEqual([0, [expect.objectContaining({ ok: true, file: join(directory, "today.zip") })]]);
  expect(readFileSync(join(directory, "today.zip")).subarray(0, 2).toString()).toBe("PK");
  const again = await cli.run("logs download -o today.zip", { directory });
  expect([again.code, again.said]).toEqual([
    2,
    expect.stringMatching(/today\.zip exists already\n.*\n {2}→ name another file with --output/),
  ]);
});
