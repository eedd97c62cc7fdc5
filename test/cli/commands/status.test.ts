import { expect } from "vitest";
import { plainApp, test } from "../../support/command-line.ts";

test("says what is there, in words and in JSON", async ({ cli }) => {
  const directory = await cli.project();
  const words = await cli.run("status", { directory });
  expect(words.code).toBe(0);
  expect(words.results).toEqual([
    expect.stringMatching(/^local · rg-shop · signed in as /),
    expect.stringMatching(/^server {2}shop-db-t3st {2}Ready {2}PostgreSQL 16 {2}\S+:5432$/),
    expect.stringMatching(/^app {5}api {2}Running {2}http:/),
  ]);
  const { code, documents } = await cli.run("status --json", { directory });
  expect([code, documents]).toEqual([
    0,
    [
      expect.objectContaining({
        ok: true,
        server: expect.objectContaining({ name: "shop-db-t3st", state: "Ready" }),
        apps: { api: expect.objectContaining({ state: "Running", identity: "system", package: null }) },
      }),
    ],
  ]);
});

test("of a project that is not there: absent, and 0 all the same", async ({ cli }) => {
  const directory = cli.folder({
    ...plainApp,
    "passwordless-pg.json": JSON.stringify({ name: "gone", server: { name: "gone-db" }, apps: { api: { name: "gone-api" } } }),
  });
  const words = await cli.run("status", { directory });
  expect([words.code, words.results.slice(1)]).toEqual([0, ["server  gone-db  absent", "app     api  gone-api  absent"]]);
  const { documents } = await cli.run("status --json", { directory });
  expect(documents).toEqual([expect.objectContaining({ ok: false, server: null, apps: { api: null } })]);
});
