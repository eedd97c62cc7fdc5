import { Client, type ClientConfig } from "pg";
import { KnownError } from "../../../base/errors.ts";
import { adminOptions } from "./admin-options.ts";
import { SUPERUSER } from "./runtime.ts";

type Row = Readonly<Record<string, unknown>>;

/** The superuser's ways into a server. */
export interface AdminConnection {
  /** SQL in database `postgres`, over one held connection that takes no client's slot. Several statements may be in it. */
  administer(sql: string): Promise<readonly Row[]>;
  /** SQL in any database, over a connection of its own. */
  query(database: string, sql: string, values?: readonly unknown[]): Promise<readonly Row[]>;
  /** Gives the held connection back; the next statement opens another. */
  drop(): Promise<void>;
}

/** `socketFolder` holds the Unix socket of the server. */
export function createAdminConnection(major: number, socketFolder: () => string): AdminConnection {
  let held: Promise<Client> | undefined;
  let administered: Promise<unknown> = Promise.resolve();

  const connect = async (database: string, more: object): Promise<Client> => {
    const config: ClientConfig = {
      host: socketFolder(),
      port: 5432,
      user: SUPERUSER,
      database,
      ssl: false,
      options: adminOptions(major),
      ...more,
    };
    const client = new Client({ ...config, application_name: "azure" });
    client.on("error", () => {}); // a lost connection shows in the next query
    await client.connect();
    return client;
  };
  const drop = async (): Promise<void> => {
    const dropped = held;
    held = undefined;
    await dropped?.then((client) => client.end()).catch(() => {});
  };
  const administer = async (sql: string): Promise<readonly Row[]> => {
    // A walsender takes none of the max_connections slots, so that clients get exactly as many as Azure gives them.
    held ??= connect("postgres", { replication: "database" });
    const used = held;
    try {
      const result: unknown = await (await used).query(sql);
      const last = Array.isArray(result) ? result.at(-1) : result;
      return (last as { rows?: Row[] }).rows ?? [];
    } catch (error) {
      if (!isRefusal(error) && held === used) await drop();
      throw error;
    }
  };

  return {
    drop,
    administer: (sql) => {
      requireNoZero(sql);
      const turn = administered.then(() => administer(sql)); // a walsender takes one statement at a time
      administered = turn.catch(() => {});
      return turn;
    },
    query: async (database, sql, values = []) => {
      requireNoZero(sql);
      const client = await connect(database, {});
      try {
        return (await client.query<Row>(sql, [...values])).rows;
      } finally {
        await client.end();
      }
    },
  };
}

/** The statement failed, the connection did not. */
function isRefusal(error: unknown): boolean {
  const { code = "", severity } = error as { code?: string; severity?: string };
  return /^[0-9A-Z]{5}$/.test(code) && severity === "ERROR";
}

/** The protocol ends a text at a zero byte: half a statement must not be run. */
function requireNoZero(sql: string): void {
  if (sql.includes("\0")) throw new KnownError("local/failed", "a statement for PostgreSQL holds a zero byte");
}
