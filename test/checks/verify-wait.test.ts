import { expect } from "vitest";
import type { Clock } from "../../src/base/clock.ts";
import { verify } from "../../src/graph/project-checks.ts";
import { fileTest as test } from "../support/emulator.ts";
import { openTestProject } from "../support/project.ts";
import { zipOf } from "../support/sites.ts";

const source = `
require("node:http").createServer((request, response) => {
  const isDatabase = request.url === "/healthz/database";
  response.writeHead(isDatabase ? 503 : 200, { "content-type": "application/json" });
  response.end(JSON.stringify({ status: isDatabase ? "failed" : "ok" }));
}).listen(process.env.PORT);`;

/** An hour behind Azure's. Its sleeps take no time and are counted. */
function lateClock(): Clock & { slept(): number } {
  let slept = 0;
  return {
    now: () => Date.now() - 3_600_000 + slept,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      slept += ms;
    },
    slept: () => slept,
  };
}

test("an app that cannot sign in is given a minute, also where Azure's clock is far ahead of ours", async ({ emulator }) => {
  const app = { runtime: "node|22-lts", startup: "node app.js", plan: "B1" };
  const { setup, cloud, firewallAccess, init } = await openTestProject(emulator, { apps: { api: app } });
  await init();
  const site = await cloud.sites.at({ group: setup.resourceGroup, app: setup.sites[0]?.address.app ?? "" }).get();
  const token = await emulator.tokenFor(emulator.clientId, "https://appservice.azure.com");
  const sent = await emulator.fetch(`https://${site?.scmHost}/api/zipdeploy?isAsync=true`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: await zipOf({ "app.js": source }),
  });
  const status = `${site?.id}/deploymentStatus/${sent.headers.get("scm-deployment-id")}?api-version=2024-04-01`;
  await emulator.until(status, (found) => found.status === 200);
  const clock = lateClock();
  const checks = await verify({ setup, cloud, firewallAccess, clock, signal: new AbortController().signal, marker: "m" });
  await firewallAccess.revoke();
  expect(checks.find(({ name }) => name === "api: app signs in with its token")).toMatchObject({ ok: false });
  expect(clock.slept()).toBeGreaterThan(30_000);
  expect(clock.slept()).toBeLessThan(150_000);
});
