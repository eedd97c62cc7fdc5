import { request } from "node:https";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { execa } from "execa";
import { describe, expect, onTestFinished } from "vitest";
import { type TestEmulator, fileTest as test } from "../support/emulator.ts";
import { eventually, makeSite, pythonApp, type TestSite } from "../support/sites.ts";

const nodeApp = {
  "server.js": `
    const http = require("node:http");
    console.log("node up");
    http.createServer((request, response) => {
      if (request.url === "/flood") { for (let n = 0; n < 50000; n += 1) console.log("line " + n + " of the flood, as long as a usual one"); console.log("flood over"); }
      if (request.url === "/say") console.log("said at " + Date.now());
      response.end(JSON.stringify({ path: request.url, greeting: process.env.GREETING ?? null, instance: process.env.WEBSITE_INSTANCE_ID }));
    }).listen(8080);`,
};

async function logging(site: TestSite): Promise<void> {
  await site.arm("PUT", "/config/logs", { properties: { httpLogs: { fileSystem: { enabled: true, retentionInMb: 35 } } } });
}

/** Follows the log stream into an array of pieces. */
async function follow(
  emulator: TestEmulator,
  site: TestSite,
): Promise<{ text(): string; readonly pieces: { text: string }[]; readonly ended: Promise<void> }> {
  const token = await emulator.tokenFor(emulator.clientId, "https://appservice.azure.com");
  const pieces: { text: string }[] = [];
  const opened = await new Promise<{ ended: Promise<void> }>((resolve, reject) => {
    const outgoing = request(
      `${site.scm}/api/logstream`,
      { ca: emulator.caPem, agent: false, headers: { authorization: `Bearer ${token}` } },
      (response) => {
        expect(response.headers["content-type"]).toBe("text/event-stream");
        response.setEncoding("utf8").on("data", (text: string) => pieces.push({ text }));
        resolve({ ended: new Promise((end) => response.once("close", end)) });
      },
    );
    outgoing.once("error", reject).end();
    onTestFinished(() => void outgoing.destroy());
  });
  return { pieces, text: () => pieces.map(({ text }) => text).join(""), ended: opened.ended };
}

describe("a Python app", () => {
  test("runs with its settings, on loopback, behind http and https; nothing of ours leaks into it", async ({ emulator }) => {
    const site = await makeSite(emulator, "py-app", { startup: "python app.py", settings: { GREETING: "hi there" }, identity: true });
    expect((await emulator.fetch(`${site.origin}/`)).text).toContain("Your web app is running and waiting for your content");
    expect(await site.deploy({ "app.py": pythonApp })).toMatchObject({ status: "RuntimeSuccessful" });
    const { env, headers, path } = (await emulator.fetch(`${site.origin}/some/path?x=1`)).body;
    expect(path).toBe("/some/path?x=1");
    expect(env).toMatchObject({
      GREETING: "hi there",
      APPSETTING_GREETING: "hi there",
      WEBSITE_SITE_NAME: "py-app",
      PGSSLROOTCERT: env.SSL_CERT_FILE,
    });
    expect(headers).toMatchObject({ "x-forwarded-proto": "https", "x-arr-log-id": expect.any(String), "client-ip": expect.any(String) });
    expect(
      Object.keys(env).filter(
        (name) => name in process.env && env[name] === process.env[name] && !["LANG", "LC_CTYPE", "PWD", "SHLVL", "_"].includes(name),
      ),
    ).toEqual([]);
    const plain = await fetch(`${site.origin.replace("https", "http")}/plain`);
    expect([plain.status, ((await plain.json()) as { headers: Record<string, string> }).headers["x-forwarded-proto"]]).toEqual([
      200,
      "http",
    ]);
    // It asked for 0.0.0.0: another address of this machine must not reach it.
    await expect(
      new Promise((resolve, reject) => connect(Number(env.PORT), "127.0.0.2").once("connect", resolve).once("error", reject)),
    ).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  // trap: postgres 23, postgres 24
  test("gets tokens at its identity endpoint, with the right header only", async ({ emulator }) => {
    const site = await makeSite(emulator, "py-identity", { startup: "python app.py", identity: true });
    await site.deploy({ "app.py": pythonApp });
    const { env } = (await emulator.fetch(site.origin)).body;
    const { principalId } = (await site.arm("GET")).body.identity;
    const ask = async (query: string, header?: string): Promise<{ status: number; body: Record<string, unknown> }> => {
      const answer = await fetch(`${env.IDENTITY_ENDPOINT}?${query}`, header ? { headers: { "X-IDENTITY-HEADER": header } } : {});
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
    };
    const resource = "https://ossrdbms-aad.database.windows.net";
    const query = `resource=${encodeURIComponent(resource)}&api-version=2019-08-01`;
    const given = await ask(query, env.IDENTITY_HEADER);
    expect(given).toMatchObject({ status: 200, body: { resource, token_type: "Bearer", expires_on: expect.stringMatching(/^\d{10}$/) } });
    const verified = emulator.platform.tokens.verify(String(given.body.access_token), [resource]);
    expect(verified).toMatchObject({ claims: { oid: principalId } });
    expect((await ask(query, env.IDENTITY_HEADER)).body.access_token).toBe(given.body.access_token);
    expect((await ask(query)).status).toBe(401);
    expect((await ask(query, "wrong")).status).toBe(401);
    expect((await ask(`${query}&client_id=00000000-0000-0000-0000-000000000000`, env.IDENTITY_HEADER)).status).toBe(400);
    expect((await ask("resource=https://nowhere.example&api-version=2019-08-01", env.IDENTITY_HEADER)).status).toBe(400);
  });

  // trap: kudu 11, appservice 12
  test("FastAPI in main.py without a start-up command serves the placeholder with 200", async ({ emulator }) => {
    const site = await makeSite(emulator, "py-trap");
    expect(await site.deploy({ "main.py": "from fastapi import FastAPI\napp = FastAPI()\n" })).toMatchObject({
      status: "RuntimeSuccessful",
    });
    const answer = await emulator.fetch(site.origin);
    expect([answer.status, answer.text.includes("waiting for your content")]).toEqual([200, true]);
  });

  // trap: kudu 4
  test("a crash at start is RuntimeFailed, 503 for visitors, and told in both logs", async ({ emulator }) => {
    const site = await makeSite(emulator, "py-crash", { startup: "python app.py" });
    await logging(site);
    const failed = await site.deploy({ "app.py": "raise SystemExit('no database here')" });
    expect(failed.status).toBe("RuntimeFailed");
    const { properties } = (await site.arm("GET", `/deploymentStatus/${failed.id}`)).body;
    expect(properties).toMatchObject({ numberOfInstancesFailed: 1, errors: [{ extendedCode: "04915", code: "BadRequest" }] });
    const visitor = await emulator.fetch(site.origin);
    expect([visitor.status, visitor.text.includes("Application Error")]).toEqual([503, true]);
    const stream = await follow(emulator, site);
    await eventually(
      async () => stream.text(),
      (text) => text.includes("Starting Live Log Stream ---"),
    );
    expect(stream.text()).toContain("no database here");
    expect(stream.text()).toContain("Container has finished running with exit code: 1.");
    // The next good deployment heals it.
    expect((await site.deploy({ "app.py": pythonApp })).status).toBe("RuntimeSuccessful");
    expect((await emulator.fetch(site.origin)).status).toBe(200);
  });

  test("a crash of a running app is followed by a restart", async ({ emulator }) => {
    const site = await makeSite(emulator, "py-restart", { startup: "python app.py" });
    await site.deploy({ "app.py": pythonApp });
    expect((await emulator.fetch(`${site.origin}/crash`)).status).toBe(502);
    await eventually(
      () => emulator.fetch(site.origin),
      ({ status }) => status === 200,
    );
  });
});

describe("a Node app", () => {
  test("listens to 8080 of all addresses and still lives on its own loopback port; settings restart it", async ({ emulator }) => {
    const site = await makeSite(emulator, "node-app", { runtime: "NODE|20-lts", settings: { GREETING: "one" } });
    expect((await site.deploy(nodeApp)).status).toBe("RuntimeSuccessful");
    expect((await emulator.fetch(site.origin)).body.greeting).toBe("one");
    await site.arm("PUT", "/config/appsettings", { properties: { GREETING: "two" } });
    await eventually(
      () => emulator.fetch(site.origin),
      ({ body }) => body.greeting === "two",
    );
    const restarted = await emulator.restart();
    await eventually(
      () => restarted.fetch(site.origin),
      ({ status, body }) => status === 200 && body.greeting === "two",
    );
  });

  test("signs in with the unmodified @azure/identity", async ({ emulator }) => {
    const site = await makeSite(emulator, "node-identity", { runtime: "NODE|20-lts", identity: true });
    const sdk = JSON.stringify(createRequire(import.meta.url).resolve("@azure/identity"));
    await site.deploy({
      "index.js": `
        const { DefaultAzureCredential, ManagedIdentityCredential } = require(${sdk});
        require("node:http").createServer(async (request, response) => {
          const scope = "https://ossrdbms-aad.database.windows.net/.default";
          const tokens = await Promise.all([new ManagedIdentityCredential(), new DefaultAzureCredential()].map((one) => one.getToken(scope)));
          response.end(JSON.stringify(tokens.map(({ token }) => token)));
        }).listen(process.env.PORT);`,
    });
    const { principalId } = (await site.arm("GET")).body.identity;
    const tokens = (await emulator.fetch(site.origin)).body as string[];
    const audience = "https://ossrdbms-aad.database.windows.net";
    const owners = tokens.map((token) => emulator.platform.tokens.verify(token, [audience]));
    expect(owners).toMatchObject([{ claims: { oid: principalId } }, { claims: { oid: principalId } }]);
  });

  test("a plan of two workers runs two instances in turn", async ({ emulator }) => {
    const site = await makeSite(emulator, "node-two", { runtime: "NODE|20-lts", capacity: 2 });
    expect((await site.deploy(nodeApp)).status).toBe("RuntimeSuccessful");
    const seen = new Set<string>();
    for (let n = 0; n < 4; n += 1) seen.add((await emulator.fetch(site.origin)).body.instance);
    const instances = (await site.arm("GET", "/instances")).body.value as { properties: { name: string; state: string } }[];
    expect([...seen].sort()).toEqual(instances.map(({ properties }) => properties.name).sort());
    expect(instances.map(({ properties }) => properties.state)).toEqual(["READY", "READY"]);
  });
});

describe("the log stream", () => {
  test("shows nothing before file system logging is on", async ({ emulator }) => {
    const site = await makeSite(emulator, "log-off", { runtime: "NODE|20-lts" });
    await site.deploy(nodeApp);
    const stream = await follow(emulator, site);
    await eventually(
      async () => stream.text(),
      (text) => text.includes("Starting Live Log Stream ---"),
    );
    expect(stream.text()).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d {2}Welcome, you are now connected to log-streaming service\.\n/);
    expect(stream.text()).not.toContain("node up");
  });

  // trap: kudu 12
  test("tells a line while the app runs on, carries 50,000 lines without loss, and ends without a word at a settings write", async ({
    emulator,
  }) => {
    const site = await makeSite(emulator, "log-on", { runtime: "NODE|20-lts" });
    await logging(site);
    await site.deploy(nodeApp);
    const stream = await follow(emulator, site);
    await eventually(
      async () => stream.text(),
      (text) => text.includes("Starting Live Log Stream ---"),
    );
    const before = stream.pieces.length;
    await emulator.fetch(`${site.origin}/say`);
    await eventually(
      async () => stream.pieces.slice(before).map(({ text }) => text),
      (said) => said.join("").includes("said at"),
    );
    await emulator.fetch(`${site.origin}/flood`);
    await eventually(
      async () => stream.pieces.at(-1)?.text ?? "",
      (text) => text.includes("flood over"),
    );
    const lines = [...stream.text().matchAll(/ line (\d+) of the flood/g)].map(([, number]) => Number(number));
    expect(lines).toEqual(Array.from({ length: 50_000 }, (_, number) => number));
    const words = stream.text();
    await site.arm("PUT", "/config/appsettings", { properties: {} });
    await stream.ended;
    expect(stream.text()).toBe(words);
  });
});

test("no process of an app is left when local Azure ends", async ({ emulator }) => {
  const site = await makeSite(emulator, "py-gone", { startup: "python app.py & wait" });
  await site.deploy({ "app.py": pythonApp });
  const { env } = (await emulator.fetch(site.origin)).body;
  await site.arm("DELETE");
  const { stdout } = await execa("ps", ["-eo", "args"]);
  expect(stdout).not.toContain(env.APP_PATH);
  await expect(fetch(`http://127.0.0.1:${env.PORT}`)).rejects.toThrow();
});
