import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { plainApp, test } from "../../support/command-line.ts";

test("uploads what changed, tells the build as it runs, and leaves alone what runs already, unless forced", async ({ cli }) => {
  const directory = await cli.project();
  writeFileSync(join(directory, "new.txt"), "of this test");
  const first = await cli.run("deploy", { directory });
  expect(first.code, first.said).toBe(0);
  expect(first.results).toEqual([expect.stringMatching(/^shop-api-t3st: deployed \(\d+ bytes\) {2}http:/)]);
  expect(first.messages).toContainEqual("… deployment api: deploying");
  expect(first.messages).toContainEqual(expect.stringMatching(/^~ deployment api updated \d/));
  const again = await cli.run("deploy", { directory });
  expect([again.code, again.results]).toEqual([0, [expect.stringMatching(/^shop-api-t3st: unchanged, nothing uploaded {2}http:/)]]);
  const { code, documents } = await cli.run("deploy --force --app api --json", { directory });
  expect([code, documents]).toEqual([
    0,
    [expect.objectContaining({ ok: true, app: "shop-api-t3st", outcome: "deployed", uploadedBytes: expect.any(Number) })],
  ]);
});

test("Ctrl-C in the middle: what is not finished, and the command that goes on", async ({ cli }) => {
  const directory = await cli.project();
  const { code, said } = await cli.run("deploy --force", { directory, stopAt: /… deployment api: deploying/ });
  expect(code).toBe(130);
  expect(said).toMatch(
    /✗ stopped by SIGINT; nothing is undone\n {2}not finished, Azure may go on with it: deployment api\n {2}→ run `passwordless-pg deploy` again/,
  );
});

test("an app that is not in the project, and one that is not there: refused with the way out", async ({ cli }) => {
  const unknown = await cli.run("deploy --app web", { directory: await cli.project() });
  expect([unknown.code, unknown.said]).toEqual([
    2,
    expect.stringMatching(/the project has no app "web"\n {2}→ choose one with --app: api/),
  ]);
  const directory = cli.folder({
    ...plainApp,
    "passwordless-pg.json": JSON.stringify({ name: "gone", apps: { api: { name: "gone-api" } } }),
  });
  const absent = await cli.run("deploy --json", { directory });
  expect([absent.code, absent.documents]).toEqual([
    5,
    [
      {
        ok: false,
        error: { code: "azure/not-found", message: "web app gone-api does not exist in rg-gone", hint: expect.stringContaining("up") },
      },
    ],
  ]);
});

test("a key among the files stops it before anything is uploaded", async ({ cli }) => {
  const directory = cli.folder({ ...plainApp, "server.key": "x", "passwordless-pg.json": JSON.stringify({ name: "keys" }) });
  const { code, said } = await cli.run("deploy", { directory });
  expect([code, said]).toEqual([2, expect.stringMatching(/server\.key: looks like a private key[\s\S]*--include server\.key/)]);
});
