import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { KnownError } from "../../src/base/errors.ts";
import type { LogRecord } from "../../src/logs/log-record.ts";
import { type TailOptions, type TailState, tailLogs } from "../../src/logs/tail-logs.ts";
import { createFakeKudu } from "./fake-kudu.ts";

const APP = "/home/LogFiles/2026_02_07_m1_default_docker.log";
const PLATFORM = "/home/LogFiles/2026_02_07_m1_docker.log";

/** Time passes between connections only: waits for a reconnect end at once, waits for more lines never. */
function pausedClock(delays: number[] = []): Clock {
  let now = Date.parse("2026-02-07T10:00:00Z");
  return {
    now: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason));
        if (ms === 40 || ms === 130_000) return;
        delays.push(ms);
        now += ms;
        setImmediate(resolve);
      }),
  };
}

const collect = async (options: Omit<TailOptions, "app">): Promise<LogRecord[]> => {
  const records: LogRecord[] = [];
  for await (const record of tailLogs({ app: "api", ...options })) records.push(record);
  return records;
};

/** One thing that happens: a line in one of two files, a cut connection, or both files growing while there is none. */
const happening = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("line" as const),
      file: fc.constantFrom(APP, PLATFORM),
      text: fc.constantFrom("tick", "tock", "naïve 🫖", "why?"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut" as const), missed: fc.integer({ min: 0, max: 10 }), half: fc.boolean() }) },
);

test("loses and doubles nothing over reconnects, however the bytes are cut", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 60 }), fc.integer({ min: 1, max: 40 }), async (happenings, chunk) => {
      const kudu = createFakeKudu();
      const written = new Map<string, string[]>([APP, PLATFORM].map((path) => [path, []]));
      let count = 0;
      const write = (path: string, text: string): string => {
        count += 1;
        // Stamps repeat in pairs, as lines of one write have one stamp.
        const stamp = `2026-02-07T09:12:31.${String(Math.floor(count / 2)).padStart(9, "0")}Z`;
        const line = `${stamp} ${path === PLATFORM ? "Site started. " : ""}${text} `;
        kudu.append(path, line);
        written.get(path)?.push(line);
        return line;
      };
      const ends = new AbortController();
      const rest = [...happenings];
      // Connections: each gives the tails, then live lines until a cut.
      const open = async function* (): AsyncGenerator<Buffer> {
        let text = kudu.greeting();
        const flush = function* () {
          const bytes = Buffer.from(text);
          text = "";
          for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
        };
        yield* flush();
        for (let next = rest.shift(); next; next = rest.shift()) {
          if (next.kind === "line") text += `\n${write(next.file, next.text)}\n`;
          else {
            for (let missed = 0; missed < next.missed; missed += 1) {
              const line = write(missed % 3 ? APP : PLATFORM, "missed");
              if (next.half && missed === 0) text += line.slice(0, 35);
            }
            yield* flush();
            return;
          }
        }
        yield* flush();
        ends.abort();
        yield Buffer.from("\n");
      };
      const records = await collect({ open: async () => open(), clock: pausedClock(), signal: ends.signal });
      for (const [path, source] of [
        [APP, "app"],
        [PLATFORM, "platform"],
      ] as const) {
        const shown = records.filter((record) => record.source === source).map(({ time, message }) => `${time} ${message}`);
        const ascii = (line: string) => line.replace(/[^\x20-\x3e\x40-\x7e]+/g, "?").trimEnd();
        expect(shown.map(ascii)).toEqual(written.get(path)?.map(ascii));
      }
    }),
    { numRuns: 300 },
  );
});

test("does not show again what a quiet file said long ago", async () => {
  const kudu = createFakeKudu();
  const ends = new AbortController();
  let connections = 0;
  const open = async function* (): AsyncGenerator<Buffer> {
    connections += 1;
    yield Buffer.from(kudu.greeting());
    if (connections === 2) return ends.abort();
    const live: string[] = [];
    const write = (path: string, line: string) => {
      kudu.append(path, line);
      live.push(line);
    };
    write(PLATFORM, "2026-02-07T09:00:00.000000001Z Site started.");
    for (let index = 0; index < 20_000; index += 1) live.push(`2026-02-07T09:00:01.${String(index).padStart(9, "0")}Z line`);
    yield Buffer.from(`${live.join("\n")}\n`);
  };
  const records = await collect({ open: async () => open(), clock: pausedClock(), signal: ends.signal });
  expect(records.filter(({ source }) => source === "platform").length).toBe(1);
});

test("says when more was missed than the tail repeats", async () => {
  const kudu = createFakeKudu();
  const ends = new AbortController();
  const states: TailState[] = [];
  let connections = 0;
  const open = async function* (): AsyncGenerator<Buffer> {
    connections += 1;
    for (let index = 0; index < 25; index += 1) kudu.append(APP, `2026-02-07T09:00:0${connections}.${index + 100}Z x`);
    yield Buffer.from(kudu.greeting());
    if (connections === 2) ends.abort();
  };
  await collect({ open: async () => open(), clock: pausedClock(), signal: ends.signal, onState: (state) => states.push(state) });
  expect(states.filter(({ state }) => state === "gap")).toEqual([{ state: "gap", path: APP }]);
});

test("backs off from 250 ms to 10 s while it cannot connect, and gives up only for good reasons", async () => {
  const delays: number[] = [];
  let tries = 0;
  const open = async (): Promise<AsyncIterable<Uint8Array>> => {
    tries += 1;
    if (tries === 9) throw new KnownError("azure/denied", "no");
    if (tries % 2) throw Object.assign(new TypeError("fetch failed"), { cause: { code: "ECONNREFUSED" } });
    throw new KnownError("azure/unreachable", "503");
  };
  const run = collect({ open, clock: pausedClock(delays), signal: new AbortController().signal });
  await expect(run).rejects.toThrow(expect.objectContaining({ code: "azure/denied" }));
  expect(delays).toEqual([250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
});

test("does not hide a bug", async () => {
  const open = async () => JSON.parse("broken");
  await expect(collect({ open, clock: pausedClock(), signal: new AbortController().signal })).rejects.toThrow(SyntaxError);
});

/** Kudu over real HTTP. */
async function serveKudu() {
  const kudu = createFakeKudu();
  const open = new Set<ServerResponse>();
  const server = createServer((_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(kudu.greeting());
    open.add(response);
    response.once("close", () => open.delete(response));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return {
    open: async (signal: AbortSignal) => {
      const { body } = await fetch(`http://127.0.0.1:${port}/api/logstream`, { signal });
      if (!body) throw new Error("no body");
      return body as AsyncIterable<Uint8Array>;
    },
    connections: () => open.size,
    append: (line: string) => {
      kudu.append(APP, line);
      for (const response of open) response.write(`\n${line}\n`);
    },
    drop: () => {
      for (const response of open) response.destroy();
    },
  };
}

const stamped = (text: string, index: number) => `2026-02-07T09:12:31.${String(index).padStart(9, "0")}Z ${text}`;

test("shows a line at once, comes back after a cut, and ends with its signal", async () => {
  const kudu = await serveKudu();
  const ends = new AbortController();
  const states: TailState[] = [];
  const records = tailLogs({
    app: "api",
    open: kudu.open,
    clock: systemClock,
    signal: ends.signal,
    onState: (state) => states.push(state),
  });
  kudu.append(stamped("already there", 1));
  expect((await records.next()).value).toMatchObject({ message: "already there", source: "app" });
  const next = records.next();
  await expect.poll(() => states.at(-1)?.state).toBe("live");
  const start = performance.now();
  kudu.append(stamped("live", 2));
  expect((await next).value).toMatchObject({ message: "live" });
  expect(performance.now() - start).toBeLessThan(1000);
  const afterCut = records.next();
  kudu.drop();
  await expect.poll(() => kudu.connections()).toBe(0);
  kudu.append(stamped("meanwhile", 3));
  expect((await afterCut).value).toMatchObject({ message: "meanwhile" });
  const last = records.next();
  ends.abort();
  expect((await last).done).toBe(true);
  await expect.poll(() => kudu.connections()).toBe(0);
});

test("reads at least 50,000 lines a second", async () => {
  const kudu = await serveKudu();
  const ends = new AbortController();
  const records = tailLogs({ app: "api", open: kudu.open, clock: systemClock, signal: ends.signal });
  const total = 200_000;
  const first = records.next();
  await expect.poll(() => kudu.connections()).toBe(1);
  const start = performance.now();
  for (let index = 0; index < total; index += 1000) {
    kudu.append(Array.from({ length: 1000 }, (_, step) => stamped(`GET /items/${index + step} 200`, index + step)).join("\n"));
  }
  await first;
  for (let seen = 1; seen < total - 1; seen += 1) await records.next();
  const seconds = (performance.now() - start) / 1000;
  ends.abort();
  await records.return(undefined);
  expect(total / seconds).toBeGreaterThan(50_000);
});
