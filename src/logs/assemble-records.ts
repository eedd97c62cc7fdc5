import { isDeeperThan } from "../base/json.ts";
import { detectLevel, type LogLevel, type LogRecord, levelNamed } from "./log-record.ts";

/** Where a line comes from. */
export interface Origin {
  /** A log file, for a line of a tail; live lines do not tell theirs. */
  readonly path?: string;
}

/** Makes records of lines: stamps, levels, JSON, and tracebacks kept together. */
export interface RecordAssembler {
  /** The records that this line completes. The last record of each origin is held, since it may go on. */
  push(line: string, origin: Origin): readonly LogRecord[];
  /** The held records that began before `untilMs` (all of them by default): nobody should wait for what may never come. */
  flush(untilMs?: number): readonly LogRecord[];
  readonly isHolding: boolean;
}

interface Held {
  readonly time: string;
  readonly source: LogRecord["source"];
  readonly instance: string | undefined;
  readonly lines: string[];
  readonly sinceMs: number;
  characters: number;
  level: LogLevel | undefined;
  shape: Shape;
}

/** `traceback`: its last line, the exception, is still to come. `excerpt`: Node's source excerpt, ditto. `finished`: it had it. */
type Shape = "plain" | "traceback" | "excerpt" | "finished";

const MAX_CHARACTERS = 256 * 1024;
/** Of a structured line. Deeper ones could not be written again by JSON.stringify. */
const MAX_DEPTH = 100;
const STAMP = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z)(?: |$)/;
const TRACEBACK = /^Traceback \(most recent call last\):/;
const CHAIN = /^(?:During handling of the above exception|The above exception was the direct cause)/;
const CLOSING = /^[}\]]+[,;)]*$/;
const CARET = /^\s*[\^~]+\s*$/;
/** Live lines of App Service's own log, of 2026 and older: azure docs and recorded labs; a full list is not published. */
const PLATFORM =
  /^(?:INFO {2}- |ERROR - (?:Container|Site|Image) |Container (?:start method|is |has finished|\S+ (?:didn't|for site))|Pulling image|Site(?: container)?:? (?:started|is running|startup probe|container|\S+ terminated)|State: \w+, Action|Failed to start site|Starting container for site|Initiating warmup|Stopping site)/;

export function createRecordAssembler(app: string, nowMs: () => number): RecordAssembler {
  const held = new Map<string, Held>();
  /** What the next line of an origin continues after its record was flushed. */
  const before = new Map<string, Pick<Held, "level" | "shape">>();

  const finish = (key: string, record: Held): LogRecord => {
    held.delete(key);
    before.set(key, { level: record.level, shape: record.shape });
    const { time, source, instance, level, lines } = record;
    return { time, app, ...(instance ? { instance } : {}), source, ...(level ? { level } : {}), message: lines.join("\n") };
  };

  return {
    push: (line, { path }) => {
      const stamp = STAMP.exec(line);
      const text = stamp ? line.slice(stamp[0].length) : line;
      if (text.trim() === "") return [];
      const source = path === undefined ? (PLATFORM.test(text) ? "platform" : "app") : sourceOf(path);
      const key = path ?? source;
      const present = held.get(key);
      const structured = readStructured(text);
      if (!structured && present && extend(present, text)) return present.characters > MAX_CHARACTERS ? [finish(key, present)] : [];
      const done = present ? [finish(key, present)] : [];
      const time = stamp?.[1] ?? new Date(nowMs()).toISOString();
      const instance = path && instanceOf(path);
      if (structured) {
        before.delete(key);
        return [...done, { app, source, ...(instance ? { instance } : {}), ...structured, time: stamp?.[1] ?? structured.time ?? time }];
      }
      held.set(key, begin({ time, source, instance, sinceMs: nowMs(), text, former: before.get(key) }));
      before.delete(key);
      return done;
    },
    flush: (untilMs = Number.POSITIVE_INFINITY) =>
      [...held].filter(([, record]) => record.sinceMs <= untilMs).map(([key, record]) => finish(key, record)),
    get isHolding() {
      return held.size > 0;
    },
  };
}

interface Beginning extends Pick<Held, "time" | "source" | "instance" | "sinceMs"> {
  readonly text: string;
  readonly former: Pick<Held, "level" | "shape"> | undefined;
}

function begin({ text, former, time, source, instance, sinceMs }: Beginning): Held {
  const level = detectLevel(text, source);
  // Spelled out: with object rest and spread here the whole tail took twice the time.
  const record: Held = { time, source, instance, sinceMs, lines: [text], characters: text.length, level, shape: shapeOf(text) };
  // The rest of a record that was flushed in its middle.
  if (former && isIndented(text)) Object.assign(record, former);
  else if (former && isUnfinished(former.shape) && (record.level ?? "error") === "error")
    Object.assign(record, { level: former.level, shape: "finished" });
  return record;
}

/** Adds a line that belongs to the record; false when it begins another. */
function extend(record: Held, text: string): boolean {
  const isException = isUnfinished(record.shape) && !isIndented(text) && !TRACEBACK.test(text) && !CHAIN.test(text);
  if (TRACEBACK.test(text)) {
    if (record.shape === "plain" && record.level !== "error" && record.level !== "critical") return false;
    record.shape = "traceback";
  } else if (CHAIN.test(text)) {
    if (record.shape === "plain") return false;
  } else if (isException) {
    record.shape = "finished";
    record.level ??= "error";
  } else if (CARET.test(text) && record.shape === "plain") record.shape = "excerpt";
  else if (!isIndented(text) && !(CLOSING.test(text) && isIndented(record.lines.at(-1) ?? ""))) return false;
  record.lines.push(text);
  record.characters += text.length;
  return true;
}

const isIndented = (text: string): boolean => text.startsWith(" ") || text.startsWith("\t");
const isUnfinished = (shape: Shape): boolean => shape === "traceback" || shape === "excerpt";
const shapeOf = (text: string): Shape => (TRACEBACK.test(text) ? "traceback" : "plain");

/** `…_default_docker.log` is the app, `…_docker.log` the platform, `…_easyauth_docker.log` its sign-in. */
function sourceOf(path: string): LogRecord["source"] {
  if (/_easyauth_docker(?:\.\d+)?\.log$/.test(path)) return "auth";
  return /(?<!_default)_docker(?:\.\d+)?\.log$/.test(path) ? "platform" : "app";
}

/** `2026_02_07_lw1sdlwk0006AB_default_docker.log` */
function instanceOf(path: string): string | undefined {
  return /\/\d{4}_\d\d_\d\d_([^/]+?)_(?:default_|easyauth_)?docker(?:\.\d+)?\.log$/.exec(path)?.[1];
}

type Structured = Pick<LogRecord, "level" | "message" | "fields"> & { readonly time?: string };

/** A line that is a JSON object with a message; whatever else it holds becomes `fields`, an exception the end of the message. */
function readStructured(text: string): Structured | undefined {
  if (!text.startsWith("{") || !text.endsWith("}")) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (text.length > 2 * MAX_DEPTH && isDeeperThan(value, MAX_DEPTH)) return undefined; // kept as the text it is
  const entries = new Map(Object.entries(value as Record<string, unknown>));
  const take = (...names: readonly string[]): unknown => {
    const name = names.find((one) => entries.has(one));
    if (name === undefined) return undefined;
    const found = entries.get(name);
    entries.delete(name);
    return found;
  };
  const message = take("message", "msg", "event");
  if (typeof message !== "string") return undefined;
  const level = levelNamed(take("level", "severity", "levelname", "lvl"));
  const time = readTime(take("time", "timestamp", "@timestamp", "ts"));
  const exception = take("exception", "exc_info", "stack", "traceback");
  const fields = Object.fromEntries(entries);
  return {
    message: typeof exception === "string" && exception !== "" ? `${message}\n${exception}` : message,
    ...(level ? { level } : {}),
    ...(time ? { time } : {}),
    ...(entries.size > 0 ? { fields } : {}),
  };
}

function readTime(value: unknown): string | undefined {
  if (typeof value !== "string" && typeof value !== "number") return undefined;
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}
