import { isIP, isIPv4 } from "node:net";
import type { Client as PgClient } from "pg";
import { cancelled, orCancelled } from "../../base/cancellation.ts";
import { systemClock } from "../../base/clock.ts";
import { type ErrorCode, KnownError } from "../../base/errors.ts";
import { retry, type Trouble } from "../../base/retry.ts";
import { withTimeout } from "../../base/with-timeout.ts";
import type { Environment } from "../environment.ts";
import { withoutSecrets } from "../errors.ts";
import { hints } from "../hints.ts";

interface SqlNotice {
  /** SQLSTATE, `01007`. */
  readonly code: string;
  readonly severity: string;
  readonly message: string;
}

export interface SqlResult {
  readonly rows: readonly Record<string, unknown>[];
  /** Column names in order, for answers that must be read by position. */
  readonly columns: readonly string[];
  /** Notices and warnings raised by this statement. */
  readonly notices: readonly SqlNotice[];
}

export interface SqlSession {
  /** One statement. Throws `database/denied` (42501), `database/failed` and the like with PostgreSQL's error as cause. */
  query(text: string, values?: readonly unknown[]): Promise<SqlResult>;
  close(): Promise<void>;
}

export interface SqlTarget {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Asked once per connection; the answer is sent as the password, over verified TLS only. */
  readonly token: () => Promise<string>;
  readonly environment: Environment;
  readonly signal: AbortSignal;
}

const CONNECT_TIMEOUT_MS = 20_000;
const STATEMENT_TIMEOUT_MS = 120_000;
/** The server ends a statement itself; one that is silent beyond that is gone. */
const SILENCE_MS = STATEMENT_TIMEOUT_MS + 10_000;
/** A goodbye is not waited for longer. */
const CLOSE_MS = 2_000;
/** A server that is starting (57P03, or breaks connections while it restarts) or has no free connection (53300) is asked again for a while. */
const NOT_YET = new Set(["57P03", "53300", "ECONNRESET"]);
const NOT_YET_PAUSES_MS = [500, 1_000, 2_000, 4_000, 8_000, 8_000];

/** pg's own error for a connection that ended in the middle of the login has no code at all. */
const isNotYet = (error: unknown): boolean =>
  error instanceof Error && !isWithoutTls(error) && NOT_YET.has((error as SqlError).code ?? "ECONNRESET");

interface SqlError extends Error {
  readonly code?: string;
  readonly severity?: string;
  readonly detail?: string;
  readonly hint?: string;
}

const unreachableHints: Readonly<Record<string, string>> = {
  ENOTFOUND: hints.databaseUnknown,
  EAI_AGAIN: hints.noResolver,
  ECONNREFUSED: hints.databaseStopped,
  ETIMEDOUT: hints.databaseSilent,
};

const stateAdvice: Readonly<Record<string, { readonly code: ErrorCode; readonly hint?: string }>> = {
  "28P01": {
    code: "database/login-refused",
    hint: "the role must exist as an Entra principal and the token must belong to it: check the server's Entra administrators",
  },
  "28000": { code: "database/login-refused", hint: "the token does not fit the role: check kind (user or service), tenant and audience" },
  "3D000": { code: "database/failed", hint: "create the database first: `passwordless-pg init`" },
  "25006": {
    code: "database/denied",
    hint: "the server is full (read-only until it has storage), or somebody set read-only: `passwordless-pg doctor` shows which",
  },
  "42501": { code: "database/denied", hint: "sign in as an Entra administrator of the server, or as the owner of the object" },
  "53300": { code: "database/unreachable", hint: "all connections are in use: give the apps smaller pools, or the server a larger SKU" },
  "57P01": { code: "database/unreachable", hint: "the server restarts or ended the session: run the same command again in a minute" },
  "57P02": { code: "database/unreachable", hint: "the server restarts after a crash: run the same command again in a minute" },
  "57P03": { code: "database/unreachable", hint: "the server is starting: run the command again in a minute" },
  "40001": { code: "azure/busy", hint: "another session changed the same things: run the same command again" },
  "40P01": { code: "azure/busy", hint: "another session changed the same things: run the same command again" },
  "55P03": { code: "azure/busy", hint: "another session holds a lock on it: run the same command again when it has ended" },
};

const FIREWALL = /no pg_hba\.conf entry for host "([^"]+)"/;
const TLS_CODE = /^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|EPROTO)/;

/** pg's own error after `query_timeout`; it has no code. */
const isSilence = (error: unknown): boolean => error instanceof Error && error.message === "Query read timeout";

/** The same for a server that answers the request for TLS with no. */
const isWithoutTls = (error: unknown): boolean => error instanceof Error && error.message === "The server does not support SSL connections";

/** PostgreSQL's error without what could carry values or tokens (position, query, connection options). */
function causeOf(error: SqlError): Error {
  const state = error.code === undefined ? "" : `${error.code}: `;
  const detail = error.detail ? ` (${error.detail})` : "";
  return Object.assign(new Error(withoutSecrets(`${state}${error.message}${detail}`)), { name: "PostgresError", code: error.code });
}

function translateSql(what: string, error: unknown): KnownError {
  if (error instanceof KnownError) return error;
  const sql = (error instanceof Error ? error : new Error(String(error))) as SqlError;
  const cause = causeOf(sql);
  const state = sql.code ?? "";
  // 28000 is also the state of refused tokens: only the words tell a firewall refusal apart (PostgreSQL notes, login failures).
  if (state === "28000" && FIREWALL.test(sql.message)) {
    return new KnownError("database/firewall", `cannot ${what}: the server's firewall does not let this machine in`, {
      hint: "add a firewall rule for the address in the cause: `az postgres flexible-server firewall-rule create`",
      cause,
    });
  }
  const advice = stateAdvice[state];
  if (advice) return new KnownError(advice.code, `cannot ${what}`, { hint: advice.hint, cause });
  if (isSilence(sql)) {
    const cause = Object.assign(new Error(`no answer within ${SILENCE_MS / 1000} s`), { code: "ETIMEDOUT" });
    return new KnownError("database/unreachable", `cannot ${what}`, {
      hint: "the server is silent: run the same command again to go on",
      cause,
    });
  }
  if (TLS_CODE.test(state) || isWithoutTls(sql)) {
    return new KnownError("database/unreachable", `cannot ${what}: TLS failed`, { hint: hints.databaseTls, cause });
  }
  if (/^E[A-Z_]+$/.test(state)) {
    const hint = unreachableHints[state] ?? "the connection broke: run the same command again to go on";
    return new KnownError("database/unreachable", `cannot ${what}`, { hint, cause });
  }
  // Only PostgreSQL's own errors have a severity; the rest are broken connections.
  return sql.severity === undefined
    ? new KnownError("database/unreachable", `cannot ${what}`, { hint: "the connection broke: run the same command again to go on", cause })
    : new KnownError("database/failed", `cannot ${what}`, {
        hint: "the cause is PostgreSQL's own error; `passwordless-pg verify` shows the state",
        cause,
      });
}

/** The IPv4 address Azure saw, when the error is a firewall refusal that names one. Never 0.0.0.0, which as a rule means all of Azure. */
export function refusedAddress(error: unknown): string | undefined {
  if (!(error instanceof KnownError) || error.code !== "database/firewall" || !(error.cause instanceof Error)) return undefined;
  const address = FIREWALL.exec(error.cause.message)?.[1] ?? "";
  return isIPv4(address) && address !== "0.0.0.0" ? address : undefined;
}

/** Did nothing answer at all? So it is where a firewall drops what it does not let in. */
export function isUnanswered(error: unknown): boolean {
  return error instanceof KnownError && error.code === "database/unreachable" && sqlStateOf(error) === "ETIMEDOUT";
}

/** SQLSTATE of the PostgreSQL error behind an error of this folder. */
export function sqlStateOf(error: unknown): string | undefined {
  const cause = error instanceof KnownError ? error.cause : undefined;
  return cause instanceof Error ? (cause as SqlError).code : undefined;
}

/**
 * What a session starts with. An app that may create in schema public can put functions and operators there that fit a call better than
 * PostgreSQL's own, and these would run with the rights of whoever calls: an administrator. What a session starts with wins over
 * `ALTER ROLE … SET` and `ALTER DATABASE … SET` (PostgreSQL documentation, "Setting Parameters"; the weakness is CVE-2018-1058).
 */
const SAFE_SEARCH_PATH = "-c search_path=pg_catalog";

/** pg takes what is not said from PGREPLICATION and PGSSLNEGOTIATION; its types know neither. */
const settledAgainstEnvironment = { replication: "false", sslnegotiation: "postgres" } as const;

async function newClient(target: SqlTarget): Promise<PgClient> {
  const { default: pg } = await import("pg");
  const { host, port, database, user, token, environment } = target;
  return new pg.Client({
    host,
    port,
    database,
    user,
    // A function: asked only when the server asks for the password, which it does after TLS.
    password: token,
    application_name: "passwordless-pg",
    options: SAFE_SEARCH_PATH,
    ...settledAgainstEnvironment,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: SILENCE_MS,
    ssl: {
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
      // For an address literal pg sets no servername: without `host` Node would check the certificate against "localhost".
      ...(isIP(host) === 0 ? { servername: host } : { host }),
      ...(environment.caPem && { ca: environment.caPem }),
    },
  });
}

/** Connects or fails within the time limit, and leaves no socket behind when it fails. */
async function connectOnce(target: SqlTarget): Promise<PgClient> {
  const client = await newClient(target);
  // An idle connection that breaks emits `error`; the next query reports it.
  client.on("error", () => {});
  const late = (): never => {
    throw Object.assign(new Error(`no answer within ${CONNECT_TIMEOUT_MS / 1000} s`), { code: "ETIMEDOUT" });
  };
  try {
    await orCancelled(target.signal, withTimeout(client.connect(), CONNECT_TIMEOUT_MS, late));
    return client;
  } catch (error) {
    cutOff(client);
    throw error;
  }
}

/** Ends the connection without a goodbye: a peer that never answers would be waited for, and the process lives as long as its sockets. */
function cutOff(client: PgClient): void {
  const { connection } = client as unknown as { readonly connection?: { readonly stream?: { destroy(): void } } };
  connection?.stream?.destroy();
}

/** Says goodbye; whoever does not hang up soon is cut off. */
async function close(client: PgClient): Promise<void> {
  // A connection that broke already cannot say goodbye: nothing to report, nothing to give back.
  const goodbye = client.end().catch(() => {});
  await withTimeout(goodbye, CLOSE_MS, () => cutOff(client));
}

/**
 * Opens one connection, waiting a little for a server that is starting. Throws `database/firewall` (see `refusedAddress`),
 * `database/login-refused`, `database/unreachable`, `database/denied` or `database/failed` with PostgreSQL's own error as cause.
 */
export async function connectSql(target: SqlTarget): Promise<SqlSession> {
  const what = `connect to ${target.database} on ${target.host} as ${target.user}`;
  const pauseMs = ({ error, tries }: Trouble): number | undefined => (isNotYet(error) ? NOT_YET_PAUSES_MS[tries - 1] : undefined);
  try {
    return await retry(async () => openSession(target, await connectOnce(target)), { clock: systemClock, signal: target.signal, pauseMs });
  } catch (error) {
    throw target.signal.aborted ? cancelled(target.signal) : translateSql(what, error);
  }
}

function openSession(target: SqlTarget, client: PgClient): SqlSession {
  let notices: SqlNotice[] = [];
  client.on("notice", ({ code, severity, message }) => {
    notices.push({ code: code ?? "", severity: severity ?? "", message: message ?? "" });
  });
  return {
    query: async (text, values = []) => {
      notices = [];
      try {
        const result = await orCancelled(target.signal, client.query<Record<string, unknown>>(text, [...values]));
        return { rows: result.rows, columns: result.fields.map(({ name }) => name), notices };
      } catch (error) {
        // Whatever came later would be taken for the answer to another statement.
        if (target.signal.aborted || isSilence(error)) cutOff(client);
        throw translateSql(`run SQL in ${target.database} on ${target.host}`, error);
      }
    },
    close: () => close(client),
  };
}

/** `"name"`, for roles, schemas and databases. Throws on a zero byte, which no identifier may hold. */
export function quoteIdentifier(name: string): string {
  return `"${withoutZero(name).replaceAll('"', '""')}"`;
}

/** The same for statements that a person reads and copies: control and direction characters are written as escapes (`U&"\+00001b"`). */
export function printableIdentifier(name: string): string {
  const quoted = quoteIdentifier(name);
  const hidden = /[\p{C}\u2028\u2029]/gu;
  if (!hidden.test(quoted)) return quoted;
  const escaped = (sign: string): string => `\\+${(sign.codePointAt(0) ?? 0).toString(16).padStart(6, "0")}`;
  return `U&${quoted.replaceAll("\\", "\\\\").replace(hidden, escaped)}`;
}

/** `'text'`, for the few places where a parameter is not possible; an escape string when it holds a backslash. */
export function quoteLiteral(text: string): string {
  const doubled = withoutZero(text).replaceAll("'", "''");
  return doubled.includes("\\") ? `E'${doubled.replaceAll("\\", "\\\\")}'` : `'${doubled}'`;
}

function withoutZero(text: string): string {
  if (text.includes("\0")) throw new KnownError("database/failed", "a name or text for SQL holds a zero byte");
  return text;
}
