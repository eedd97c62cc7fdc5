import { readFileSync } from "node:fs";
import { KnownError } from "../base/errors.ts";
import { isDiskFull, replaceFile } from "./durable-file.ts";

/** Documents of one kind, by key. Keys are compared without case (ARM IDs are); values are plain JSON and are copied in and out. */
export interface Collection<T> {
  get(key: string): T | undefined;
  /** Every value, in the order of creation; with `prefix` those whose key begins so. */
  list(prefix?: string): T[];
  set(key: string, value: T): void;
  delete(key: string): boolean;
}

/** Everything local Azure must not forget. */
export interface Store {
  collection<T>(name: string): Collection<T>;
  /**
   * Makes all changes so far durable against `kill -9` and power cuts; the server commits before it answers. `false` when the disk is full:
   * then the file is as it was, and the next commit writes all. Throws what else the system refuses.
   */
  commit(): boolean;
  /** Goes up with every change, so that a piece of work can tell whether it made one. */
  changes(): number;
}

type Document = Record<string, Record<string, unknown>>;

/** Goes up when what an older program kept could be misread. */
const format = 2;

/**
 * A store in one JSON file, replaced as a whole (write beside, rename). Without `file` it lives in memory only.
 * Throws KnownError `local/failed` when the file is no store, or one of another format.
 */
export function createStore(file?: string): Store {
  const data: Document = file ? load(file) : {};
  let changes = 0;
  let committed = 0;
  return {
    collection<T>(name: string): Collection<T> {
      data[name] ??= {};
      const rows = data[name] as Record<string, T>;
      return {
        get: (key) => (Object.hasOwn(rows, key.toLowerCase()) ? structuredClone(rows[key.toLowerCase()]) : undefined),
        list: (prefix = "") =>
          Object.entries(rows)
            .filter(([key]) => key.startsWith(prefix.toLowerCase()))
            .map(([, value]) => structuredClone(value)),
        set: (key, value) => {
          // Not by assignment: a key may be called `__proto__`.
          Object.defineProperty(rows, key.toLowerCase(), {
            value: structuredClone(value),
            enumerable: true,
            configurable: true,
            writable: true,
          });
          changes += 1;
        },
        delete: (key) => {
          const had = Object.hasOwn(rows, key.toLowerCase());
          delete rows[key.toLowerCase()];
          if (had) changes += 1;
          return had;
        },
      };
    },
    commit: () => {
      if (changes === committed || !file) return true;
      try {
        replaceFile(file, JSON.stringify({ format, data }), 0o600);
      } catch (error) {
        if (isDiskFull(error)) return false;
        throw error;
      }
      committed = changes;
      return true;
    },
    changes: () => changes,
  };
}

function load(file: string): Document {
  const hint = "run `passwordless-pg local reset`, which forgets what it holds, or set PASSWORDLESS_PG_HOME to another folder";
  let kept: { format?: unknown; data?: Document };
  try {
    const text = readIfThere(file);
    if (text === undefined) return {};
    kept = JSON.parse(text) as typeof kept;
  } catch (cause) {
    throw new KnownError("local/failed", `${file} is not readable as the state of local Azure`, { cause, hint });
  }
  if (kept?.format !== format || typeof kept.data !== "object" || kept.data === null) {
    throw new KnownError("local/failed", `${file} was written by another version of local Azure`, { hint });
  }
  return kept.data;
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
