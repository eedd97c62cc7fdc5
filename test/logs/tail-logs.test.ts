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
const NEXT_DAY = "/home/LogFiles/2026_02_08_m1_default_docker.log";
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
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("cut" as const),
      missed: fc.oneof(fc.integer({ min: 0, max: 10 }), fc.integer({ min: 11, max: 80 })),
      half: fc.boolean(),
      isNewDay: fc.boolean(),
      isReadWhole: fc.boolean(),
    }),
  },
);

test("loses and doubles nothing over reconnects, however the bytes are cut and however much was missed", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 60 }), fc.integer({ min: 1, max: 40 }), async (happenings, chunk) => {
      const kudu = createFakeKudu();
      const written = { app: [] as string[], platform: [] as string[] };
      let count = 0;
      let app = APP;
      const write = (file: string, text: string): string => {
        count += 1;
        // Stamps repeat in pairs, as lines of one write have one stamp.
        const stamp = `2026-02-07T09:12:31.${String(Math.floor(count / 2)).padStart(9, "0")}Z`;
        const line = `${stamp} ${file === PLATFORM ? "Site started. " : ""}${text} `;
        kudu.append(file === PLATFORM ? PLATFORM : app, line);
        written[file === PLATFORM ? "platform" : "app"].push(line);
        return line;
      };
      const ends = new AbortController();
      const states: TailState[] = [];
      const rest = [...happenings];
      let text = "";
      let isReadWhole = true;
      // Connections: each gives the tails, then live lines until a cut.
      const open = async function* (): AsyncGenerator<Buffer> {
        text = kudu.greeting();
        const flush = function* () {
          const bytes = Buffer.from(text);
          text = "";
          for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
        };
        yield* flush();
        for (let next = rest.shift(); next; next = rest.shift()) {
          if (next.kind === "line") text += `\n${write(next.file, next.text)}\n`;
          else {
            if (next.isNewDay) app = NEXT_DAY;
            isReadWhole = next.isReadWhole;
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
      const readFile = async (path: string) => {
        // The app goes on while its file is read.
        text += `\n${write(APP, "meanwhile")}\n`;
        const lines = kudu.files.get(path) ?? [];
        const part = isReadWhole ? lines : lines.slice(-85);
        return { bytes: Buffer.from(part.map((line) => `${line}\n`).join("")), isWhole: part.length === lines.length };
      };
      const onState = (state: TailState) => states.push(state);
      const records = await collect({ open: async () => open(), readFile, clock: pausedClock(), signal: ends.signal, onState });
      for (const source of ["app", "platform"] as const) {
        const shown = records.filter((record) => record.source === source).map(({ time, message }) => `${time} ${message}`);
        const ascii = (line: string) => line.replace(/[^\x20-\x3e\x40-\x7e]+/g, "?").trimEnd();
        expect(shown.map(ascii)).toEqual(written[source].map(ascii));
      }
      expect(states).not.toContainEqual(expect.objectContaining({ state: "gap" }));
    }),
    { numRuns: 100 },
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

test.each<[string, TailOptions["readFile"], number]>([
  ["there is no way to read the file", undefined, 0],
  ["the file is gone", () => Promise.reject(new KnownError("azure/not-found", "404")), 1],
  ["the file cannot be read for now", () => Promise.reject(new KnownError("azure/unreachable", "503")), 3],
  ["the file is another one", async () => ({ bytes: Buffer.from("2026-02-07T09:00:00.1Z else\n"), isWhole: true }), 1],
])("says when more was missed than the tail repeats and %s", async (_why, readFile, tries) => {
  let reads = 0;
  const counted: TailOptions["readFile"] = (path) => {
    reads += 1;
    return readFile?.(path) ?? Promise.reject(new Error("unexpected"));
  };
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
  const onState = (state: TailState) => states.push(state);
  const given = readFile ? { readFile: counted } : {};
  const records = await collect({ open: async () => open(), ...given, clock: pausedClock(), signal: ends.signal, onState });
  expect(states.filter(({ state }) => state === "gap")).toEqual([{ state: "gap", path: APP }]);
  expect(records).toHaveLength(20);
  expect(reads).toBe(tries);
});

test("shows what it has when even the end of the file does not reach back, and says so", async () => {
  const kudu = createFakeKudu();
  const ends = new AbortController();
  const states: TailState[] = [];
  let connections = 0;
  const open = async function* (): AsyncGenerator<Buffer> {
    connections += 1;
    for (let index = 0; index < 50; index += 1) kudu.append(APP, `2026-02-07T09:00:0${connections}.${index + 100}Z ${index}`);
    yield Buffer.from(kudu.greeting());
    if (connections === 2) ends.abort();
  };
  const readFile = async () => ({ bytes: Buffer.from(`${kudu.files.get(APP)?.slice(-30).join("\n")}\n`), isWhole: false });
  const onState = (state: TailState) => states.push(state);
  const records = await collect({ open: async () => open(), readFile, clock: pausedClock(), signal: ends.signal, onState });
  expect(records.slice(10).map(({ message }) => Number(message))).toEqual(Array.from({ length: 30 }, (_, index) => 20 + index));
  expect(states).toContainEqual({ state: "gap", path: APP });
});

test("does not tell the history of a file that turns up later", async () => {
  const kudu = createFakeKudu();
  const ends = new AbortController();
  let connections = 0;
  const open = async function* (): AsyncGenerator<Buffer> {
    connections += 1;
    if (connections === 1) kudu.append("/appsvctmp/volatile/logs/runtime/a.log", "2026-02-07T09:00:00.500Z now");
    else {
      for (let index = 0; index < 40; index += 1) kudu.append(APP, `2026-02-0${index < 20 ? 1 : 7}T10:00:00.${index + 100}Z ${index}`);
    }
    yield Buffer.from(kudu.greeting());
    if (connections > 1) ends.abort();
  };
  const readFile = async (path: string) => ({ bytes: Buffer.from(`${kudu.files.get(path)?.join("\n")}\n`), isWhole: true });
  const records = await collect({ open: async () => open(), readFile, clock: pausedClock(), signal: ends.signal });
  expect(records.map(({ message }) => message)).toEqual(["now", ...Array.from({ length: 20 }, (_, index) => String(20 + index))]);
});

test("follows a file that was renamed as it grew too long", async () => {
  const kudu = createFakeKudu();
  const ends = new AbortController();
  let count = 0;
  const write = (lines: number) => {
    for (const end = count + lines; count < end; count += 1) kudu.append(APP, `2026-02-07T09:00:00.${count + 100}Z ${count}`);
  };
  const open = async function* (): AsyncGenerator<Buffer> {
    const isFirst = count === 0;
    write(30);
    if (!isFirst) {
      kudu.rename(APP, APP.replace(".log", ".1.log"));
      write(25);
    }
    yield Buffer.from(kudu.greeting());
    if (!isFirst) ends.abort();
  };
  const readFile = async (path: string) => ({ bytes: Buffer.from(`${kudu.files.get(path)?.join("\n")}\n`), isWhole: true });
  const records = await collect({ open: async () => open(), readFile, clock: pausedClock(), signal: ends.signal });
  expect(records.map(({ message }) => Number(message))).toEqual(Array.from({ length: 65 }, (_, index) => 20 + index));
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

// trap: kudu 12
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
  kudu.append(stamped("live", 2));
  expect((await next).value).toMatchObject({ message: "live" });
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
