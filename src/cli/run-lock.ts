import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { createConnection, createServer, type Server } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { KnownError } from "../base/errors.ts";
import type { Io } from "./io.ts";

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

/**
 * Runs `work` while no other command of this machine's user changes the same project; waits for one that does, and names it.
 * The lock is a listening socket: the system takes it away with its process, so a killed run leaves none behind.
 * Runs on different machines do not see each other: their writes are idempotent, and Azure's own busy answers are waited for.
 * Throws `azure/busy` after half an hour, `cancelled`.
 */
export async function withRunLock<T>(io: Io, of: { project: string; command: string; clock: Clock }, work: () => Promise<T>): Promise<T> {
  const { clock, command } = of;
  const path = socketPath(of.project);
  const until = clock.now() + waitMs;
  let named: number | undefined;
  for (;;) {
    io.signal.throwIfAborted();
    const lock = await tryListen(path, { pid: process.pid, command, since: new Date(clock.now()).toISOString() });
    if (lock) {
      try {
        return await work();
      } finally {
        lock.close();
      }
    }
    const holder = await whoHolds(path);
    if (holder === "nobody")
      rmSync(path, { force: true }); // a file that a killed run left; abstract names leave none
    else if (holder !== "silent") {
      const name = `\`passwordless-pg ${holder.command}\` (process ${holder.pid}, since ${holder.since})`;
      if (clock.now() > until) {
        throw new KnownError("azure/busy", `another run works on this project: ${name}`, { hint: "wait for its end, or end it" });
      }
      if (named !== holder.pid) io.note(`waiting for ${name}, which works on the same project`);
      named = holder.pid;
    }
    await clock.sleep(pauseMs, io.signal);
  }
}

/** Linux: a name without a file. Windows: a pipe. Elsewhere a file in the user's temporary folder. */
function socketPath(project: string): string {
  const hash = createHash("sha256").update(`${userInfo().username}\n${project}`).digest("hex").slice(0, 24);
  const name = `passwordless-pg-${hash}`;
  if (process.platform === "linux") return `\0${name}`;
  return process.platform === "win32" ? `\\\\.\\pipe\\${name}` : join(tmpdir(), `${name}.sock`);
}

async function tryListen(path: string, holder: Holder): Promise<Server | undefined> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined); // whoever asked is gone
    socket.end(JSON.stringify(holder));
  });
  server.unref();
  return new Promise((done, fail) => {
    server.once("error", (error: NodeJS.ErrnoException) => (error.code === "EADDRINUSE" ? done(undefined) : fail(error)));
    server.listen(path, () => done(server));
  });
}

async function whoHolds(path: string): Promise<Holder | "nobody" | "silent"> {
  return new Promise((done) => {
    let text = "";
    const socket = createConnection(path);
    socket.setTimeout(askMs, () => socket.destroy());
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    socket.once("error", () => done(path.startsWith("/") ? "nobody" : "silent"));
    socket.once("close", () => {
      try {
        done(JSON.parse(text) as Holder);
      } catch {
        done("silent"); // it ended while it was asked
      }
    });
  });
}
