import { expect } from "vitest";
import { plainApp, test } from "../../support/command-line.ts";

test("token: the token alone, or with its end as JSON", async ({ cli }) => {
  const directory = await cli.project();
  const words = await cli.run("token", { directory });
  expect([words.code, words.results]).toEqual([0, [expect.stringMatching(/^eyJ[\w.-]+$/)]]);
  const { code, results } = await cli.run("token --json", { directory });
  expect([code, JSON.parse(results.join())]).toEqual([
    0,
    { ok: true, token: expect.stringMatching(/^eyJ/), expiresOn: expect.stringMatching(/^\d{4}-.*Z$/) },
  ]);
});

test("connect: psql gets a token in its environment alone, and nothing that leads it elsewhere", async ({ cli }) => {
  const directory = await cli.project();
  const { code, programs, messages } = await cli.run("connect --search-path a,b --database other", { directory });
  expect([code, messages]).toEqual([0, []]);
  expect(programs).toEqual([
    {
      program: "psql",
      env: expect.objectContaining({
        PGDATABASE: "other",
        PGPORT: "5432",
        PGSSLMODE: "verify-full",
        PGPASSWORD: expect.stringMatching(/^eyJ/),
        PGOPTIONS: "-c search_path=a,b",
        PGSSLROOTCERT: expect.stringMatching(/ca\.pem$/),
      }),
    },
  ]);
});

test("a server that is not there is refused with the way to it: 5", async ({ cli }) => {
  const directory = cli.folder({ ...plainApp, "passwordless-pg.json": JSON.stringify({ name: "gone", server: { name: "gone-db" } }) });
  const { code, said } = await cli.run("connect", { directory });
  expect([code, said]).toEqual([5, expect.stringMatching(/flexible server gone-db does not exist\n {2}→ run `passwordless-pg init`/)]);
});

test("no project file: 2, in words and in JSON", async ({ cli }) => {
  for (const command of ["connect", "token", "verify", "status", "deploy", "down", "doctor", "logs tail", "server show"]) {
    const { code, documents } = await cli.run(`${command} --json`, { directory: cli.folder() });
    expect([command, code, documents]).toEqual([
      command,
      2,
      [{ ok: false, error: expect.objectContaining({ code: "project/missing", hint: expect.stringContaining("passwordless-pg init") }) }],
    ]);
  }
});
