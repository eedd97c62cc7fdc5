import type { Environment } from "./environment.ts";

export interface SqlNotice {
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

/**
 * Opens one connection. Throws `database/firewall` (see `refusedAddress`), `database/login-refused`, `database/unreachable`,
 * `database/denied` or `database/failed` with PostgreSQL's own error as cause.
 */
export async function connectSql(_target: SqlTarget): Promise<SqlSession> {
  throw new Error("not written yet");
}

/** The address Azure saw, when the error is a firewall refusal that names one. */
export function refusedAddress(_error: unknown): string | undefined {
  throw new Error("not written yet");
}

/** `"name"`, for roles, schemas and databases. */
export function quoteIdentifier(_name: string): string {
  throw new Error("not written yet");
}

/** `'text'`, for the few places where a parameter is not possible. */
export function quoteLiteral(_text: string): string {
  throw new Error("not written yet");
}
