import { hasPostgres } from "../../machines/postgres/binaries.ts";
import { preparePostgres } from "../../machines/postgres/prepare.ts";
import type { PostgresRuntime } from "../../machines/postgres/runtime.ts";

/** The PostgreSQL of each major, prepared when it is first asked for. */
export interface Runtimes {
  /** Throws KnownError `local/failed` when the major cannot be had; the next one who asks tries anew. */
  of(major: number): Promise<PostgresRuntime>;
  /** Prepares a major if nothing has to be fetched for it. */
  warm(major: number): Promise<void>;
  /** `14` of `16.14`, once the major has been prepared. */
  minorOf(major: number): string | undefined;
  /** Breaks off what is being fetched. */
  breakOff(): void;
  /** Does so, and waits for what is being made: a half-made template is not left with its process. */
  close(): Promise<void>;
}

export function createRuntimes(folder: string, log: (line: string) => void): Runtimes {
  const prepared = new Map<number, Promise<PostgresRuntime>>();
  const minors = new Map<number, string>();
  const closing = new AbortController();
  const runtimes: Runtimes = {
    of: async (major) => {
      const known = prepared.get(major) ?? preparePostgres(folder, major, log, closing.signal);
      prepared.set(major, known);
      try {
        const runtime = await known;
        minors.set(major, runtime.binaries.version.split(".")[1] ?? "0");
        return runtime;
      } catch (error) {
        if (prepared.get(major) === known) prepared.delete(major); // the next one may have npm, or room on the disk
        throw error;
      }
    },
    warm: async (major) => {
      // What begins after the end would work on a folder that may be gone.
      if ((await hasPostgres(folder, major)) && !closing.signal.aborted) await runtimes.of(major);
    },
    minorOf: (major) => minors.get(major),
    breakOff: () => closing.abort(),
    close: async () => {
      closing.abort();
      await Promise.allSettled(prepared.values());
    },
  };
  return runtimes;
}
