import { pause } from "../../base/cancellation.ts";
import { KnownError } from "../../base/errors.ts";
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
  /** Runs work in one database, over a connection of its own. When that is broken off (a restart, a deadlock), the work is begun anew. */
  in<T>(database: string, work: (session: SqlSession) => Promise<T>): Promise<T>;
  /** Ends with "cancelled" when the run does. */
  pause(milliseconds: number): Promise<void>;
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
  const session: ServerSession = {
    host,
    pause: (milliseconds) => pause(clock, signal, milliseconds),
    note: (text) => onNote?.(text),
    in: (database, work) =>
      firewallAccess.withAccess(server, () =>
        untilUnbroken(session, database, signal, async () => {
          const connection = await connectSql({ host, port, database, user: login, token, environment, signal });
          try {
            return await work(connection);
          } finally {
            await connection.close();
          }
        }).catch((error: unknown) => {
          throw wordedFor(environment, error);
        }),
      ),
  };
  return session;
}

async function untilUnbroken<T>({ pause, note }: ServerSession, database: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (const pauseMs of BROKEN_SESSION_PAUSES_MS) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted || !isBrokenOff(error)) throw error;
      note(`the work in ${database} was broken off, next try in ${pauseMs / 1000} s`);
      await pause(pauseMs);
    }
  }
  return work();
}
