// PostgreSQL without a password: every new connection signs in with a fresh Microsoft Entra token.
import { readFileSync } from "node:fs";
import { DefaultAzureCredential } from "@azure/identity";
import pg from "pg";
import { log } from "./json-log.js";

// Public Azure. Sovereign clouds have other scopes, e.g. https://ossrdbms-aad.database.usgovcloudapi.net/.default
const TOKEN_SCOPE = process.env.DB_TOKEN_SCOPE ?? "https://ossrdbms-aad.database.windows.net/.default";
// B1ms leaves 35 connections for all instances of all apps together.
const POOL_SIZE = Number(process.env.DB_POOL_SIZE ?? 5);
// Any number, the same in every instance: only one of them creates the table.
const CREATE_LOCK = 727306001;

const CREATE_ITEMS = `
CREATE TABLE IF NOT EXISTS items (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
  created_at timestamptz NOT NULL DEFAULT now()
)`;

/**
 * No connection, or no right to what is needed. `code` is the SQLSTATE, or the name of the error where there is none. `message` is for the log,
 * `publicMessage` what a visitor may know.
 */
export class DatabaseUnavailable extends Error {
  constructor(code, message, cause, publicMessage = "the database is not available; the log of the app says why") {
    super(message, { cause });
    this.name = "DatabaseUnavailable";
    this.code = code;
    this.publicMessage = publicMessage;
  }
}

function explain(error) {
  if (error instanceof DatabaseUnavailable) return error;
  return new DatabaseUnavailable(error.code ?? error.name, String(error.message).replace(/\s+/g, " ").slice(0, 500), error);
}

const credential = new DefaultAzureCredential();
const host = process.env.DB_HOST;

const target = {
  host,
  port: Number(process.env.DB_PORT ?? 5432),
  database: process.env.DB_NAME,
  user: process.env.DB_USER,
  // Asked at each sign-in; the credential caches the token while it is valid.
  password: async () => (await credential.getToken(TOKEN_SCOPE)).token,
  // With an address instead of a name pg would compare the certificate with "localhost"; `host` makes it compare the address.
  ssl: { rejectUnauthorized: true, host, ...(process.env.PGSSLROOTCERT ? { ca: readFileSync(process.env.PGSSLROOTCERT) } : {}) },
  connectionTimeoutMillis: 10_000,
  application_name: process.env.WEBSITE_SITE_NAME ?? "express",
};

const pool = new pg.Pool({ ...target, max: POOL_SIZE, maxLifetimeSeconds: 30 * 60, idleTimeoutMillis: 5 * 60 * 1000 });
// An idle connection that the server closes: the pool replaces it.
pool.on("error", (error) => log("warning", "idle database connection lost", { code: error.code }));

function checkSettings() {
  const missing = ["DB_HOST", "DB_NAME", "DB_USER"].filter((name) => !process.env[name]);
  if (missing.length > 0) throw new DatabaseUnavailable("settings-missing", `not set: ${missing.join(", ")}`);
}

/** Runs `work(client)` on one connection. Throws `DatabaseUnavailable`. */
export async function withConnection(work) {
  checkSettings();
  let client;
  let failure;
  try {
    client = await pool.connect();
    return await work(client);
  } catch (error) {
    failure = error;
    if (error.code === "42P01") hasItems = false;
    throw explain(error);
  } finally {
    // A connection that failed for a reason other than the statement itself is thrown away.
    client?.release(failure !== undefined && !(failure instanceof pg.DatabaseError));
  }
}

/** Signs in now, on a connection of its own: one of the pool was made before, and works on when its role is broken since. */
async function signIn() {
  checkSettings();
  const client = new pg.Client({ ...target, query_timeout: 10_000 }); // the next check would wait for one that never ends
  client.on("error", () => {}); // a connection that breaks shows in its query
  try {
    await client.connect();
    const { rows } = await client.query("SELECT current_user AS user");
    return { user: rows[0].user, tls: client.connection.stream.encrypted === true };
  } catch (error) {
    throw explain(error);
  } finally {
    client.end().catch(() => {});
  }
}

let signingIn;

/** Who the app is to the database now. One sign-in at a time: visitors must not use up the server's connections. Throws `DatabaseUnavailable`. */
export function checkSignIn() {
  signingIn ??= signIn().finally(() => {
    signingIn = undefined;
  });
  return signingIn;
}

let hasItems = false;

/** As `withConnection`, with the table `items` in place; creates it at first use when the role may. */
export async function withItems(work) {
  if (!hasItems) await withConnection(createItems);
  hasItems = true;
  return await withConnection(work);
}

async function createItems(client) {
  const found = await client.query("SELECT to_regclass('items') AS items");
  if (found.rows[0].items !== null) return;
  try {
    // One message is one transaction.
    await client.query(`SELECT pg_advisory_xact_lock(${CREATE_LOCK}); ${CREATE_ITEMS}`);
  } catch (error) {
    if (error.code !== "42501") throw error;
    throw new DatabaseUnavailable(
      error.code,
      `role "${process.env.DB_USER}" may not create the table items`,
      error,
      "the table items cannot be created: give the app the access level owner, or create the table yourself",
    );
  }
}

export async function closeDatabase() {
  await pool.end();
}
