import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Fault } from "../../src/emulator/http/faults.ts";
import { callsOfUp, restartSite, runWithTrouble, troubles } from "./faulty.ts";
import { takeReference, wordsOf } from "./interrupt.ts";
import { openScene } from "./scene.ts";

/** The one that once did most harm; `npm run test:matrix` takes all, each call by itself. */
const telling = ["lost answer"];

test("trouble at every call of up: a typed error with a hint or success, and in the end as if nothing had happened", async ({
  onTestFinished,
}) => {
  const scene = await openScene();
  onTestFinished(() => scene.release());
  const reference = await takeReference(scene);
  const calls = await callsOfUp(scene);
  const verdicts = [];
  for (const trouble of troubles.filter(({ name }) => telling.includes(name))) {
    verdicts.push(await runWithTrouble(scene, trouble, calls, reference));
  }
  expect(verdicts.flatMap(({ trouble, problems }) => problems.map((problem) => `${trouble}: ${problem}`))).toEqual([]);
});

test("a Retry-After of an hour is told at once, not sat out", async ({ onTestFinished }) => {
  const scene = await openScene();
  onTestFinished(() => scene.release());
  const action = { kind: "status", status: 429, headers: { "retry-after": "3600" } } as const;
  scene.emulator.faults.add({ host: "azure", path: "/subscriptions/*", action });
  const ended = await scene.run("init").ended;
  expect(ended.code, wordsOf(ended)).toBe(6);
  expect(JSON.parse(ended.stdout)).toMatchObject({ ok: false, error: { code: "azure/busy", hint: expect.stringContaining("60 minutes") } });
});

test("TLS that nobody trusts ends the run, with what to do", async ({ onTestFinished }) => {
  const scene = await openScene();
  onTestFinished(() => scene.release());
  const { homeFolder, platform } = scene.emulator;
  const runFile = join(homeFolder, "run.json");
  const stranger = join(homeFolder, "stranger.pem");
  // The leaf alone: behind it comes the authority, which would be trusted.
  const [leaf] = platform.certificates.issue(["elsewhere.example"]).cert.split(/(?<=-----END CERTIFICATE-----\n)/);
  writeFileSync(stranger, leaf ?? "");
  writeFileSync(runFile, JSON.stringify({ ...(JSON.parse(readFileSync(runFile, "utf8")) as object), caFile: stranger }));
  const ended = await scene.run("init").ended;
  expect(ended.code, wordsOf(ended)).toBe(1);
  expect(JSON.parse(ended.stdout)).toMatchObject({
    ok: false,
    error: { code: "azure/unreachable", hint: expect.stringMatching(/local stop.*local logs/) },
  });
});

const minutes = 10 * 60_000;
const silent = { kind: "stall", ms: minutes } as const;
const inAMinute = { kind: "status", status: 429, headers: { "retry-after": "60" } } as const;

/** In the order of a run: each stops further on. */
const longWaits: readonly (Fault & { readonly name: string })[] = [
  { name: "Entra is silent", host: "azure", path: "*/oauth2/*", action: silent },
  { name: "ARM is silent", host: "azure", method: "PUT", path: "*", action: silent },
  { name: "a poll is told to wait a minute", host: "azure", path: "*azureAsyncOperation*", action: inAMinute },
  { name: "PostgreSQL is silent at the greeting", host: "postgres:*", method: "CONNECT", action: silent },
  { name: "PostgreSQL is silent at the login", host: "postgres:*", method: "LOGIN", action: silent },
  { name: "PostgreSQL is silent at a statement", host: "postgres:*", method: "SQL", action: silent },
  { name: "the SCM site is silent", host: "scm:*", action: silent },
  { name: "the app is silent", host: "site:*", action: silent },
];

test("Ctrl-C is answered at once, however long the wait", async ({ onTestFinished }) => {
  const scene = await openScene();
  onTestFinished(() => scene.release());
  for (const { name, ...fault } of longWaits) {
    scene.emulator.faults.clear();
    scene.emulator.faults.add(fault);
    const run = scene.run("up");
    await expect.poll(() => scene.emulator.faults.list()[0]?.caught, { message: name }).toBeGreaterThan(0);
    const signalledAt = Date.now();
    run.child.kill("SIGINT");
    const ended = await run.ended;
    expect(ended.code, `${name}: ${wordsOf(ended)}`).toBe(130);
    expect(Date.now() - signalledAt, name).toBeLessThan(45_000);
  }
});

/** Says whether it got a token for the database; a real app would sign in with it. */
const askingApp = `
  const ask = async () => {
    const url = process.env.IDENTITY_ENDPOINT + "?api-version=2019-08-01&resource=" + encodeURIComponent("https://ossrdbms-aad.database.windows.net");
    const answer = await fetch(url, { headers: { "x-identity-header": process.env.IDENTITY_HEADER } });
    return answer.ok ? { status: "ok", user: process.env.DB_USER, tls: true } : { status: "failed", error: "no token: the identity endpoint says " + answer.status };
  };
  require("http").createServer(async (request, response) => {
    const body = request.url === "/healthz/database" ? await ask() : { status: "ok" };
    response.writeHead(body.status === "ok" ? 200 : 503, { "content-type": "application/json" }).end(JSON.stringify(body));
  }).listen(process.env.PORT);`;

test("a restart in the middle of the build, TLS nobody should trust, a secret that has expired, an app without a token", async ({
  onTestFinished,
}) => {
  const scene = await openScene();
  onTestFinished(() => scene.release());
  writeFileSync(join(scene.project, "server.js"), askingApp);
  let uploads = 0;
  scene.onPoint(async ({ phase, method, path }) => {
    if (phase === "done" && method === "POST" && path === "/api/zipdeploy") uploads += 1;
    if (phase === "done" && method === "POST" && path === "/api/zipdeploy" && uploads === 1) await restartSite(scene);
    return undefined;
  });
  const made = await scene.run("init").ended;
  expect(made.code, wordsOf(made)).toBe(0);
  const deployed = await scene.run("deploy").ended;
  scene.onPoint(undefined);
  expect(deployed.code, wordsOf(deployed)).toBe(0);
  expect(deployed.stderr).toContain("the SCM site was restarted during the build");
  expect(uploads).toBe(2);

  const errorOf = async (fault: Fault): Promise<unknown> => {
    scene.emulator.faults.add(fault);
    const ended = await scene.run("init").ended;
    scene.emulator.faults.clear();
    return (JSON.parse(ended.stdout) as { error?: unknown }).error;
  };
  for (const flaw of ["stranger", "expired", "wrong-name", "refused"] as const) {
    const error = await errorOf({ host: "postgres:*", method: "CONNECT", action: { kind: "tls", flaw } });
    expect(error, flaw).toMatchObject({
      code: "database/unreachable",
      message: expect.stringContaining("TLS failed"),
      hint: expect.stringContaining("something else may listen"),
    });
  }
  const expired = troubles.find(({ name }) => /expired/.test(name) && /Entra/.test(name))?.action;
  if (expired === undefined || typeof expired === "function") throw new Error("no such trouble");
  expect(await errorOf({ host: "azure", path: "*/oauth2/*", action: expired })).toMatchObject({
    code: "auth/signed-out",
    cause: expect.stringContaining("AADSTS7000222"),
  });

  const signsIn = async (): Promise<unknown> => {
    const ended = await scene.run("verify").ended;
    const { checks } = JSON.parse(ended.stdout) as { checks: { name: string; ok: boolean; detail: string }[] };
    return checks.find(({ name }) => name === "api: app signs in with its token");
  };
  scene.emulator.faults.add({ host: "identity", action: { kind: "status", status: 500 } });
  expect(await signsIn()).toMatchObject({
    ok: false,
    detail: expect.stringContaining("the identity endpoint says 500"),
    hint: expect.stringContaining("logs tail"),
  });
  scene.emulator.faults.clear();
  expect(await signsIn()).toMatchObject({ ok: true });
});
