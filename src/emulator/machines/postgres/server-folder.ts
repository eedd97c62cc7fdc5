import { execFile } from "node:child_process";
import { openSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { KnownError } from "../../../base/errors.ts";
import { draftName } from "../draft-name.ts";
import { endPostmaster, findPostmaster } from "./postmaster.ts";
import type { PostgresRuntime } from "./runtime.ts";

const run = promisify(execFile);

/**
 * Makes the folder of a server ready for a start: `data` copied from the template unless it is there, `run` for the socket, the configuration written.
 * Throws KnownError `local/failed` for data of another major, and for missing ones when they have to be there.
 */
export async function prepareServerFolder(
  runtime: PostgresRuntime,
  folder: string,
  settings: Readonly<Record<string, string>>,
  mustHaveData: boolean,
): Promise<void> {
  const data = join(folder, "data");
  const socketFolder = join(folder, "run");
  const major = (await readFile(join(data, "PG_VERSION"), "utf8").catch(() => undefined))?.trim();
  requireData(data, major, runtime.binaries.major, mustHaveData);
  await mkdir(folder, { recursive: true, mode: 0o755 });
  await mkdir(socketFolder, { recursive: true, mode: 0o700 });
  await runtime.account.own(socketFolder);
  if (major === undefined) {
    const draft = join(folder, "data.draft");
    await rm(draft, { recursive: true, force: true });
    await run("cp", ["-Rp", runtime.template, draft]);
    await rename(draft, data);
  }
  await writeFile(join(data, "postgresql.conf"), configuration(settings));
  await writeFile(join(data, "pg_hba.conf"), "local all all trust\nlocal replication all trust\n");
}

function requireData(data: string, major: string | undefined, wanted: number, mustHaveData: boolean): void {
  if (major === `${wanted}` || (major === undefined && !mustHaveData)) return;
  throw new KnownError("local/failed", major ? `${data} is of PostgreSQL ${major}, not ${wanted}` : `${data} is gone`, {
    hint: "delete the server and create it again",
  });
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
export function shortFolder(folder: string): string {
  if (Buffer.byteLength(join(folder, ".s.PGSQL.5432")) <= 103) return folder;
  if (process.platform !== "linux") {
    throw new KnownError("local/failed", `the path of ${folder} is too long for a Unix socket`, {
      hint: "set PASSWORDLESS_PG_HOME to a shorter path",
    });
  }
  return `/proc/self/fd/${openSync(folder, "r")}`;
}

/** Ends the server that a killed daemon left running on a data folder. */
export async function endLeftover(data: string, log: (line: string) => void): Promise<void> {
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
