import { type ChildProcess, execFile, spawn } from "node:child_process";
import { chown, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { KnownError } from "../../../base/errors.ts";

const run = promisify(execFile);

/** Who PostgreSQL runs as: it refuses to run as root. Without `uid` it is ourselves. */
export interface PostgresAccount {
  /** Starts a program as that account, in its own session, so that a Ctrl-C in our terminal does not reach it. `output` takes stdout and stderr. */
  start(program: string, args: readonly string[], output: number): ChildProcess;
  /** Runs a program to its end. Rejects when it fails, with what it wrote in the message. */
  run(program: string, args: readonly string[]): Promise<void>;
  /** Makes a file or folder that account's own. */
  own(path: string): Promise<void>;
}

// Not the caller's environment: what a database sorts and prints by must not depend on the terminal.
const ENVIRONMENT = { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };

/**
 * The account for servers below `folder`. As root it is `postgres`, else `nobody`. When a folder above is closed to it (a home under `/root`),
 * it gets the one capability to look into folders that takes.
 * Throws KnownError `local/failed` when that is not possible either.
 */
export async function choosePostgresAccount(folder: string): Promise<PostgresAccount> {
  const ids = process.getuid?.() === 0 ? ((await idsOf("postgres")) ?? (await idsOf("nobody")) ?? { uid: 65534, gid: 65534 }) : undefined;
  const prefix = ids && !(await isTraversable(folder, ids)) ? await capabilityPrefix(folder, ids) : undefined;
  const direct = ids && !prefix ? ids : {};
  const command = (program: string, args: readonly string[]): readonly [string, string[]] => {
    const [first, ...rest] = [...(prefix ?? []), program, ...args];
    return [first ?? program, rest];
  };
  return {
    start: (program, args, output) =>
      spawn(...command(program, args), { ...direct, cwd: "/", env: ENVIRONMENT, detached: true, stdio: ["ignore", output, output] }),
    run: async (program, args) => void (await run(...command(program, args), { ...direct, cwd: "/", env: ENVIRONMENT })),
    own: async (path) => {
      if (ids) await chown(path, ids.uid, ids.gid);
    },
  };
}

interface Ids {
  readonly uid: number;
  readonly gid: number;
}

async function idsOf(user: string): Promise<Ids | undefined> {
  try {
    const [uid, gid] = await Promise.all([run("id", ["-u", user]), run("id", ["-g", user])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    return undefined; // no such user here
  }
}

async function isTraversable(folder: string, ids: Ids): Promise<boolean> {
  const { mode, uid, gid } = await stat(folder);
  const mayEnter = uid === ids.uid ? mode & 0o100 : gid === ids.gid ? mode & 0o010 : mode & 0o001;
  if (!mayEnter) return false;
  return folder === dirname(folder) || isTraversable(dirname(folder), ids);
}

async function capabilityPrefix(folder: string, ids: Ids): Promise<readonly string[]> {
  const prefix = ["setpriv", "--reuid", `${ids.uid}`, "--regid", `${ids.gid}`, "--clear-groups"];
  // Without the secure bit access(2), which initdb asks, would ignore the capability. The exec drops every other one.
  prefix.push("--securebits", "+no_setuid_fixup", "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search");
  try {
    await run("setpriv", [...prefix.slice(1), "ls", folder]);
  } catch (error) {
    throw new KnownError("local/failed", `PostgreSQL may not run as root, and no other account can reach ${folder}`, {
      hint: "set PASSWORDLESS_PG_HOME to a folder that other accounts can enter, for example /var/tmp/passwordless-pg",
      cause: error,
    });
  }
  return prefix;
}
