import type { ChildProcess } from "node:child_process";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { KnownError } from "../../../base/errors.ts";
import { keepLogShort, turnLogOver } from "../bounded-log.ts";
import { type AdminConnection, createAdminConnection } from "./admin-connection.ts";
import { endPostgres } from "./postmaster.ts";
import type { PostgresRuntime } from "./runtime.ts";
import { endLeftover, prepareServerFolder, shortFolder } from "./server-folder.ts";

/** One PostgreSQL server process under supervision: it is started again when it falls. */
export interface PostgresMachine extends Pick<AdminConnection, "administer" | "query"> {
  /** The Unix socket that only the gateway uses; short enough for a socket address. */
  socketPath(): string;
  isReady(): boolean;
  /**
   * Ends what a dead daemon left behind, starts, and resolves when a query has been answered. Creates the data folder when it is absent, unless it has to
   * be there. Throws KnownError `local/failed`, and nothing of it runs then.
   */
  start(how?: { readonly mustHaveData: boolean }): Promise<void>;
  /** Fast shutdown: sessions are ended, everything committed is kept. */
  stop(): Promise<void>;
}

/** Less than a starting daemon is waited for (`local.ts`), which must still be able to tell. */
const READY_WITHIN_MS = 45_000;
/** Ends by itself, one after the other, after which whoever waits for the start is told. */
const HOPELESS_AFTER = 3;

interface Server {
  readonly runtime: PostgresRuntime;
  readonly folder: string;
  readonly settings: () => Readonly<Record<string, string>>;
  readonly log: (line: string) => void;
  readonly admin: AdminConnection;
  child: ChildProcess | undefined;
  isWanted: boolean;
  isReady: boolean;
  /** Ends by itself since the last time it was ready. */
  restarts: number;
  endLogWatch: (() => void) | undefined;
}

/**
 * A server in `folder` (`data`, `run`, `server.log`). `settings` are asked at each start and written to `postgresql.conf`; `ALTER SYSTEM` wins over them.
 *
 * The gateway reaches it through a Unix socket in a 0700 folder: no port to guess, no password to keep, faster than TCP, and whoever can open it
 * (same account or root) could read the data files as well.
 */
export function createPostgresMachine(
  runtime: PostgresRuntime,
  folder: string,
  settings: () => Readonly<Record<string, string>>,
  log: (line: string) => void,
): PostgresMachine {
  let socketFolder: string | undefined;
  const socketHost = (): string => {
    socketFolder ??= shortFolder(join(folder, "run"));
    return socketFolder;
  };
  const admin = createAdminConnection(runtime.binaries.major, socketHost);
  const server: Server = {
    ...{ runtime, folder, settings, log, admin },
    child: undefined,
    isWanted: false,
    isReady: false,
    restarts: 0,
    endLogWatch: undefined,
  };
  return {
    socketPath: () => join(socketHost(), ".s.PGSQL.5432"),
    isReady: () => server.isReady,
    administer: admin.administer,
    query: admin.query,
    start: (how) => start(server, how?.mustHaveData ?? false),
    stop: () => stop(server),
  };
}

async function start(server: Server, mustHaveData: boolean): Promise<void> {
  const { runtime, folder, settings, log } = server;
  if (server.child) return waitUntilReady(server);
  server.isWanted = true;
  server.restarts = 0;
  try {
    await endLeftover(join(folder, "data"), log);
    await prepareServerFolder(runtime, folder, settings(), mustHaveData);
    await launch(server);
    await waitUntilReady(server);
  } catch (error) {
    await stop(server);
    throw error;
  }
}

async function stop(server: Server): Promise<void> {
  server.isWanted = false;
  server.isReady = false;
  server.endLogWatch?.();
  server.endLogWatch = undefined;
  await server.admin.drop();
  const { child, folder, log } = server;
  if (child?.pid) await endPostgres(child.pid, () => child.exitCode !== null || child.signalCode !== null);
  else await endLeftover(join(folder, "data"), log);
}

async function launch(server: Server): Promise<void> {
  const { runtime, folder, log } = server;
  const logFile = logFileOf(server);
  await turnLogOver(logFile);
  const output = await open(logFile, "a", 0o600);
  const started = runtime.account.start(join(runtime.binaries.bin, "postgres"), ["-D", join(folder, "data")], output.fd);
  server.child = started;
  await output.close();
  server.endLogWatch ??= keepLogShort(logFile, (error) => log(`postgres ${folder}: its log could not be turned over: ${error}`));
  const onEnd = (how: string): void => {
    if (server.child !== started) return;
    server.child = undefined;
    server.isReady = false;
    void server.admin.drop();
    if (server.isWanted) void revive(server, how);
  };
  started.once("error", (error) => onEnd(`could not be started (${error.message})`));
  started.once("exit", (code, signal) => onEnd(`ended by itself (${signal ?? code})`));
}

async function revive(server: Server, why: string): Promise<void> {
  const { folder, log } = server;
  server.restarts += 1;
  log(`postgres ${folder}: ${why}; starting it again`);
  await delay(Math.min(5_000, 100 * 2 ** server.restarts), undefined, { ref: false });
  if (!server.isWanted || server.child) return;
  try {
    await launch(server);
    await waitUntilReady(server);
    server.restarts = 0;
  } catch (error) {
    log(`postgres ${folder}: ${error instanceof Error ? error.message : error}`);
  }
}

async function waitUntilReady(server: Server): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  for (;;) {
    try {
      await server.admin.administer("SELECT 1");
      server.isReady = true;
      return;
    } catch (cause) {
      if (!server.isWanted || server.restarts > HOPELESS_AFTER || Date.now() > deadline) {
        const hint = `read ${logFileOf(server)}`;
        throw new KnownError("local/failed", `PostgreSQL in ${server.folder} does not answer`, { hint, cause });
      }
    }
    await delay(15);
  }
}

function logFileOf({ folder }: Server): string {
  return join(folder, "server.log");
}
