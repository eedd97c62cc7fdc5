import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import fc from "fast-check";
import { test as base, describe, expect, onTestFinished } from "vitest";
import { openCertificates } from "../../src/emulator/http/certificates.ts";
import { type EdgeLimits, type Incoming, listen } from "../../src/emulator/http/listener.ts";
import { openFront } from "../../src/emulator/machines/app/front.ts";
import { audiences } from "../../src/emulator/platform.ts";
import { fileTest as emulatorTest, type TestEmulator } from "../support/emulator.ts";
import { deepJson, runs } from "../support/fuzz.ts";
import { openDescriptors } from "../support/load.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { makeSite } from "../support/sites.ts";

const LIMITS: EdgeLimits = { handshakeMs: 3_000, headersMs: 3_000, bodyPauseMs: 2_000, connections: 300 };

interface Edge {
  readonly port: number;
  readonly ca: string;
  readonly bugs: unknown[];
}

async function openEdge(handle: (incoming: Incoming) => Promise<Response>): Promise<Edge> {
  const folder = mkdtempSync(join(tmpdir(), "ppg-edge-"));
  const files = { ca: join(folder, "ca"), bundle: join(folder, "bundle") };
  const { issue, caPem } = openCertificates(folder, files as never);
  const bugs: unknown[] = [];
  const listener = await listen({
    handle: async (incoming) => ({ response: await handle(incoming) }),
    onBug: (error) => void bugs.push(error),
    tls: issue(["localhost"]),
    limits: LIMITS,
  });
  onTestFinished(async () => {
    await listener.close();
    rmSync(folder, { recursive: true });
    expect(bugs).toEqual([]);
  });
  return { port: listener.port, ca: caPem, bugs };
}

function plain(port: number): Socket {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  socket.on("error", () => {});
  return socket;
}

function secured(port: number, ca: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: "127.0.0.1", port, ca, servername: "localhost" }, () => {
      socket.off("error", reject);
      socket.on("error", () => {});
      resolve(socket);
    });
    socket.once("error", reject);
  });
}

/** All that came until the end, and how long it took. */
function ending(socket: Socket): Promise<{ readonly said: string; readonly ms: number }> {
  const began = performance.now();
  let said = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    said += text;
  });
  return new Promise((resolve, reject) => {
    const alarm = setTimeout(() => reject(new Error(`still open: ${said.slice(0, 200)}`)), PATIENCE_MS);
    socket.once("close", () => {
      clearTimeout(alarm);
      resolve({ said, ms: performance.now() - began });
    });
  });
}

const everything = async ({ stream }: Incoming): Promise<Response> => {
  let bytes = 0;
  for await (const part of stream ?? []) bytes += part.byteLength;
  return new Response(String(bytes));
};

describe("a connection that takes its time", () => {
  base("is ended in the handshake, in the headers byte by byte, and in a body that stands still", async () => {
    const { port, ca } = await openEdge(everything);
    const before = openDescriptors();
    const silent = Array.from({ length: 20 }, () => ending(plain(port)));
    const half = plain(port);
    half.write(Buffer.from("16030101000100", "hex"));
    const slow = await secured(port, ca);
    slow.write("GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
    const drip = setInterval(() => slow.write("a"), 50);
    const stuck = await secured(port, ca);
    stuck.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n12345");
    try {
      const [slowEnd, stuckEnd] = await Promise.all([ending(slow), ending(stuck), ending(half), ...silent]);
      expect(slowEnd.said).toMatch(/^HTTP\/1\.1 408 /);
      expect(stuckEnd.said).not.toContain("200 OK");
    } finally {
      clearInterval(drip);
    }
    await expect.poll(openDescriptors).toBeLessThanOrEqual(before);
  });

  base("is left alone while its body keeps coming, and while the answer takes its time", async () => {
    const { port, ca } = await openEdge(async (incoming) => {
      const answer = await everything(incoming);
      await new Promise((done) => setTimeout(done, LIMITS.bodyPauseMs * 1.2));
      return answer;
    });
    const socket = await secured(port, ca);
    const end = ending(socket);
    socket.write("POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n\r\n");
    for (let sent = 0; sent < 5; sent += 1) {
      await new Promise((done) => setTimeout(done, LIMITS.bodyPauseMs / 4));
      socket.write("x");
    }
    expect((await end).said).toMatch(/^HTTP\/1\.1 200 OK.*\r\n\r\n(?:1\r\n)?5/s);
  });
});

async function openStoppedFront(headersMs: number): Promise<{ readonly port: number; readonly ca: string }> {
  const folder = mkdtempSync(join(tmpdir(), "ppg-front-"));
  const { issue, caPem } = openCertificates(folder, { ca: join(folder, "ca"), bundle: join(folder, "bundle") } as never);
  const watch = { arrived: async () => undefined, done: async () => undefined };
  const front = await openFront({ pick: async () => "stopped", tls: issue(["localhost"]), watch }, undefined, headersMs);
  onTestFinished(async () => {
    await front.close();
    rmSync(folder, { recursive: true });
  });
  return { port: front.port, ca: caPem };
}

describe("the front end of an app", () => {
  base("serves many requests on one connection and keeps nothing of each", async () => {
    const { port, ca } = await openStoppedFront(PATIENCE_MS);
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on("warning", onWarning);
    onTestFinished(() => void process.off("warning", onWarning));
    for (const socket of [plain(port), await secured(port, ca)]) {
      const answers: string[] = [];
      socket.on("data", (chunk: Buffer) => answers.push(chunk.toString("latin1")));
      for (let round = 1; round <= 15; round += 1) {
        socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await expect.poll(() => answers.join("").split("HTTP/1.1 403").length - 1, { interval: 5 }).toBe(round);
      }
      socket.destroy();
    }
    expect(warnings).toEqual([]); // of listeners that pile up on a socket
  });

  base("ends a request whose headers never end, over http and https, and serves the next", async () => {
    const front = await openStoppedFront(2_000);
    const slow = [plain(front.port), await secured(front.port, front.ca)];
    for (const socket of slow) socket.write("GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
    const drip = setInterval(() => slow.map((socket) => socket.writable && socket.write("a")), 50);
    try {
      for (const { said } of await Promise.all(slow.map(ending))) expect(said).not.toContain("200");
    } finally {
      clearInterval(drip);
    }
    const next = plain(front.port);
    const end = ending(next);
    next.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    expect((await end).said).toMatch(/^HTTP\/1\.1 403/);
  });
});

describe("many connections", () => {
  base("that vanish, or are more than are taken, leave nothing behind; the next one is served", async () => {
    const { port, ca } = await openEdge(everything);
    const before = openDescriptors();
    const sockets = Array.from({ length: LIMITS.connections + 100 }, () => plain(port));
    for (const [index, socket] of sockets.entries()) {
      if (index % 3 === 0) socket.once("connect", () => socket.resetAndDestroy());
      else if (index % 3 === 1) socket.once("connect", () => socket.end("16"));
    }
    await Promise.all(sockets.map(ending));
    await expect.poll(openDescriptors).toBeLessThanOrEqual(before);
    const next = await secured(port, ca);
    const end = ending(next);
    next.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    expect((await end).said).toMatch(/^HTTP\/1\.1 200/);
  });
});

describe("a body that nobody reads", () => {
  base("does not hold its connection, however long it is", async () => {
    const { port, ca } = await openEdge(async () => new Response("no", { status: 401 }));
    const socket = await secured(port, ca);
    const body = Buffer.alloc(300_000);
    const answers: string[] = [];
    socket.on("data", (chunk: Buffer) => answers.push(chunk.toString("latin1")));
    for (let round = 1; round <= 3; round += 1) {
      socket.write(`POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n`);
      socket.write(body);
      await expect.poll(() => answers.join("").split("HTTP/1.1 401").length - 1).toBe(round);
    }
    // One that would never end is cut off after the answer.
    const end = ending(socket);
    socket.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000000\r\n\r\n");
    const flood = setInterval(() => void (socket.writable && socket.write(Buffer.alloc(1024 * 1024))), 5);
    try {
      expect((await end).said).toContain("401");
    } finally {
      clearInterval(flood);
    }
  });
});

interface Sent {
  readonly status: number;
  readonly text: string;
}

/** Raw bytes over TLS; the first answer's status. 0 when the connection ended without one. */
async function raw(emulator: TestEmulator, bytes: string | Buffer): Promise<Sent> {
  const { port } = new URL(emulator.endpoints.resourceManager);
  const socket = await secured(Number(port), emulator.caPem);
  const end = ending(socket);
  socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  // The answer is all that is waited for: a kept connection would stay.
  socket.once("data", () => setTimeout(() => socket.destroy(), 20));
  const { said } = await end;
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(said)?.[1] ?? 0), text: said };
}

const token = (emulator: TestEmulator): Promise<string> => emulator.tokenFor(emulator.clientId, audiences.resourceManager[0]);

describe("requests that are none", () => {
  emulatorTest("get a refusal or no answer; local Azure goes on", async ({ emulator }) => {
    const bearer = `Authorization: Bearer ${await token(emulator)}`;
    const word = fc.constantFrom("GET", "PUT", "BREW", "get", "CONNECT", "OPTIONS", "TRACE", "", "G\0T", "PROPFIND", "x".repeat(50));
    const path = fc.oneof(
      fc.constantFrom(
        "/",
        "*",
        "//",
        "/..",
        "/../../etc/passwd",
        "/%",
        "/%zz",
        "/%00",
        "/subscriptions/%2e%2e/",
        "/subscriptions//x",
        "/\\..\\x",
        "/a?b?c#d",
        "http://evil/subscriptions",
        "evil:443",
        "/\x80\xff",
        "/subscriptions?api-version=%ff",
        "/_local/status",
        "/x".repeat(4_000),
        "/x".repeat(20_000),
      ),
      fc.string({ maxLength: 20 }).map((text) => `/subscriptions/${encodeURI(text)}`),
    );
    const header = fc.constantFrom(
      "Host: localhost",
      "Host: evil.example",
      "Host: a b",
      "Host: user@localhost",
      "Host: localhost/../x?",
      "Host: [::1",
      "Host: \xff\xfe",
      "Host:",
      bearer,
      "Authorization: Bearer a.b.c",
      "Authorization: Bearer",
      `Authorization: Bearer ${"x".repeat(14_000)}`,
      "Authorization: \xe9",
      "Content-Length: 5",
      "Content-Length: -1",
      "Content-Length: 9999999999999999999999",
      "Transfer-Encoding: chunked",
      "Transfer-Encoding: gzip, chunked",
      "Content-Type: text/plain",
      "Content-Type: \xff",
      "x-ms-client-request-id: \xe9\t\x80",
      "x-ms-correlation-request-id: \xff",
      "x-ms-return-client-request-id: true",
      "Expect: 100-continue",
      "Upgrade: websocket",
      "Connection: Upgrade, close",
      "X: a\n b",
      `X: ${"y".repeat(70_000)}`,
      ": x",
      "no colon",
    );
    const rest = fc.constantFrom(
      "",
      "hello",
      "5\r\nhello\r\n0\r\n\r\n",
      "zz\r\n",
      "{}",
      "0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
      "\0".repeat(100),
    );
    const version = fc.constantFrom("HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/9.9", "");
    await fc.assert(
      fc.asyncProperty(word, path, version, fc.array(header, { maxLength: 6 }), rest, async (method, target, protocol, headers, body) => {
        const bytes = `${method} ${target} ${protocol}\r\n${["Connection: close", ...headers].join("\r\n")}\r\n\r\n${body}`;
        const socketEnds = raw(emulator, bytes);
        // A body that is announced and does not come would be waited for; its sender hangs up.
        const { status } = await Promise.race([
          socketEnds,
          new Promise<Sent>((done) => setTimeout(() => done({ status: -1, text: "" }), 1_500)),
        ]);
        expect([-1, 0, 100, 200, 400, 401, 404, 405, 408, 413, 414, 417, 431, 501, 505], bytes.slice(0, 500)).toContain(status);
      }),
      runs(120),
    );
    expect((await emulator.arm("GET", "/subscriptions?api-version=2021-04-01")).status).toBe(200);
  });

  emulatorTest("a Host header that is none is 400, as HTTP.sys says it", async ({ emulator }) => {
    for (const host of ["a b", "user@localhost", "localhost/x", "[::1", ""]) {
      const { status, text } = await raw(emulator, `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      expect({ host, status }).toEqual({ host, status: 400 });
      if (host !== "") expect(text).toContain("Invalid Hostname");
    }
  });

  emulatorTest("bodies too big or too deep are refused, and told so", async ({ emulator }) => {
    const id = `${emulator.subscription}/resourceGroups/rg-big?api-version=2021-04-01`;
    const headers = { authorization: `Bearer ${await token(emulator)}`, "content-type": "application/json" };
    const put = (body: string): Promise<{ status: number; text: string }> =>
      emulator.fetch(`${emulator.endpoints.resourceManager}${id}`, { method: "PUT", headers, body });
    const before = process.memoryUsage().rss;
    expect((await put(JSON.stringify({ location: "eastus", tags: { a: "x".repeat(5 * 1024 * 1024) } }))).status).toBe(413);
    expect((await put(`{"location":"eastus","tags":${deepJson(1_000_000)}}`)).status).toBe(400);
    expect((await put(deepJson(60_000, '{"a":', "}"))).text).toContain("MaxDepth");
    expect((await put("{".repeat(10))).status).toBe(400);
    // 50 MB: whoever goes on sending is cut off, but has been answered.
    const big = await put(`{"location":"${"x".repeat(50 * 1024 * 1024)}"}`).catch((error: NodeJS.ErrnoException) => ({
      status: error.code,
    }));
    expect([413, "ECONNRESET", "EPIPE"]).toContain(big.status);
    const form = await emulator.fetch(`${emulator.endpoints.authority}/${emulator.endpoints.tenantId}/oauth2/v2.0/token`, {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: `grant_type=${"x".repeat(1024 * 1024)}`,
    });
    expect(form.status).toBe(413);
    expect(process.memoryUsage().rss - before).toBeLessThan(400 * 1024 * 1024);
  });

  emulatorTest("the token endpoint takes no names of JavaScript for grants, and no broken basic header", async ({ emulator }) => {
    const url = `${emulator.endpoints.authority}/${emulator.endpoints.tenantId}/oauth2/v2.0/token`;
    const post = (body: string, headers: Record<string, string> = {}): Promise<{ status: number }> =>
      emulator.fetch(url, { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded", ...headers }, body });
    for (const grant of ["constructor", "__proto__", "toString", "", "%00", "client_credentials&client_credentials"]) {
      expect((await post(`grant_type=${grant}`)).status).toBe(400);
    }
    const basic = (text: string): Record<string, string> => ({ authorization: `Basic ${Buffer.from(text).toString("base64")}` });
    for (const text of ["%:%", ":", "a", "\0:\0", `${emulator.clientId}:%zz`]) {
      expect([400, 401]).toContain((await post("grant_type=client_credentials&scope=x/.default", basic(text))).status);
    }
    await expect(emulator.tokenFor("constructor", "x")).rejects.toThrow("PrincipalNotFound");
  });

  emulatorTest("a package announced with 3 GB is refused before it comes", async ({ emulator }) => {
    const site = await makeSite(emulator, "edge-site");
    const kudu = await emulator.tokenFor(emulator.clientId, audiences.appService[0]);
    const { port } = new URL(site.scm);
    const socket = await secured(Number(port), emulator.caPem);
    const end = ending(socket);
    socket.write(
      `POST /api/zipdeploy?isAsync=true HTTP/1.1\r\nHost: localhost:${port}\r\nAuthorization: Bearer ${kudu}\r\nContent-Length: 3221225472\r\n\r\nPK`,
    );
    socket.once("data", () => setTimeout(() => socket.destroy(), 20));
    expect((await end).said).toMatch(/^HTTP\/1\.1 413 /);
    expect((await site.kudu("GET", "/api/isdeploying")).body.value).toBe("False");
  });
});
