import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CleanupJournal, TemporaryRule } from "../cloud/firewall-access.ts";
import { isOwnFolder, temporaryFolderOf } from "./own-folder.ts";

/**
 * Notes of the firewall openings that runs on this machine have borrowed and not given back, one file each in the temporary folder. A killed
 * run cannot give back, and its opening may still be in the making, where Azure's lists do not show it: only its name finds it then.
 * Without a usable folder nothing is noted, and what is left behind is found by its name's beginning once Azure shows it.
 */
export function cleanupJournal(project: string): CleanupJournal {
  const folder = temporaryFolderOf("passwordless-pg-openings");
  const prefix = `${createHash("sha256").update(project).digest("hex").slice(0, 16)}.`;
  const fileOf = (name: string): string => join(folder, `${prefix}${name}.json`);
  const read = (): Note[] =>
    quietly(() => {
      if (!existsSync(folder) || !isOwnFolder(folder)) return [];
      return readdirSync(folder)
        .filter((file) => file.startsWith(prefix))
        .flatMap((file) => quietly(() => [JSON.parse(readFileSync(join(folder, file), "utf8")) as Note], []));
    }, []);
  return {
    add: (opening) =>
      quietly(() => {
        const note: Note = { ...opening, pid: process.pid, birth: birthOf(process.pid) };
        if (isOwnFolder(folder)) writeFileSync(fileOf(opening.name), JSON.stringify(note), { mode: 0o600 });
      }, undefined),
    remove: (name) =>
      quietly(() => {
        if (!existsSync(folder) || !isOwnFolder(folder)) return;
        rmSync(fileOf(name), { force: true });
        rmdirSync(folder); // fails while others are in it
      }, undefined),
    abandoned: () =>
      read()
        .filter((note) => !isOfLiving(note))
        .map(({ name, server, address }) => ({ name, server, address })),
    held: () =>
      read()
        .filter(isOfLiving)
        .map(({ name }) => name),
  };
}

interface Note extends TemporaryRule {
  readonly pid: number;
  /** When the process began, where the system tells: a number is given out again. */
  readonly birth?: string | undefined;
}

/** Is its writer another process, and still there? */
function isOfLiving({ pid, birth }: Note): boolean {
  // Our own number on a note that we have not written: a container, where each run is the same.
  return pid !== process.pid && isAlive(pid) && (birth === undefined || birthOf(pid) === birth);
}

/** Linux: ticks from the boot to the process's start, field 22 of `/proc/PID/stat` (proc(5)); the name before it may hold blanks. */
function birthOf(pid: number): string | undefined {
  return quietly(() => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  }, undefined);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** A note that cannot be made or read is not worth a failed run. */
function quietly<T>(work: () => T, otherwise: T): T {
  try {
    return work();
  } catch {
    return otherwise;
  }
}
