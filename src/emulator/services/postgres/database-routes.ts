import type { BodyShape } from "../../http/body-shape.ts";
import { propertiesOf } from "../../http/properties-of.ts";
import { type EmulatorRequest, empty, json } from "../../http/router.ts";
import { checkedText, type Database, type FlexibleServer, invalidParameter, SYSTEM_DATABASES } from "./model.ts";
import { onServer, type PostgresDependencies, type ServerOperation } from "./server-operations.ts";
import { childNotFound, requireIdle } from "./servers.ts";
import { databaseToWire } from "./wire.ts";

/** The members that local Azure reads (azure-rest-api-specs, specification/postgresql). */
const databaseBody: BodyShape = { "properties.charset": "text", "properties.collation": "text" };

/** Databases: learn.microsoft.com/rest/api/postgresql/databases. */
export function databaseOperations(dependencies: PostgresDependencies): readonly ServerOperation[] {
  const { platform, writes } = dependencies;
  const ITEM = "/databases/{database}";
  const find = async (server: FlexibleServer, { params }: EmulatorRequest): Promise<Database | undefined> =>
    (await listDatabases(dependencies, server)).find(({ name }) => name === params.database);
  return [
    onServer("GET", "/databases", "recorded", async (server) =>
      json(200, { value: (await listDatabases(dependencies, server)).map(databaseToWire) }),
    ),
    onServer("GET", ITEM, "recorded", async (server, request) => {
      const found = await find(server, request);
      if (!found) throw childNotFound("databases", request.params.database ?? "");
      return json(200, databaseToWire(found));
    }),
    onServer("PUT", ITEM, "recorded", databaseBody, (server, request) => {
      const database = readDatabase(server, request);
      requireIdle(platform, server);
      return writes.accept("database-put", server, database.id, { database }, request.apiVersion);
    }),
    onServer("DELETE", ITEM, "recorded", async (server, request) => {
      const database = await find(server, request);
      if (!database) return empty(204);
      if ((SYSTEM_DATABASES as readonly string[]).includes(database.name)) {
        throw invalidParameter(`The system database '${database.name}' cannot be dropped.`); // text inferred
      }
      requireIdle(platform, server);
      return writes.accept("database-delete", server, database.id, { database }, request.apiVersion);
    }),
  ];
}

function readDatabase(server: FlexibleServer, request: EmulatorRequest): Database {
  const name = checkedText(request.params.database ?? "", "databaseName");
  if (name === "" || Buffer.byteLength(name) > 63) {
    throw invalidParameter("Invalid value given for parameter databaseName. Specify a valid parameter value.");
  }
  const { charset, collation } = propertiesOf<{ charset: string | null; collation: string | null }>(request);
  return { id: idOf(server, name), name, charset: (charset ?? "UTF8").toUpperCase(), collation: collation ?? "en_US.utf8" };
}

/** What is there in truth, made by whichever door; while the server is stopped, what ARM made. */
async function listDatabases({ tables, fleet }: PostgresDependencies, server: FlexibleServer): Promise<readonly Database[]> {
  const stored = tables.databases.list(`${server.id}/`);
  const rows = await fleet.machine(server)?.administer("SELECT datname FROM pg_catalog.pg_database WHERE NOT datistemplate ORDER BY oid");
  const names = rows?.map(({ datname }) => String(datname)) ?? [...SYSTEM_DATABASES, ...stored.map(({ name }) => name)];
  const made = { charset: "UTF8", collation: "en_US.utf8" };
  return names.map((name) => stored.find((known) => known.name === name) ?? { id: idOf(server, name), name, ...made });
}

function idOf(server: FlexibleServer, name: string): string {
  return `${server.id}/databases/${name}`;
}
