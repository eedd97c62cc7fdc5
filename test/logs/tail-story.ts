import fc from "fast-check";
import type { Clock } from "../../src/base/clock.ts";
import { KnownError } from "../../src/base/errors.ts";
import type { LogRecord } from "../../src/logs/log-record.ts";
import { type TailState, tailLogs } from "../../src/logs/tail-logs.ts";
import { createKuduModel, type KuduModel } from "./kudu-model.ts";

const FOLDER = "/home/LogFiles";
/** Two instances with an app's and a platform's file each, and one file without stamps. */
export const FILES = ["m1_default_docker", "m2_default_docker", "m1_docker", "application"] as const;
export type File = (typeof FILES)[number];

/** Waits for a reconnect end at once, waits for more lines never. */
function pausedClock(): Clock {
  let now = Date.parse("2026-02-07T10:00:00Z");
  return {
    now: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason));
        if (ms === 40 || ms === 130_000) return;
        now += ms;
        setImmediate(resolve);
      }),
  };
}

const text = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom("tick", "tock") },
  {
    weight: 3,
    arbitrary: fc.constantFrom("naïve 🫖", "naive ? ?", "why?", "10%\r20%\r30%", "", "   ", "{}"),
  },
  { weight: 1, arbitrary: fc.constantFrom("long é1", "long x") },
  { weight: 2, arbitrary: fc.nat({ max: 99 }).map(String) },
);
/** Longer than what lines are compared by; kept short in a counterexample. */
const spelled = (one: string): string => one.replace(/^long (.*)$/, (_, part: string) => part.repeat(2_100));
export interface Write {
  readonly kind: "write";
  readonly file: File;
  readonly texts: readonly string[];
  /** How far the stamps go on with it. */
  readonly step: number;
}

/** One write of a process: some lines, in one stamp or in stamps that grow, or are set back. */
const write: fc.Arbitrary<Write> = fc.record({
  kind: fc.constant("write" as const),
  file: fc.constantFrom(...FILES),
  texts: fc.oneof(
    { weight: 4, arbitrary: fc.array(text, { minLength: 1, maxLength: 4 }) },
    // A loop that says the same.
    { weight: 1, arbitrary: fc.tuple(text, fc.integer({ min: 5, max: 40 })).map(([one, times]) => Array<string>(times).fill(one)) },
  ),
  step: fc.constantFrom(0, 0, 1, 1, 1, 7, -3),
});

type Happening = Write | { readonly kind: "rotate"; readonly file: File } | { readonly kind: "midnight" };

const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 8, arbitrary: write },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rotate" as const), file: fc.constantFrom(...FILES) }) },
  { weight: 1, arbitrary: fc.constant({ kind: "midnight" as const }) },
);
/** What happens while connected, how much of it still arrives, and what happens until the next connection. */
const connection = fc.record({
  /** Written after Kudu noted the files' ends and before it read their tails: said twice. Words of their own, as real stamps would make them. */
  raced: fc.oneof(
    { weight: 3, arbitrary: fc.constant<readonly File[]>([]) },
    { weight: 1, arbitrary: fc.array(fc.constantFrom(...FILES.filter((file) => file !== "application")), { maxLength: 3 }) },
  ),
  live: fc.array(write, { maxLength: 8 }),
  turn: fc.nat({ max: 3 }),
  /** Of the whole stream; the rest is lost with the connection. */
  delivered: fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
  away: fc.array(happening, { maxLength: 8 }),
  /**
   * The app goes on while its file is read, with words of its own: among ten equal lines nobody could say which of them the tail meant
   * (then the last are taken).
   */
  meanwhile: fc.option(
    fc.record({
      kind: fc.constant("write" as const),
      file: fc.constantFrom(...FILES),
      texts: fc.constant<readonly string[]>(["meanwhile"]),
      step: fc.constant<number>(1),
    }),
    { nil: undefined },
  ),
});
/** A site's life over some connections. */
export const story = fc.record({
  before: fc.array(write, { maxLength: 10 }),
  connections: fc.array(connection, { minLength: 1, maxLength: 6 }),
  chunk: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constant(100_000)),
  /** Each line tells its file: then the order in a file is known too. */
  isTagged: fc.boolean(),
});
export type Story = typeof story extends fc.Arbitrary<infer T> ? T : never;

/** Writes as the processes do, and remembers every line. */
function createSite(isTagged: boolean) {
  const kudu = createKuduModel();
  const written: string[] = [];
  let day = 7;
  let tick = 500;
  let rotations = 0;
  const pathOf = (file: File): string => (file === "application" ? `${FOLDER}/application.log` : `${FOLDER}/2026_02_0${day}_${file}.log`);
  return {
    kudu,
    written,
    write: ({ file, texts, step }: Write): void => {
      tick = Math.max(0, tick + step);
      const stamp = file === "application" ? "" : `2026-02-0${day}T09:12:31.${String(tick).padStart(9, "0")}Z `;
      const lines = texts.map(spelled).map((one) => `${stamp}${isTagged && one.trim() !== "" ? `${file} ${one}` : one}`);
      written.push(...lines.flatMap((line) => line.split("\r")));
      kudu.write(pathOf(file), lines.map((line) => `${line}\n`).join(""));
    },
    rotate: (file: File): void => {
      const path = pathOf(file);
      rotations += 1;
      if (kudu.paths().includes(path)) kudu.rename(path, path.replace(".log", `.${rotations}.log`));
    },
    midnight: (): void => {
      day = Math.min(9, day + 1);
    },
  };
}

/** A line as it can be compared: letters outside ASCII may have been lost, and a line without a stamp has none. */
const plain = (line: string): string =>
  line
    .replace(/^\d{4}-\S+Z(?: |$)/, "")
    .replace(/[^\x20-\x3e\x40-\x7e]+/g, "?")
    .trimEnd()
    .replace(/^(.{40}).{2000,}(.{20})$/, "$1…$2");
const stampOf = (line: string): string => /^\d{4}-\S+Z/.exec(line)?.[0] ?? "";
const keyOf = (line: string): string => `${stampOf(line)} ${plain(line)}`;

/** Plays a story: what the tail shows, and what it should. */
export async function follow(told: Story) {
  const { before, connections, chunk, isTagged } = told;
  const site = createSite(isTagged);
  for (const one of before) site.write(one);
  let first: readonly string[] = [];
  let from = 0;
  const ends = new AbortController();
  const states: TailState[] = [];
  let number = 0;
  const cut = function* (bytes: Buffer) {
    const size = Math.max(chunk, Math.ceil(bytes.length / 60));
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  };
  const open = async function* (): AsyncGenerator<Buffer> {
    const present = connections[number];
    number += 1;
    const greeting = site.kudu.greeting(() => {
      for (const file of present?.raced ?? [])
        site.write({ kind: "write", file, texts: [`raced ${number} ${site.written.length}\r20%`, ""], step: 1 });
      // What the first connection shows is where the story begins.
      if (number === 1) [first, from] = [tailsOf(site.kudu), site.written.length];
    });
    if (!present) {
      // The last one comes whole, with all that is still written while files are read.
      yield* cut(greeting);
      yield* cut(site.kudu.live());
      ends.abort();
      yield Buffer.from("\n");
      return;
    }
    // The first connection's tails arrive. Later ones may break off in their tails.
    const { delivered } = present;
    if (number > 1 && delivered < 0.2) yield* cut(greeting.subarray(0, Math.round(5 * delivered * greeting.length)));
    else {
      yield* cut(greeting);
      const parts: Buffer[] = [];
      for (const one of present.live) {
        site.write(one);
        parts.push(site.kudu.live(present.turn));
      }
      const live = Buffer.concat(parts);
      yield* cut(live.subarray(0, Math.round(Math.max(0, (delivered - 0.2) / 0.8) * live.length)));
    }
    for (const one of present.away) {
      if (one.kind === "write") site.write(one);
      else if (one.kind === "rotate") site.rotate(one.file);
      else site.midnight();
    }
  };
  const readFile = async (path: string) => {
    const meanwhile = connections[number - 1]?.meanwhile;
    if (meanwhile) site.write({ ...meanwhile, texts: [`meanwhile ${site.written.length}`] });
    if (!site.kudu.paths().includes(path)) throw new KnownError("azure/not-found", "404");
    return site.kudu.read(path, 1e9);
  };
  const records: LogRecord[] = [];
  for await (const record of tailLogs({
    app: "api",
    open: async () => open(),
    readFile,
    clock: pausedClock(),
    signal: ends.signal,
    onState: (state) => states.push(state),
  }))
    records.push(record);
  const shown = records.flatMap(({ time, message }) =>
    message.split("\n").map((line) => `${time.startsWith("2026-02-07T10:") ? "" : time} ${plain(line)}`),
  );
  const expected = [...first, ...site.written.slice(from)].filter((line) => plain(line).trim() !== "").map(keyOf);
  return { shown, expected, gaps: states.filter(({ state }) => state === "gap") };
}

/** What the first connection shows. */
function tailsOf(kudu: KuduModel): string[] {
  return kudu.paths().flatMap((path) =>
    kudu
      .read(path, 1e9)
      .bytes.toString("utf8")
      .split(/\r\n|\r|\n/)
      .slice(0, -1)
      .slice(-10),
  );
}
