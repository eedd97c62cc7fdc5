import { expect } from "vitest";
import { plainApp, test } from "../../support/command-line.ts";

test("lists what goes and asks; no is no: 1, and everything stays", async ({ cli }) => {
  const directory = await cli.project();
  const writes = await cli.writesOf(async () => {
    const { code, messages, questions } = await cli.run("down", { directory, answers: ["n"] });
    expect([code, questions]).toEqual([1, ["Remove this for good, with all data in it?"]]);
    expect(messages).toContainEqual(expect.stringMatching(/^- resource group rg-shop \(with .*shop-db-t3st.*shop-api-t3st/));
  });
  expect(writes).toEqual([]);
});

test("nobody to ask and no --yes: refused with the flag", async ({ cli }) => {
  const { code, said } = await cli.run("down", { directory: await cli.project() });
  expect([code, said]).toEqual([2, expect.stringMatching(/nobody can answer.*\n {2}→ add --yes/)]);
});

test("yes removes it; a second time nothing is there", async ({ cli }) => {
  const directory = cli.folder(plainApp);
  const made = await cli.run("server create --yes --name brief", { directory });
  expect(made.code, made.said).toBe(0);
  const removed = await cli.run("down", { directory, answers: ["y"] });
  expect([removed.code, removed.results]).toEqual([0, ["Removed resource group rg-brief."]]);
  expect(removed.messages).toContainEqual(expect.stringMatching(/^- resource group rg-brief removed \d/));
  const { code, documents } = await cli.run("down --yes --json", { directory });
  expect([code, documents]).toEqual([0, [{ ok: true, removed: [], kept: [] }]]);
});
