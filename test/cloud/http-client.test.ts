import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { createHttpHeaders, createPipelineRequest, type PipelineRequest } from "@azure/core-rest-pipeline";
import { test as base, describe, expect } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { KnownError } from "../../src/base/errors.ts";
import { describeStatus, siteClient } from "../../src/cloud/app-service/site-client.ts";
import { environments } from "../../src/cloud/environment.ts";
import { boundedHttpClient, sendForBeginning } from "../../src/cloud/http-client.ts";
import { withTimeLimit } from "../../src/cloud/time-limit.ts";

/** Starts a server on the loopback and gives its URL. */
type Serving = (answer: RequestListener) => Promise<string>;

const test = base.extend<{ serve: Serving }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
  serve: async ({}, use) => {
    const servers: ReturnType<typeof createServer>[] = [];
    await use(async (answer) => {
      const server = createServer(answer);
      servers.push(server);
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    });
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
  },
});

const requestTo = (url: string, more: Partial<Parameters<typeof createPipelineRequest>[0]> = {}): PipelineRequest =>
  createPipelineRequest({ url, allowInsecureConnection: true, ...more });

const MB = 1024 * 1024;

/** Writes as fast as it is taken, for ever. */
const endless: RequestListener = (_request, response) => {
  const piece = Buffer.alloc(256 * 1024, "x");
  response.writeHead(200, { "content-type": "text/plain" });
  const write = (): void => {
    while (!response.destroyed && response.write(piece));
    if (!response.destroyed) response.once("drain", write);
  };
  write();
};

/** An event stream: its headers, one event, and then silence. */
const events: RequestListener = (_request, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write("data: here\n\n");
};

/** Highest resident memory above the beginning's while `work` runs. */
async function memoryOf(work: () => Promise<unknown>): Promise<number> {
  const before = process.memoryUsage().rss;
  let highest = before;
  const look = setInterval(() => {
    highest = Math.max(highest, process.memoryUsage().rss);
  }, 20);
  await work();
  clearInterval(look);
  return Math.max(highest, process.memoryUsage().rss) - before;
}

describe("an answer", () => {
  test("comes whole, also beyond what one chunk holds", async ({ serve }) => {
    const text = "é".repeat(400_000);
    const url = await serve((_request, response) => response.end(text));
    const request = requestTo(url);
    const answer = await boundedHttpClient(MB).sendRequest(request);
    expect([answer.status, answer.bodyAsText === text, answer.request === request]).toEqual([200, true, true]);
  });

  test("without an end is left at the limit, with a clear error, little memory and no connection", { timeout: 30_000 }, async ({
    serve,
  }) => {
    let closed: Promise<unknown> | undefined;
    const url = await serve((request, response) => {
      closed = once(response, "close");
      endless(request, response);
    });
    const used = await memoryOf(async () => {
      const error = await boundedHttpClient(2 * MB)
        .sendRequest(requestTo(url))
        .catch((failure: unknown) => failure);
      expect(error).toBeInstanceOf(KnownError);
      expect(error).toMatchObject({
        code: "azure/failed",
        message: expect.stringMatching(/^127\.0\.0\.1:\d+ answered a GET with more than 2 MB/),
      });
    });
    await closed;
    expect(used).toBeLessThan(200 * MB);
  });

  test("of a few compressed bytes is not unpacked to gigabytes", async ({ serve }) => {
    let asked: string | undefined;
    const bomb = gzipSync(Buffer.alloc(64 * MB));
    const url = await serve((request, response) => {
      asked = request.headers["accept-encoding"];
      response.writeHead(200, { "content-encoding": "gzip" }).end(bomb);
    });
    const request = requestTo(url, { headers: createHttpHeaders({ "accept-encoding": "gzip,deflate" }) });
    const { bodyAsText } = await boundedHttpClient(MB).sendRequest(request);
    expect([asked, Buffer.byteLength(bodyAsText ?? "") < MB]).toEqual([undefined, true]);
  });

  test("that breaks off is an error, not half an answer", async ({ serve }) => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("half", () => response.destroy());
    });
    await expect(boundedHttpClient(MB).sendRequest(requestTo(url))).rejects.toMatchObject({ code: "PARSE_ERROR" });
  });

  test("that trickles is bounded in time, not at its headers only", async ({ serve }) => {
    const url = await serve(events);
    const request = requestTo(url);
    const client = boundedHttpClient(MB);
    await expect(withTimeLimit(request, 300, [], () => client.sendRequest(request))).rejects.toMatchObject({ code: "azure/timeout" });
  });
});

describe("an app's answer without an end", () => {
  test("is judged by what came: by size", async ({ serve }) => {
    const url = await serve(endless);
    const used = await memoryOf(async () => {
      const answer = await sendForBeginning(boundedHttpClient(MB), requestTo(url), { maxBytes: MB, maxMs: 10_000 });
      expect([answer.status, answer.cut, answer.body.length < 2 * MB]).toEqual([200, "size", true]);
      expect(describeStatus(answer)).toBe("HTTP 200, answered with more than 1 MB");
    });
    expect(used).toBeLessThan(200 * MB);
  });

  test("and by time", async ({ serve }) => {
    const url = await serve(events);
    const answer = await sendForBeginning(boundedHttpClient(MB), requestTo(url), { maxBytes: MB, maxMs: 200 });
    expect(answer).toMatchObject({ status: 200, cut: "time", body: "data: here\n\n" });
    expect(describeStatus(answer)).toMatch(/^HTTP 200, answered without end/);
  });

  test("costs the client of a site one try", async ({ serve }) => {
    let asked = 0;
    const url = await serve((request, response) => {
      asked += 1;
      endless(request, response);
    });
    const signal = new AbortController().signal;
    const credential = { getToken: async () => null };
    const context = { environment: environments.public, credential, subscriptionId: "", signal, clock: systemClock };
    const answer = await siteClient(context, { name: "shop", url }).get("/healthz");
    expect([asked, answer.status, answer.cut]).toEqual([1, 200, "size"]);
  });
});

describe("what is sent as a stream", () => {
  const chunks = async function* (count: number, then?: Error): AsyncGenerator<Buffer> {
    for (let sent = 0; sent < count; sent += 1) yield Buffer.alloc(64 * 1024);
    if (then) throw then;
  };
  const taking: RequestListener = (request, response) => {
    request.resume().on("end", () => response.end("taken"));
    request.on("error", () => {});
  };

  test("and breaks off ends the request with its own error", async ({ serve }) => {
    const ends: boolean[] = [];
    const closed: Promise<unknown>[] = [];
    const url = await serve((request, response) => {
      closed.push(once(response, "close").then(() => ends.push(request.complete)));
      taking(request, response);
    });
    const failure = new KnownError("deploy/package-invalid", "main.py changed");
    for (const count of [0, 1, 40]) {
      const body = () => Readable.from(chunks(count, failure), { objectMode: false });
      const sent = boundedHttpClient(MB).sendRequest(requestTo(url, { method: "POST", body }));
      await expect(sent).rejects.toBe(failure);
    }
    await Promise.all(closed);
    expect(ends).toEqual(closed.map(() => false));
  });

  test("and breaks off while it waits for a server that takes no more", async ({ serve }) => {
    const url = await serve(() => undefined);
    const stream = Readable.from(chunks(10_000), { objectMode: false });
    const sent = boundedHttpClient(MB).sendRequest(requestTo(url, { method: "POST", body: () => stream }));
    stream.once("data", () => setImmediate(() => stream.destroy(new Error("the file is gone"))));
    await expect(sent).rejects.toThrow("the file is gone");
  });

  test("is given back when the answer comes before its end", async ({ serve }) => {
    let isReturned = false;
    const source = async function* (): AsyncGenerator<Buffer> {
      try {
        yield* chunks(100_000);
      } finally {
        isReturned = true;
      }
    };
    const url = await serve((_request, response) => response.writeHead(409).end("busy"));
    const stream = Readable.from(source(), { objectMode: false });
    const closed = once(stream, "close");
    const answer = await boundedHttpClient(MB).sendRequest(requestTo(url, { method: "POST", body: () => stream }));
    await closed;
    expect([answer.status, answer.bodyAsText, isReturned]).toEqual([409, "busy", true]);
  });

  test("is told to the server in full otherwise", async ({ serve }) => {
    const url = await serve(taking);
    const body = () => Readable.from(chunks(20), { objectMode: false });
    const answer = await boundedHttpClient(MB).sendRequest(requestTo(url, { method: "POST", body }));
    expect(answer.bodyAsText).toBe("taken");
  });
});

test("nothing else in the client speaks HTTP", () => {
  const source = resolve(import.meta.dirname, "../../src");
  const files = (readdirSync(source, { recursive: true }) as string[]).filter(
    (name) => name.endsWith(".ts") && !name.startsWith("emulator"),
  );
  const speaking = files.filter((name) =>
    /createDefaultHttpClient|\bfetch\(|from "(node:)?https?"|from "undici"/.test(readFileSync(join(source, name), "utf8")),
  );
  expect(speaking).toEqual(["cloud/http-client.ts"]);
});
