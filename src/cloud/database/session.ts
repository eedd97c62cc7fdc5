import type { Clock } from "../../base/clock.ts";
import { KnownError } from "../../base/errors.ts";
import { retry } from "../../base/retry.ts";
import type { CloudContext } from "../connection.ts";
import { accessToken } from "../credential.ts";
import type { FirewallAccess } from "../firewall-access.ts";
import { wordedFor } from "../hints.ts";
import { connectSql, type SqlSession, sqlStateOf } from "./sql.ts";

/** A flexible server, as far as signing in to it goes. */
export interface DatabaseServer {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly publicNetworkAccess?: boolean;
}

/** One server, under one login, through its firewall. */
export interface ServerSession {
  readonly host: string;
  /** For waits within the work. */
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Runs work in one database, over a connection of its own. When that is broken off (a restart, a deadlock), the work is begun anew. */
  in<T>(database: string, work: (session: SqlSession) => Promise<T>): Promise<T>;
  /** Tells what a person should know of what was done, or why a wait goes on. */
  note(text: string): void;
}

export type SessionContext = Pick<CloudContext, "environment" | "credential" | "signal" | "clock" | "onNote">;

const BROKEN_SESSION_PAUSES_MS = [500, 3_000];

/** Not after silence: it has been waited for long enough. */
const isBrokenOff = (error: unknown): boolean =>
  error instanceof KnownError &&
  (error.code === "database/unreachable" || error.code === "azure/busy") &&
  sqlStateOf(error) !== "ETIMEDOUT";

/** `login` is the role name of the administrator who signs in; a token is asked for each connection. */
export function openServerSession(
  context: SessionContext,
  firewallAccess: Pick<FirewallAccess, "withAccess">,
  server: DatabaseServer,
  login: string,
): ServerSession {
  const { environment, credential, signal, clock, onNote } = context;
  const { host, port } = server;
  const token = async () => (await accessToken(credential, environment.scopes.postgres, signal)).token;
  const connected = async <T>(database: string, work: (session: SqlSession) => Promise<T>): Promise<T> => {
    const session = await connectSql({ host, port, database, user: login, token, environment, signal });
    try {
      return await work(session);
    } finally {
      await session.close();
    }
  };
  const pauseMs = (database: string, error: unknown, tries: number): number | undefined => {
    const ms = isBrokenOff(error) ? BROKEN_SESSION_PAUSES_MS[tries - 1] : undefined;
    if (ms !== undefined) onNote?.(`the work in ${database} was broken off, next try in ${ms / 1000} s`);
    return ms;
  };
  const untilUnbroken = <T>(database: string, work: (session: SqlSession) => Promise<T>): Promise<T> => {
    let hasBegun = false;
    const attempt = (): Promise<T> => {
      hasBegun = false;
      return connected(database, (session) => {
        hasBegun = true;
        return work(session);
      });
    };
    // A connection that was never made is no work broken off: `connectSql` has waited for it already.
    return retry(attempt, { clock, signal, pauseMs: ({ error, tries }) => (hasBegun ? pauseMs(database, error, tries) : undefined) });
  };
  return {
    host,
    clock,
    signal,
    note: (text) => onNote?.(text),
    in: (database, work) =>
      firewallAccess.withAccess(server, () =>
        untilUnbroken(database, work).catch((error: unknown) => {
          throw wordedFor(environment, error);
        }),
      ),
  };
}
