import { expect } from "vitest";
import { test } from "../../support/command-line.ts";

test("status: where it runs, in words and in JSON", async ({ cli }) => {
  const { endpoints, homeFolder } = cli.emulator;
  const words = await cli.run("local status");
  expect([words.code, words.results]).toEqual([
    0,
    [expect.stringContaining(`local Azure runs in ${homeFolder}\n  ARM          ${endpoints.resourceManager}`)],
  ]);
  const { documents } = await cli.run("local status --json");
  expect(documents).toEqual([expect.objectContaining({ running: true, arm: endpoints.resourceManager, pid: process.pid })]);
});

test("env: names the secret's file, never the secret, in each of its forms", async ({ cli }) => {
  const { clientSecretFile, clientId } = cli.emulator;
  const shell = await cli.run("local env");
  expect(shell.results.join()).toContain(`export AZURE_CLIENT_SECRET="$(cat ${clientSecretFile})"`);
  expect(shell.results.join()).toContain(`export ARM_CLIENT_ID=${clientId}\n`);
  const az = await cli.run("local env --format az");
  expect(az.results.join()).toContain(`az login --service-principal --username ${clientId} --password @${clientSecretFile} `);
  const { documents } = await cli.run("local env --format json");
  expect(documents).toEqual([expect.objectContaining({ ok: true, AZURE_CLIENT_ID: clientId, clientSecretFile })]);
});

test("reset asks first; no is no, and nobody to ask is refused", async ({ cli }) => {
  const no = await cli.run("local reset", { answers: ["n"] });
  expect([no.code, no.questions]).toEqual([1, [`Forget every resource and database in ${cli.emulator.homeFolder}?`]]);
  expect((await cli.run("local reset")).code).toBe(2);
  expect((await cli.run("local status --json")).documents).toEqual([expect.objectContaining({ running: true })]);
});

test.for([
  ["--clock slow", /--clock slow is not understood/],
  ["--port 0", /--port 0 is not a whole number from 1 to 65535/],
  ["--token-lifetime soon", /--token-lifetime soon is not a whole number/],
  ["--postgres 9", /--postgres 9 is no version that local Azure serves/],
] as const)("start %s is refused before anything starts", async ([flags, words], { cli }) => {
  const { code, said } = await cli.run(`local start ${flags}`);
  expect([code, said]).toEqual([2, expect.stringMatching(words)]);
});
