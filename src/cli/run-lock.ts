import { createHash } from "node:crypto";
import { accessSync, closeSync, constants, openSync, rmdirSync, rmSync, statSync } from "node:fs";
import { createConnection, createServer, type Server } from "node:net";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import { homeFolder } from "./home-folder.ts";
import { isOwnFolder, temporaryFolderOf } from "./own-folder.ts";
import type { Io } from "./terminal/io.ts";
import { safeText } from "./terminal/style.ts";

/** Who holds a lock, as it tells itself. */
interface Holder {
  readonly pid: number;
  readonly command: string;
  /** ISO date. */
  readonly since: string;
}

/** An `up` with a new server and a slow build takes a quarter of an hour; the other one may be waiting too. */
const waitMs = 30 * 60_000;
const pauseMs = 500;
const askMs = 2_000;
/** From the making of a socket's file to its listening, by far. */
const bindMs = 100;
/** A guard is held for `bindMs` and one question. */
const guardMs = 30_000;

/** Characters: of a command or a date that another process tells, and of all that it tells. */
const WORD = 40;
const ANSWER = 1_000;

interface LockRequest {
  readonly project: string;
  readonly command: string;
  readonly clock: Clock;
  /** Where the lock is made, the first that is this user's alone; made when absent. By default in the temporary folder, else in the home folder. */
  readonly socketFolders?: readonly string[];
}

/**
 * Runs `work` while no other command of this machine's user changes the same project; waits for one that does, and names it.
 * The lock is a listening socket: the system takes it away with its process, so a killed run leaves none behind. Its file is in a folder that no
 * other user can enter: a name that anybody could take would let them hold up the run, and speak to its terminal.
 * Runs on different machines do not see each other: their writes are idempotent, and Azure's own busy answers are waited for.
 * Throws `azure/busy` after half an hour, `project/unwritable`, `cancelled`.
 */
export async function withRunLock<T>(io: Io, of: LockRequest, work: () => Promise<T>): Promise<T> {
  const { clock, command } = of;
  const until = clock.now() + waitMs;
  let named: string | undefined;
  let silences = 0;
  for (;;) {
    io.signal.throwIfAborted();
    const path = socketPath(of.project, of.socketFolders); // each time: another run's end takes an empty folder away
    const lock = await tryListen(path, { pid: process.pid, command, since: new Date(clock.now()).toISOString() });
    if (lock) {
      try {
        return await work();
      } finally {
        lock.close();
        removeIfEmpty(dirname(path));
      }
    }
    const holder = await whoHolds(path);
    if (holder === "nobody") await removeDeadSocket(path);
    silences = holder === "silent" ? silences + 1 : 0;
    const name = nameOf(holder);
    if (clock.now() > until) {
      throw new KnownError("azure/busy", `another run works on this project: ${name}`, {
        hint: "wait for its end, or end it; one that was suspended (Ctrl-Z) goes on with `fg`",
      });
    }
    // One silence may be a run that is just ending.
    if (holder !== "nobody" && silences !== 1 && name !== named) {
      io.note(`waiting for ${name}, which works on the same project`);
      named = name;
    }
    await clock.sleep(pauseMs, io.signal);
  }
}

/** Windows: a pipe. Elsewhere a file in a folder that is the user's alone. */
function socketPath(project: string, folders: readonly string[] | undefined): string {
  const hash = createHash("sha256").update(project).digest("hex").slice(0, 24);
  if (process.platform === "win32") return `\\\\.\\pipe\\passwordless-pg-${userInfo().username}-${hash}`;
  return join(lockFolder(folders ?? usualFolders()), `${hash}.sock`);
}

function usualFolders(): readonly string[] {
  const home = homeFolder();
  return [temporaryFolderOf("passwordless-pg"), ...(home === undefined ? [] : [join(home, ".passwordless-pg-runs")])];
}

/** All runs look in the same order, so that they meet in the same folder. */
function lockFolder(folders: readonly string[]): string {
  let cause: unknown;
  for (const folder of folders) {
    try {
      if (isOwnFolder(folder)) return folder;
      cause ??= new Error(`${folder} is not a folder of yours alone`);
    } catch (error) {
      cause ??= error;
    }
  }
  throw unlockable(folders[0] ?? "", cause);
}

function removeIfEmpty(folder: string): void {
  try {
    if (process.platform !== "win32") rmdirSync(folder);
  } catch {
    // others are in it, or have just taken it away
  }
}

async function tryListen(path: string, holder: Holder): Promise<Server | undefined> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined); // whoever asked is gone
    socket.end(JSON.stringify(holder));
  });
  server.unref();
  return new Promise((done, fail) => {
    // Also later: without a listener a socket that cannot be taken (EMFILE) would end the process.
    server.on("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" || hasLostFolder(error, dirname(path)) ? done(undefined) : fail(unlockable(dirname(path), error)),
    );
    server.listen(path, () => done(server));
  });
}

/** Has the run that has just ended taken the folder with it? libuv says EACCES for a socket's ENOENT, and another run may have made it again. */
function hasLostFolder({ code }: NodeJS.ErrnoException, folder: string): boolean {
  if (code !== "EACCES" && code !== "ENOENT") return false;
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
}

/** A full disk, a folder that is closed, absent or another user's, a path too long for a socket. */
function unlockable(folder: string, cause: unknown): KnownError {
  return new KnownError("project/unwritable", `the lock that keeps two runs apart cannot be made in ${folder}`, {
    cause,
    hint: "set TMPDIR to a folder of your own, with a short path, that you can write to, and run the command again",
  });
}

function nameOf(holder: Holder | "nobody" | "silent"): string {
  if (typeof holder === "string") return "a run of passwordless-pg that does not answer (suspended, or busy)";
  return `\`passwordless-pg ${safeText(holder.command, WORD)}\` (process ${holder.pid}, since ${safeText(holder.since, WORD)})`;
}

/**
 * Removes the file that a killed run left. Of several waiters only the one with the guard file may: another could have removed it already
 * and listen there itself. So it asks again, and the file must be the same one all the time.
 * Throws `azure/busy` when a guard file was left by a run that was killed just here.
 */
async function removeDeadSocket(path: string): Promise<void> {
  const guard = `${path}.guard`;
  try {
    closeSync(openSync(guard, "wx", 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw unlockable(dirname(guard), error);
    const age = Date.now() - (statSync(guard, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age < guardMs) return;
    throw new KnownError("azure/busy", "a run that was killed left its lock", { hint: `if no passwordless-pg runs, remove ${guard}` });
  }
  try {
    const before = statSync(path, { throwIfNoEntry: false })?.ino;
    // A run that is about to listen has a file that nobody answers for, for a moment.
    await new Promise((done) => setTimeout(done, bindMs));
    if (before === undefined || (await whoHolds(path)) !== "nobody") return;
    if (statSync(path, { throwIfNoEntry: false })?.ino === before) rmSync(path, { force: true });
  } finally {
    rmSync(guard, { force: true });
  }
}

async function whoHolds(path: string): Promise<Holder | "nobody" | "silent"> {
  return new Promise((done) => {
    let text = "";
    const socket = createConnection(path);
    socket.setTimeout(askMs, () => socket.destroy());
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (text.length > ANSWER) socket.destroy();
    });
    socket.once("error", ({ code }: NodeJS.ErrnoException) => done(path.startsWith("/") && code === "ECONNREFUSED" ? "nobody" : "silent"));
    socket.once("close", () => {
      done(holderFrom(text) ?? "silent"); // it may have ended while it was asked
    });
  });
}

function holderFrom(text: string): Holder | undefined {
  try {
    const { pid, command, since } = JSON.parse(text) as Partial<Record<keyof Holder, unknown>>;
    return Number.isInteger(pid) && typeof command === "string" && typeof since === "string"
      ? { pid: Number(pid), command, since }
      : undefined;
  } catch {
    return undefined;
  }
}
