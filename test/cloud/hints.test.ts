import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { KnownError } from "../../src/base/errors.ts";
import { localHints } from "../../src/cli/local/local-hints.ts";
import { openCloud } from "../../src/cloud/cloud.ts";
import { signIn } from "../../src/cloud/credential.ts";
import { type Environment, environments } from "../../src/cloud/environment.ts";
import { signedOut, translate } from "../../src/cloud/errors.ts";
import { hintIn, hints, wordedAdapter, wordedFor } from "../../src/cloud/hints.ts";

/** Places and persons that local Azure does not have. */
const FOREIGN =
  /status page|\bportal\b|\bproxy\b|\bnetwork\b|az log(in|out)|az account|Azure support|Cloud Shell|NODE_EXTRA_CA_CERTS|name servers|throttles this subscription/i;

const local: Environment = { ...environments.public, name: "local", hasOwnAuthority: true, hints: localHints };

test("every hint about a cloud's own places has words for local Azure, which point to it; Azure's stay as they are", () => {
  for (const hint of Object.values(hints)) {
    expect(hintIn(local, hint)).not.toMatch(FOREIGN);
    for (const environment of Object.values(environments)) expect(hintIn(environment, hint)).toBe(hint);
  }
  expect(new Set(Object.values(hints)).size).toBe(Object.keys(hints).length);
  for (const name of ["unreachable", "authorityUnreachable", "slow", "failed"] as const) expect(localHints[name]).toContain("local logs");
});

/** Lines that name such a place for a reason of their own. */
const ALLOWED = [
  /portal: "https:/, // the addresses of the portals
  /sign in with another account: `az login`/, // an account without a subscription: Azure's only
  /let your public IPv4 address in/, // only in the place of a hint of the table
  /Azure throttles this subscription/, // only what answers 429; local Azure does where a fault was put on a route
];

test("no other hint of the client names one: a new one belongs into the table", () => {
  const files = ["cloud", "steps", "cli", "engine", "project", "package", "logs"].flatMap((folder) =>
    readdirSync(join("src", folder), { recursive: true, encoding: "utf8" }).map((name) => join("src", folder, name)),
  );
  const found = files
    .filter((file) => file.endsWith(".ts") && !/hints\.ts$|program\.ts$/.test(file))
    .flatMap((file) =>
      readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => !/^\s*(\/\/|\*|\/\*)/.test(line) && /["'`]/.test(line))
        .map((line) => line.replace(/\s\/\/ .*$/, ""))
        .filter((line) => /hint/i.test(line) || /^\s+[\w"/]+: \{ code:/.test(line))
        .filter((line) => FOREIGN.test(line) && !ALLOWED.some((pattern) => pattern.test(line)))
        .map((line) => `${file}: ${line.trim()}`),
    );
  expect(found).toEqual([]);
});

describe("every kind of failure", () => {
  const source = readFileSync("src/cloud/errors.ts", "utf8");
  const codes = [...source.matchAll(/^ {2}"?([A-Z]\w+)(?:\/(\d+))?"?: \{/gm)].map(([, code = "", extended]) => ({ code, extended }));
  const answers = [
    ...codes.map(({ code, extended }) => ({
      status: 409,
      body: JSON.stringify({ Code: code, Message: "no", Details: extended ? [{ ErrorEntity: { ExtendedCode: extended } }] : [] }),
    })),
    ...Array.from({ length: 200 }, (_, index) => ({
      status: 400 + index,
      body: JSON.stringify({ error: { code: "Odd", message: "no" } }),
    })),
  ].filter(({ status, body }) => status !== 429 && !/TooManyRequests|Throttled/.test(body));
  const broken = ["ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EAI_AGAIN", "EPIPE", "REQUEST_SEND_ERROR", "EWHATEVER"];
  const errors: readonly KnownError[] = [
    ...answers.map((last) => translate("create it", Object.assign(new Error("HTTP"), { statusCode: last.status }), last)),
    ...broken.map((code) => translate("create it", Object.assign(new Error("connect"), { code }))),
    signedOut("no access token", new Error("connect ECONNREFUSED 127.0.0.1:1")),
    signedOut("no access token", new Error("nobody")),
  ];

  test("has on local Azure a hint that fits it, and on Azure the one it had", () => {
    expect(codes.length).toBeGreaterThan(35);
    for (const error of errors) {
      const worded = wordedFor(local, error);
      expect(worded).toMatchObject({ code: error.code, message: error.message, cause: error.cause });
      expect((worded as KnownError).hint ?? "").not.toMatch(FOREIGN);
      expect(wordedFor(environments.public, error)).toBe(error);
    }
  });

  test("a full disk is told with local Azure's words, and where to make room", () => {
    const body = JSON.stringify({ error: { code: "InsufficientStorage", message: "no room left (ENOSPC)" } });
    const told = wordedFor(local, translate("create it", Object.assign(new Error("HTTP"), { statusCode: 507 }), { status: 507, body }));
    expect(told).toMatchObject({ hint: expect.stringContaining("make room"), cause: { message: expect.stringContaining("ENOSPC") } });
  });

  test("comes out of an adapter in the words of its environment, whatever throws it", async () => {
    const failing = { get: async () => Promise.reject(new KnownError("azure/unreachable", "no", { hint: hints.unreachable })), name: "x" };
    await expect(wordedAdapter(local, failing).get()).rejects.toMatchObject({ hint: localHints.unreachable });
    expect(wordedAdapter(local, failing).name).toBe("x");
    expect(wordedAdapter(environments.public, failing)).toBe(failing);
  });
});

async function openAt(port: number): Promise<unknown> {
  const place = `https://127.0.0.1:${port}`;
  const limits = { callMs: 300, authorityCallMs: 300 };
  const environment = { ...local, resourceManager: place, authorityHost: place, limits };
  const { signal } = new AbortController();
  const settings = { tenantId: "11111111-1111-4111-8111-111111111111", clientId: "x", clientSecret: "y" };
  const credential = await signIn(environment, settings, signal);
  return openCloud({ environment, credential, subscriptionId: "s", signal, clock: systemClock });
}

test("local Azure that takes connections and says nothing: told soon, with its own words", { timeout: 60_000 }, async () => {
  const sockets = new Set<Socket>();
  const mute = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
  });
  mute.listen(0, "127.0.0.1");
  await once(mute, "listening");
  const { port } = mute.address() as AddressInfo;
  await expect(openAt(port)).rejects.toMatchObject({ code: "azure/unreachable", hint: localHints.authorityUnreachable });
  for (const socket of sockets) socket.destroy();
  mute.close();
});
