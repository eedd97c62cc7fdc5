import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { type Answer, fileTest as test } from "../support/emulator.ts";
import { makeSite, pythonApp, zipOf } from "../support/sites.ts";

interface Recording {
  readonly request: { readonly body: unknown };
  readonly response: { readonly status: number; readonly headers: Readonly<Record<string, unknown>>; readonly body: unknown };
}

function recorded(name: string): Recording["response"] {
  const file = new URL(`../fixtures/recorded/appservice/${name}.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as Recording).response;
}

/** `a.b: string`, … for every member; items of arrays count once, null for itself. */
function shape(value: unknown, path = ""): string[] {
  if (Array.isArray(value)) return [...new Set(value.flatMap((item) => shape(item, `${path}[]`)))];
  if (typeof value !== "object" || value === null) return [`${path}: ${value === null ? "null" : typeof value}`];
  return Object.entries(value).flatMap(([key, member]) => shape(member, `${path}.${key}`));
}

/** Every recorded member is there with its type, and no other. Tags and free texts are the caller's. */
function expectSameShape(ours: unknown, real: unknown, but: RegExp = /^$/): void {
  const of = (value: unknown): string[] =>
    shape(value)
      .filter((line) => !/\.tags\b/.test(line) && !but.test(line))
      .sort();
  expect(of(ours)).toEqual(of(real));
}

/** Headers that say something about the protocol, not about Microsoft's servers of that day. */
const INCIDENTAL = /^(date|server|content-length|vary|etag|x-ms-.*)$/i;

function expectHeaders(ours: Answer, real: Recording["response"]): void {
  const names = Object.keys(real.headers).filter((name) => !INCIDENTAL.test(name));
  for (const name of names) expect(ours.headers.has(name), name).toBe(true);
}

const API = "api-version=2023-01-01";

test("plan PUT", async ({ emulator }) => {
  const real = recorded("plan-create-linux-s1");
  const id = `${await emulator.group()}/providers/Microsoft.Web/serverfarms/recorded`;
  const sku = { name: "S1", tier: "STANDARD", capacity: 1 };
  const ours = await emulator.arm("PUT", `${id}?${API}`, { location: "eastus", sku, properties: { reserved: true, zoneRedundant: false } });
  expect(ours.status).toBe(real.status);
  expectSameShape(ours.body, real.body);
});

// trap: appservice 1, appservice 14
test("site GET", async ({ emulator }) => {
  const real = recorded("site-get-linux-python");
  const site = await makeSite(emulator, "recorded-site", { runtime: "PYTHON|3.11", identity: true });
  const ours = await site.arm("GET");
  expect(ours.status).toBe(real.status);
  // The recorded site had no identity worth comparing; publicNetworkAccess is null in both.
  expectSameShape(ours.body, real.body, /^\.identity/);
});

// trap: kudu 1
test("a deployment from the 202 to the running app", async ({ emulator }) => {
  const site = await makeSite(emulator, "recorded-deploy", { startup: "python app.py" });
  const posted = await site.kudu("POST", "/api/zipdeploy?isAsync=true", await zipOf({ "app.py": pythonApp }));
  const accepted = recorded("kudu-zipdeploy-async-202");
  expect(posted.status).toBe(accepted.status);
  expectHeaders(posted, accepted);
  expect(posted.headers.get("retryafter")).toBe(accepted.headers.Retryafter);

  const first = await site.kudu("GET", "/api/deployments/latest");
  if (first.status === 202) {
    const temporary = recorded("kudu-latest-202-temp");
    expectHeaders(first, temporary);
    expectSameShape(first.body, temporary.body);
  }
  const id = posted.headers.get("scm-deployment-id") ?? "";
  const running = await site.arm("GET", `/deploymentStatus/${id}`);
  if (running.status === 202) {
    const real = recorded("deploymentstatus-202-buildinprogress");
    expectHeaders(running, real);
    expectSameShape(running.body, real.body);
    const signed = new URL(running.headers.get("location") ?? "");
    expect([...signed.searchParams.keys()]).toEqual(["api-version", "t", "c", "s", "h"]);
    expect([200, 202]).toContain((await emulator.arm("GET", signed.href)).status);
  }
  expectSameShape((await site.waitFor(id)).body, recorded("deploymentstatus-200-runtimesuccessful").body);
  expectSameShape((await site.kudu("GET", "/api/deployments/latest")).body, recorded("kudu-latest-200-success").body);

  const log = (await site.kudu("GET", `/deployments/${id}/log`)).body as { message: string }[];
  const real = recorded("kudu-deployment-log-200").body as { message: string }[];
  expectSameShape(log, real);
  const plain = ({ message }: { message: string }): string => message.replace(/'[\w-]+'/, "'ID'").replace(/deploymentPath = .*/, "");
  // Linux web apps tell the repository's path between; the recording is of a function app.
  expect(log.map(plain).filter((line) => !line.startsWith("Repository path"))).toEqual(real.map(plain));
});

test("a deployment whose app does not start", async ({ emulator }) => {
  const site = await makeSite(emulator, "recorded-crash", { startup: "python app.py" });
  const { id } = await site.deploy({ "app.py": "raise SystemExit(3)" });
  const real = recorded("deploymentstatus-200-runtimefailed");
  const ours = await site.waitFor(id);
  expectSameShape(ours.body, real.body);
  const { extendedCode, messageTemplate, code } =
    (real.body as { properties: { errors: Record<string, string>[] } }).properties.errors[0] ?? {};
  expect(ours.body.properties.errors).toMatchObject([{ extendedCode, messageTemplate, code }]);
});
