import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import fc from "fast-check";
import { test as base, describe, expect } from "vitest";
import { openCertificates } from "../../../../src/emulator/http/certificates.ts";
import { openTokenGateway, type TokenGateway } from "../../../../src/emulator/machines/postgres/token-gateway.ts";
import { runs } from "../../../support/fuzz.ts";
import { PATIENCE_MS } from "../../../support/patience.ts";

/** A gateway before a server that greets whomever it lets through; no PostgreSQL, which would only be slower here. */
interface Door {
  readonly gateway: TokenGateway;
  readonly ca: string;
  /** How many logins came through to the server. */
  admitted(): number;
  /** Sockets open at the server behind. */
  behind(): number;
  readonly logged: string[];
  readonly judged: [user: string, password: string][];
}

const RIGHT = "the right token";
const LOGIN_WITHIN_MS = 4_000;

async function openDoor(
  options: { requiresTls?: boolean; loginWithinMs?: number } = {},
): Promise<{ door: Door; close: () => Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), "ppg-door-"));
  const { issue, caPem } = openCertificates(folder, {
    state: join(folder, "state"),
    journal: join(folder, "journal"),
    ca: join(folder, "ca"),
    bundle: join(folder, "bundle"),
  } as never);
  const open = new Set<Socket>();
  let admitted = 0;
  const server: Server = createServer((socket) => {
    admitted += 1;
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.on("error", () => {});
    socket.once("data", () => {
      // AuthenticationOk, BackendKeyData, ReadyForQuery
      socket.write(Buffer.from("520000000800000000" + "4b0000000c0000000100000002" + "5a0000000549", "hex"));
      socket.on("data", (chunk) => socket.write(chunk));
    });
  });
  const path = join(folder, "socket");
  await new Promise<void>((done) => server.listen(path, done));
  const logged: string[] = [];
  const judged: [string, string][] = [];
  const gateway = await openTokenGateway(
    { address: "127.0.0.1", port: 0 },
    issue(["localhost", "127.0.0.1"]),
    {
      socketPath: () => path,
      isReady: () => true,
      requiresTls: () => options.requiresTls ?? false,
      admits: () => true,
      isPublic: () => true,
      judge: async (user, password) => {
        judged.push([user, password]);
        await new Promise((done) => setTimeout(done, 20)); // as long as the real one takes to ask the database
        return user === "dana" && password === RIGHT ? undefined : { sqlState: "28P01", message: "no" };
      },
      watch: () => undefined,
      log: (line) => void logged.push(line),
    },
    options.loginWithinMs,
  );
  return {
    door: { gateway, ca: caPem, admitted: () => admitted, behind: () => open.size, logged, judged },
    close: async () => {
      await gateway.close();
      for (const socket of open) socket.destroy();
      await new Promise((done) => server.close(done));
      rmSync(folder, { recursive: true });
    },
  };
}

const test = base.extend<{ door: Door }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
  door: async ({}, use) => {
    const { door, close } = await openDoor({ loginWithinMs: LOGIN_WITHIN_MS });
    await use(door);
    await close();
    expect(door.logged).toEqual([]);
  },
});

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
};
const packet = (code: number, body: Buffer = Buffer.alloc(0)): Buffer => Buffer.concat([int32(8 + body.length), int32(code), body]);
const words = (...all: readonly string[]): Buffer => Buffer.from(all.map((word) => `${word}\0`).join(""));
const startup = (body: Buffer = words("user", "dana", "database", "shop", ""), version = 196_608): Buffer => packet(version, body);
const message = (type: string, body: Buffer): Buffer => Buffer.concat([Buffer.from(type), int32(4 + body.length), body]);
const SSL = packet(80_877_103);
const GSS = packet(80_877_104);

/** Everything the gateway says until the connection is over. */
function listen(socket: Socket): { readonly over: Promise<Buffer>; readonly said: () => Buffer } {
  const parts: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => parts.push(chunk));
  socket.on("error", () => {});
  const over = new Promise<Buffer>((resolve) => socket.once("close", () => resolve(Buffer.concat(parts))));
  return { over, said: () => Buffer.concat(parts) };
}

async function within<T>(what: string, work: Promise<T>): Promise<T> {
  let alarm: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    alarm = setTimeout(() => reject(new Error(`not over: ${what}`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(alarm);
  }
}

function plain({ gateway }: Door): Socket {
  return connect({ host: gateway.address, port: gateway.port, noDelay: true });
}

/** A socket in which TLS is up, asked for or direct. */
async function secured(door: Door, isDirect = false): Promise<TLSSocket> {
  const socket = plain(door);
  if (!isDirect) {
    socket.write(SSL);
    const [answer] = (await new Promise<Buffer>((resolve) => socket.once("data", resolve))) as Buffer;
    expect(String.fromCharCode(answer ?? 0)).toBe("S");
  }
  return new Promise((resolve, reject) => {
    const tls = connectTls({ socket, ca: door.ca, servername: "localhost", ALPNProtocols: ["postgresql"] }, () => resolve(tls));
    tls.once("error", reject);
  });
}

async function signInWorks(door: Door): Promise<void> {
  const socket = await secured(door);
  const { said } = listen(socket);
  socket.write(Buffer.concat([startup(), message("p", words(RIGHT))]));
  await expect.poll(() => said().toString("hex")).toMatch(/520000000800000000.*5a0000000549$/);
  socket.destroy();
}

/** `S`, `N`, `R`equest for a password, `E`rror, an alert of TLS: nothing else may be said before a login. */
function isSober(said: Buffer): boolean {
  return /^(53|4e){0,3}(520000000800000003)?(45.*|1503.*)?$/.test(said.toString("hex"));
}

const odd = fc.oneof(
  fc.constantFrom(
    "user",
    "dana",
    "database",
    "options",
    "replication",
    "",
    "true",
    "-c x=y",
    "x".repeat(63),
    "x".repeat(64),
    "x".repeat(9000),
  ),
  fc.string({ unit: "binary", maxLength: 10 }),
);
const code = fc.oneof(fc.constantFrom(196_608, 196_610, 131_072, 80_877_102, 80_877_103, 80_877_104, 0, -1, 2 ** 31 - 1), fc.integer());
const body = fc.oneof(
  fc.array(odd, { maxLength: 12 }).map((all) => words(...all)),
  fc.array(odd, { maxLength: 6 }).map((all) => words("user", "dana", ...all, "")),
  fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  fc.constant(words(...Array.from({ length: 10_000 }, (_, index) => (index % 2 === 0 ? "k" : "v")), "")),
);
const length = fc.oneof(fc.constantFrom(0, 1, 3, 4, 7, 8, 9, 9_999, 10_000, 10_001, -1, -(2 ** 31), 2 ** 31 - 1), fc.integer());
const piece: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom(SSL, GSS) },
  { weight: 3, arbitrary: fc.tuple(code, body).map(([value, bytes]) => packet(value, bytes)) },
  { weight: 2, arbitrary: fc.constant(startup()) },
  // What stands in the length is not what comes.
  { weight: 3, arbitrary: fc.tuple(length, code, body).map(([size, value, bytes]) => Buffer.concat([int32(size), int32(value), bytes])) },
  { weight: 2, arbitrary: odd.map((text) => message("p", Buffer.from(text))) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom("p", "Q", "X", "\0"), length, odd)
      .map(([type, size, text]) => Buffer.concat([Buffer.from(type), int32(size), Buffer.from(text)])),
  },
  { weight: 1, arbitrary: fc.constant(message("p", words(RIGHT, "more"))) },
  { weight: 1, arbitrary: fc.constantFrom(Buffer.from("160301", "hex"), Buffer.from([0x16]), Buffer.from("GET / HTTP/1.1\r\n\r\n")) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)) },
);

describe("whatever comes before a login", () => {
  const script = fc.record({
    pieces: fc.array(piece, { minLength: 1, maxLength: 5 }),
    entry: fc.constantFrom("plain", "plain", "tls", "direct" as const),
    goodbye: fc.constantFrom("end", "destroy", "reset"),
  });

  test("is refused or ends; nobody gets in, nothing breaks, others are served", async ({ door }) => {
    await fc.assert(
      fc.asyncProperty(script, async ({ pieces, entry, goodbye }) => {
        const before = door.admitted();
        const socket = entry === "plain" ? plain(door) : await secured(door, entry === "direct");
        const { over } = listen(socket);
        for (const bytes of pieces) socket.write(bytes);
        if (goodbye === "end") socket.end();
        else if (goodbye === "destroy") socket.destroySoon();
        else socket.destroy();
        const said = await within("the connection", over);
        if (goodbye === "end") expect(isSober(said), said.toString("latin1")).toBe(true);
        expect(door.admitted()).toBe(before);
      }),
      runs(150),
    );
    await signInWorks(door);
  });

  test("has its refusal in PostgreSQL's words", async ({ door }) => {
    const cases: readonly (readonly [what: string, bytes: Buffer, said: RegExp])[] = [
      ["no user", startup(words("database", "shop", "")), /C28000.*no PostgreSQL user name/],
      ["no end", startup(words("user", "dana")), /C08P01.*expected terminator as last byte/],
      ["something behind the end", startup(words("user", "dana", "", "user", "eve")), /C08P01.*expected terminator/],
      ["a name without a value", startup(Buffer.from("user\0dana\0database\0")), /C08P01/],
      ["protocol 2", startup(words("user", "dana", ""), 131_072), /C0A000.*unsupported frontend protocol 2\.0/],
      ["another message than the password", Buffer.concat([startup(), message("Q", words("select 1"))]), /C08P01.*got message type 81/],
      ["two passwords in one", Buffer.concat([startup(), message("p", words(RIGHT, "x"))]), /C08P01.*invalid password packet size/],
      ["a password without its end", Buffer.concat([startup(), message("p", Buffer.from(RIGHT))]), /C08P01.*invalid password packet size/],
      ["an empty password", Buffer.concat([startup(), message("p", words(""))]), /C28P01.*empty password/],
      ["a wrong password", Buffer.concat([startup(), message("p", words("wrong"))]), /C28P01/],
    ];
    for (const [what, bytes, expected] of cases) {
      const socket = plain(door);
      const { over } = listen(socket);
      socket.end(bytes);
      expect((await within(what, over)).toString("latin1").replaceAll("\0", " "), what).toMatch(expected);
    }
    expect(door.admitted()).toBe(0);
  });

  test("is not mixed with what comes encrypted", async ({ door }) => {
    const stuffed = Buffer.concat([startup(), message("p", words(RIGHT))]);
    for (const bytes of [
      Buffer.concat([SSL, stuffed]),
      Buffer.concat([GSS, SSL, stuffed]),
      Buffer.concat([SSL, SSL]),
      Buffer.concat([SSL, Buffer.from([0])]),
    ]) {
      const socket = plain(door);
      const { over } = listen(socket);
      socket.write(bytes);
      expect((await within("a stuffed buffer", over)).toString("latin1")).toMatch(/^N?$/);
    }
    // The same in a second segment: TLS itself finds no handshake in it.
    const late = plain(door);
    const { over } = listen(late);
    late.write(SSL);
    await new Promise((resolve) => late.once("data", resolve));
    late.write(stuffed);
    const said = (await within("plain text after S", over)).toString("latin1");
    expect(said.startsWith("S")).toBe(true);
    expect(said).not.toContain("R\0\0\0\x08");
    expect(door.judged).toEqual([]);
    expect(door.admitted()).toBe(0);
  });
});

/** Open descriptors of this process. Linux only; elsewhere nothing is counted. */
function descriptors(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return 0;
  }
}

describe("time and sockets", () => {
  test("a client that stops in the middle is let go, at every place, and leaves no socket", async ({ door }) => {
    const hello = await helloOf(door);
    await signInWorks(door);
    await expect.poll(() => door.behind()).toBe(0);
    const before = descriptors();
    const places: readonly (readonly [what: string, entry: "plain" | "tls", bytes: Buffer])[] = [
      ["nothing said", "plain", Buffer.alloc(0)],
      ["one byte of a length", "plain", Buffer.from([0])],
      ["half a start-up packet", "plain", startup().subarray(0, 20)],
      ["TLS asked for, then nothing", "plain", SSL],
      ["half a TLS handshake", "plain", hello.subarray(0, 50)],
      ["TLS up, then nothing", "tls", Buffer.alloc(0)],
      ["half a start-up packet in TLS", "tls", startup().subarray(0, 20)],
      ["no password", "tls", startup()],
      ["half a password", "tls", Buffer.concat([startup(), message("p", words(RIGHT)).subarray(0, 9)])],
    ];
    const waits = places.flatMap(([what, entry, bytes]) =>
      Array.from({ length: 10 }, async () => {
        const socket = entry === "plain" ? plain(door) : await secured(door);
        const { over } = listen(socket);
        socket.write(bytes);
        await within(what, over);
      }),
    );
    await Promise.all(waits);
    await expect.poll(descriptors).toBeLessThanOrEqual(before);
    expect(door.admitted()).toBe(1);
  });

  test("a byte now and then does not lengthen the time for a login", async ({ door }) => {
    const socket = plain(door);
    const { over } = listen(socket);
    const drip = setInterval(() => socket.write(Buffer.from([0])), 50);
    const began = performance.now();
    try {
      // The first four zeros are a length of 0; so the drip is inside a start-up packet.
      socket.write(Buffer.concat([int32(5_000), int32(196_608)]));
      await within("the dripping client", over);
    } finally {
      clearInterval(drip);
    }
    expect(performance.now() - began).toBeGreaterThan(LOGIN_WITHIN_MS * 0.8);
  });

  test("clients that vanish leave nothing behind, before, in and after the login", async ({ door }) => {
    const login = Buffer.concat([startup(), message("p", words(RIGHT))]);
    const before = descriptors();
    const vanish: ((socket: Socket) => void)[] = [
      (socket) => socket.resetAndDestroy(),
      (socket) => socket.destroy(),
      // With its last word it hangs up, and reads nothing.
      (socket) => socket.end(login),
      (socket) => void socket.write(login, () => socket.resetAndDestroy()),
      (socket) => void socket.write(login, () => socket.once("data", () => socket.resetAndDestroy())),
      (socket) => void socket.write(Buffer.concat([login, message("Q", Buffer.alloc(5_000_000, 1))]), () => socket.resetAndDestroy()),
    ];
    for (const how of vanish) {
      for (let times = 0; times < 10; times += 1) {
        const socket = plain(door);
        socket.on("error", () => {});
        await new Promise((resolve) => socket.once("connect", resolve));
        how(socket);
        if (how === vanish[2]) socket.resume();
      }
    }
    for (let times = 0; times < 5; times += 1) {
      const socket = await secured(door);
      listen(socket);
      socket.end(login);
    }
    // Each of those that heard the greeting, and the half-closed ones, were let in.
    await expect.poll(() => door.admitted()).toBeGreaterThanOrEqual(25);
    await expect.poll(() => door.behind()).toBe(0);
    await expect.poll(descriptors).toBeLessThanOrEqual(before + 2);
    await signInWorks(door);
  });
});

/** The first bytes of a TLS handshake. */
async function helloOf(door: Door): Promise<Buffer> {
  const taker = createServer();
  await new Promise<void>((done) => taker.listen(0, "127.0.0.1", done));
  const address = taker.address();
  const taken = new Promise<Buffer>((resolve) =>
    taker.once("connection", (socket) => {
      socket.once("data", (bytes: Buffer) => {
        resolve(bytes);
        socket.destroy();
      });
    }),
  );
  const tls = connectTls({
    host: "127.0.0.1",
    port: typeof address === "object" && address ? address.port : 0,
    ca: door.ca,
    servername: "localhost",
  });
  tls.on("error", () => {});
  const bytes = await taken;
  tls.destroy();
  await new Promise((done) => taker.close(done));
  return bytes;
}
