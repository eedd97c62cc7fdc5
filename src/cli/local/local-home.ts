import { join, resolve } from "node:path";
import { KnownError } from "../../base/errors.ts";
import { homeFolder } from "../home-folder.ts";
import type { Io } from "../terminal/io.ts";

/** The folder that local Azure keeps everything in. Throws `usage/invalid` where the person has no home. */
export function localHome(io: Io): string {
  // An empty variable is none: the home's folders would be laid into the folder of the caller.
  const named = io.environment.PASSWORDLESS_PG_HOME || undefined;
  if (named !== undefined) return resolve(io.directory, named);
  const home = homeFolder();
  if (home !== undefined) return join(home, ".passwordless-pg");
  throw new KnownError("usage/invalid", "there is no home folder to keep local Azure in: HOME is not set", {
    hint: "set HOME, or PASSWORDLESS_PG_HOME to a folder for local Azure",
  });
}

/** The program that runs as local Azure's process. */
export function daemonFile(io: Io): string {
  return join(io.packageRoot, "dist", "daemon.js");
}
