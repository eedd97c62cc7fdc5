// Items in PostgreSQL, without a password anywhere. Start: npm start
import express from "express";
import { checkSignIn, closeDatabase, DatabaseUnavailable, withItems } from "./database.js";
import { log } from "./json-log.js";

const ITEM = `id, name, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at`;
// The routes are open to everybody: what strangers may send and keep is bounded.
const MAX_ITEMS = 10_000;
const INSERT = `INSERT INTO items (name) SELECT $1 WHERE (SELECT count(*) FROM (SELECT FROM items LIMIT ${MAX_ITEMS}) kept) < ${MAX_ITEMS} RETURNING ${ITEM}`;
const ROUTES = ["GET /healthz", "GET /healthz/database", "GET /items", "POST /items", "GET /items/{id}", "DELETE /items/{id}"];

class Invalid extends Error {}

const asItem = (row) => ({ id: Number(row.id), name: row.name, createdAt: row.created_at });

/** 1 to 200 characters that PostgreSQL text can hold: neither NUL nor half a surrogate pair. */
function readName(body) {
  const name = body?.name;
  const length = typeof name === "string" ? [...name].length : 0;
  if (length < 1 || length > 200) throw new Invalid("name: must be a string of 1 to 200 characters");
  if (name.includes("\0") || !name.isWellFormed()) throw new Invalid("name: must be valid text");
  return name;
}

function readInteger(text, what, most) {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > most) throw new Invalid(`${what}: must be a whole number from 1 to ${most}`);
  return value;
}

const readId = (request) => readInteger(request.params.id, "id", Number.MAX_SAFE_INTEGER);

function notFound(response, message) {
  response.status(404).json({ error: "not-found", message });
}

function logRequest(request, response, next) {
  const start = performance.now();
  const { method, path } = request;
  response.on("finish", () => {
    const ms = Math.round((performance.now() - start) * 10) / 10;
    log("info", `${method} ${path} ${response.statusCode}`, { method, path, status: response.statusCode, ms });
  });
  next();
}

// Express tells an error handler from other handlers by its four parameters.
function answerError(error, request, response, _next) {
  if (error instanceof DatabaseUnavailable) {
    // The whole story is for the log alone: it names hosts, roles and settings.
    log("error", `database: ${error.message}`, { code: error.code });
    response.status(503).json({ status: "unavailable", error: error.code, message: error.publicMessage });
  } else if (error instanceof Invalid || error.type === "entity.parse.failed") {
    response.status(422).json({ error: "invalid", message: error instanceof Invalid ? error.message : "the body is not JSON" });
  } else if (error.status >= 400 && error.status < 500) {
    response.status(error.status).json({ error: "refused", message: error.message });
  } else {
    log("error", `${request.method} ${request.path} failed`, {}, error);
    response.status(500).json({ error: "internal", message: "unexpected error, see the log" });
  }
}

const app = express();
app.disable("x-powered-by");
app.use(logRequest);
app.use(express.json({ limit: "16kb" }));

app.get("/", (_request, response) => {
  response.json({ name: "items", routes: ROUTES });
});

app.get("/healthz", (_request, response) => {
  response.json({ status: "ok" });
});

app.get("/healthz/database", async (_request, response) => {
  response.json({ status: "ok", ...(await checkSignIn()) });
});

app.post("/items", async (request, response) => {
  const name = readName(request.body);
  const { rows } = await withItems((client) => client.query(INSERT, [name]));
  if (rows[0]) response.status(201).json(asItem(rows[0]));
  else response.status(409).json({ error: "refused", message: `there are ${MAX_ITEMS} items already: delete some` });
});

app.get("/items", async (request, response) => {
  const limit = request.query.limit === undefined ? 20 : readInteger(request.query.limit, "limit", 100);
  const { rows } = await withItems((client) => client.query(`SELECT ${ITEM} FROM items ORDER BY items.id DESC LIMIT $1`, [limit]));
  response.json({ items: rows.map(asItem) });
});

app.get("/items/:id", async (request, response) => {
  const id = readId(request);
  const { rows } = await withItems((client) => client.query(`SELECT ${ITEM} FROM items WHERE items.id = $1`, [id]));
  if (rows[0]) response.json(asItem(rows[0]));
  else notFound(response, `no item ${id}`);
});

app.delete("/items/:id", async (request, response) => {
  const id = readId(request);
  const { rowCount } = await withItems((client) => client.query("DELETE FROM items WHERE id = $1", [id]));
  if (rowCount) response.status(204).end();
  else notFound(response, `no item ${id}`);
});

app.use((_request, response) => notFound(response, "Not Found"));
app.use(answerError);

const server = app.listen(Number(process.env.PORT ?? 8080), (error) => {
  if (error) throw error;
  log("info", "started", { port: server.address().port });
});

for (const signal of ["SIGTERM", "SIGINT"]) {
  process.once(signal, () => {
    server.close(async () => {
      await closeDatabase();
      log("info", "stopped");
    });
    server.closeIdleConnections();
  });
}
