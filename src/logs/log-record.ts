/** Ascending. */
export const logLevels = ["debug", "info", "warning", "error", "critical"] as const;
export type LogLevel = (typeof logLevels)[number];

/** One thing that an app or its platform said; a traceback is one record with several lines in `message`. */
export interface LogRecord {
  /** ISO 8601 in UTC, as precise as the source: the stamp of the line, else of the app's JSON, else the time of arrival. */
  readonly time: string;
  readonly app: string;
  /** Machine name from the file name; live lines do not tell. */
  readonly instance?: string;
  /** `app`: stdout and stderr of the process. `platform`: what App Service says about the container. `auth`: its sign-in module. */
  readonly source: "app" | "platform" | "auth";
  readonly level?: LogLevel;
  readonly message: string;
  /** What a structured line holds beside time, level and message. */
  readonly fields?: Readonly<Record<string, unknown>>;
}

const NAMES: Readonly<Record<string, LogLevel>> = {
  trace: "debug",
  debug: "debug",
  info: "info",
  information: "info",
  notice: "info",
  warn: "warning",
  warning: "warning",
  err: "error",
  error: "error",
  severe: "error",
  critical: "critical",
  crit: "critical",
  alert: "critical",
  emergency: "critical",
  fatal: "critical",
};

/** A level by any of its usual names, or by pino's numbers; `undefined` for anything else. */
export function levelNamed(name: unknown): LogLevel | undefined {
  if (typeof name === "number")
    return name >= 60 ? "critical" : name >= 50 ? "error" : name >= 40 ? "warning" : name >= 30 ? "info" : "debug";
  const key = typeof name === "string" ? name.toLowerCase() : "";
  return Object.hasOwn(NAMES, key) ? NAMES[key] : undefined;
}

const WORD = "TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL";
const PATTERNS: readonly RegExp[] = [
  // gunicorn: [2026-02-07 09:12:31 +0000] [1901] [INFO] Booting worker
  /^\[[^\]]{10,40}\] \[\d+\] \[(\w+)\]/,
  // uvicorn `INFO:     Started`, Python `WARNING:root:text`, JavaScript `Error: text`, platform `ERROR - text`, `[warn] text`
  new RegExp(`^\\[?(${WORD})(?:\\]|:|\\s+-\\s)`, "i"),
  new RegExp(`^(${WORD})\\s`),
  // Python logging: 2026-02-07 09:12:31,412 - shop.orders - ERROR - text; or with the level first
  new RegExp(`^\\d{4}-\\d\\d-\\d\\d[ T][\\d:.,+Z]+ (?:- )?(?:\\S+ - )?\\[?(${WORD})\\b`),
  /^npm (ERR|error|warn|notice)\b/i,
];
const FAILURE = /^(?:Traceback \(most recent call last\):|(?:[\w$]+\.)*[A-Z]\w*(?:Error|Exception)\b(?::|$)|Unhandled|Uncaught|panic: )/;
const PLATFORM_FAILURE =
  /exit code: [1-9]|terminated during site startup|ContainerTimeout|^Failed to |startup probe failed|didn't respond to HTTP pings/;

/** The level that the first line of a plain record gives away. */
export function detectLevel(line: string, source: LogRecord["source"]): LogLevel | undefined {
  for (const pattern of PATTERNS) {
    const level = levelNamed(pattern.exec(line)?.[1]);
    if (level) return level;
  }
  if (FAILURE.test(line) || (source === "platform" && PLATFORM_FAILURE.test(line))) return "error";
  return undefined;
}
