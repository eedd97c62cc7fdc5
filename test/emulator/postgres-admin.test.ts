import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Client, type ClientConfig } from "pg";
import { expect } from "vitest";
import { audiences } from "../../src/emulator/platform.ts";
import { type TestEmulator, fileTest as test } from "../support/emulator.ts";

const API = "api-version=2025-08-01";
const SUPERUSER = "azuresu";

/** All that local Azure says to PostgreSQL stands in these files. */
const SOURCES = ["src/emulator/machines/postgres", "src/emulator/services/postgres"];
const sourceText = SOURCES.flatMap((folder) => readdirSync(folder).map((name) => readFileSync(join(folder, name), "utf8"))).join("\n");
/** Every word that may be the name of a function, a type or a table in a statement: a new statement is covered by itself. */
const words = [...new Set(sourceText.match(/[a-z_][a-z0-9_]*/g) ?? [])];

async function write(emulator: TestEmulator, method: string, path: string, body?: unknown, status = "Succeeded"): Promise<void> {
  const accepted = await emulator.arm(method, `${path}?${API}`, body);
  expect(accepted.status, accepted.text).toBe(202);
  const poll = accepted.headers.get("azure-asyncoperation") ?? "";
  const ended = await emulator.until(poll, ({ body: { status: now } }) => now !== "InProgress", 120_000);
  expect(ended.body, `${method} ${path}`).toMatchObject({ status });
}

async function newServer(emulator: TestEmulator, name: string, version = "16") {
  const id = `${await emulator.group()}/providers/Microsoft.DBforPostgreSQL/flexibleServers/${name}`;
  const authConfig = { activeDirectoryAuth: "Enabled", passwordAuth: "Enabled" };
  const login = { administratorLogin: "dba", administratorLoginPassword: "correct horse" };
  const body = { location: "eastus", sku: { name: "Standard_B1ms", tier: "Burstable" }, properties: { version, authConfig, ...login } };
  await write(emulator, "PUT", id, body);
  await write(emulator, "PUT", `${id}/firewallRules/azure`, { properties: { startIpAddress: "0.0.0.0", endIpAddress: "0.0.0.0" } });
  const app = emulator.platform.directory.findByAppId(emulator.clientId);
  const administrator = { properties: { principalType: "ServicePrincipal", principalName: app?.displayName, tenantId: "" } };
  await write(emulator, "PUT", `${id}/administrators/${app?.objectId}`, administrator);
  const host = (await emulator.arm("GET", `${id}?${API}`)).body.properties.fullyQualifiedDomainName as string;
  return { id, body, administrator: { user: app?.displayName ?? "", host } };
}

async function inSession<T>(emulator: TestEmulator, config: ClientConfig, work: (client: Client) => Promise<T>): Promise<T> {
  const password = await emulator.tokenFor(emulator.clientId, audiences.postgres[0]);
  const client = new Client({ database: "postgres", password, ssl: { ca: emulator.caPem }, ...config });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Makes everything in the database that a statement of ours could take for what it means, each a trap that springs when the superuser falls in. */
async function plant(client: Client, schema: string): Promise<{ functions: number; operators: number; tables: number }> {
  await client.query("CREATE SEQUENCE IF NOT EXISTS public.sprung; GRANT ALL ON SEQUENCE public.sprung TO PUBLIC");
  const spring = (result: string): string => `RETURNS ${result} LANGUAGE plpgsql AS $trap$ BEGIN
    IF current_user = '${SUPERUSER}' OR session_user = '${SUPERUSER}' THEN PERFORM pg_catalog.nextval('public.sprung'); END IF; RETURN NULL; END $trap$`;
  const TYPES = ["oid", "regclass", "name", "text", "boolean", "integer", "bigint", "text[]", "regrole", '"char"'];
  let [functions, operators, tables] = [0, 0, 0];
  const attempt = async (sql: string): Promise<boolean> => {
    await client.query("SAVEPOINT one");
    try {
      await client.query(sql);
      await client.query("RELEASE SAVEPOINT one");
      return true;
    } catch {
      await client.query("ROLLBACK TO SAVEPOINT one"); // not everything can be made; most can
      return false;
    }
  };
  await client.query("BEGIN");
  const { rows } = await client.query(
    `SELECT p.proname AS name, ARRAY(SELECT pg_catalog.format_type(t, NULL) FROM pg_catalog.unnest(p.proargtypes) t)::text[] AS types
     FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a') AND p.proname = ANY ($1)`,
    [words],
  );
  for (const { name, types } of rows as { name: string; types: string[] }[]) {
    const variants = types.some((type) => /^"?any/.test(type))
      ? [
          ...TYPES.map((type) => types.map((old) => (/^"?any/.test(old) ? type : old))),
          ...[2, 3, 4].map((n) => ["text", ...Array(n - 1).fill("name")]),
        ]
      : [types, types.map((type) => (type === "text" ? "name" : type === "name" ? "text" : type))];
    for (const variant of variants)
      functions += Number(await attempt(`CREATE FUNCTION ${schema}."${name}"(${variant.join(", ")}) ${spring("text")}`));
  }
  for (const left of TYPES) {
    for (const right of TYPES) {
      const trap = `${schema}."trap ${left} ${right}"`;
      await attempt(`CREATE FUNCTION ${trap}(${left}, ${right}) ${spring("boolean")}`.replaceAll('""', '"').replaceAll('"char" ', "char "));
      for (const symbol of ["=", "<>", "<", ">", "||", "~", "~*", "!~*"]) {
        operators += Number(
          await attempt(
            `CREATE OPERATOR ${schema}.${symbol} (leftarg = ${left}, rightarg = ${right}, function = ${trap.replaceAll('"char" ', "char ")})`,
          ),
        );
      }
    }
  }
  const catalogs = words.filter((word) => /^pg_(authid|shseclabel|database|settings|roles|class|namespace)$/.test(word));
  for (const word of catalogs) tables += Number(await attempt(`CREATE TABLE ${schema}.${word} AS SELECT * FROM pg_catalog.pg_roles`));
  await client.query("COMMIT");
  return { functions, operators, tables };
}

/** Every door of local Azure that makes its superuser say something. */
async function useAll(emulator: TestEmulator, server: Awaited<ReturnType<typeof newServer>>): Promise<void> {
  const { id, body } = server;
  await write(emulator, "PUT", `${id}/databases/orders`, { properties: {} });
  expect((await emulator.arm("GET", `${id}/databases?${API}`)).text).toContain("orders");
  await write(emulator, "DELETE", `${id}/databases/orders`);
  expect((await emulator.arm("GET", `${id}/configurations?${API}`)).status).toBe(200);
  await write(emulator, "PATCH", `${id}/configurations/work_mem`, { properties: { value: "8192", source: "user-override" } });
  const ana = `${id}/administrators/11111111-2222-3333-4444-555555555555`;
  const asAdministrator = { properties: { principalType: "User", principalName: "ana@contoso.example", tenantId: "" } };
  for (const _ of ["made", "relabelled"]) await write(emulator, "PUT", ana, asAdministrator);
  await write(emulator, "DELETE", ana);
  emulator.platform.directory.createManagedIdentity(`${id}/somebody`, `identity-of-${id.split("/").at(-1)}`); // tells every server the names
  await write(emulator, "PATCH", id, { properties: { administratorLoginPassword: body.properties.administratorLoginPassword } });
  await write(emulator, "POST", `${id}/restart`);
}

const verdict = `SELECT (SELECT is_called FROM public.sprung) AS "isSprung",
  ARRAY(SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolsuper ORDER BY 1) AS superusers`;
const SAFE = { isSprung: false, superusers: [SUPERUSER] };

test("nothing that others made is called, read or obeyed by the superuser's statements", async ({ emulator }) => {
  const server = await newServer(emulator, "planted");
  const planted = await inSession(emulator, server.administrator, (client) => plant(client, "public"));
  expect(planted.functions).toBeGreaterThan(30);
  expect(planted.operators).toBeGreaterThan(100);
  expect(planted.tables).toBeGreaterThan(2);
  await useAll(emulator, server);
  expect(await inSession(emulator, server.administrator, async (client) => (await client.query(verdict)).rows[0])).toEqual(SAFE);
});

test("settings of database and role can neither lead the superuser astray nor lock it out", async ({ emulator }) => {
  const server = await newServer(emulator, "set-up");
  await inSession(emulator, server.administrator, async (client) => {
    await plant(client, "public");
    await client.query("CREATE ROLE nobody_at_all");
    for (const setting of [
      "search_path = public, pg_catalog",
      "default_transaction_read_only = on",
      "statement_timeout = 1",
      "lock_timeout = 1",
      "idle_session_timeout = 1",
      "idle_in_transaction_session_timeout = 1",
      "local_preload_libraries = 'no_such_library'",
      "standard_conforming_strings = off",
      "default_tablespace = 'nowhere'",
      "role = 'nobody_at_all'",
    ])
      await client.query(`ALTER DATABASE postgres SET ${setting}`);
  });
  await write(emulator, "POST", `${server.id}/restart`); // a new session of the superuser takes them up
  await useAll(emulator, server);
  const options = "-c search_path=pg_catalog -c role=none -c local_preload_libraries= -c statement_timeout=0 -c idle_session_timeout=0";
  expect(await inSession(emulator, { ...server.administrator, options }, async (client) => (await client.query(verdict)).rows[0])).toEqual(
    SAFE,
  );
});

test("a parameter of the server cannot lock it out either", async ({ emulator }) => {
  const server = await newServer(emulator, "parameters");
  for (const name of ["local_preload_libraries", "session_preload_libraries", "shared_preload_libraries"])
    await write(emulator, "PATCH", `${server.id}/configurations/${name}`, { properties: { value: "no_such_library" } }, "Failed");
  for (const [name, value] of [
    ["default_transaction_read_only", "on"],
    ["statement_timeout", "1"],
    ["search_path", "public"],
  ])
    await write(emulator, "PATCH", `${server.id}/configurations/${name}`, { properties: { value, source: "user-override" } });
  await write(emulator, "POST", `${server.id}/restart`);
  await useAll(emulator, server);
});

test("functions of Azure that run as the superuser take nothing from their caller's session", async ({ emulator }) => {
  const server = await newServer(emulator, "definer");
  await inSession(emulator, server.administrator, async (client) => {
    await plant(client, "public");
    await client.query("CREATE TEMPORARY TABLE pg_authid AS SELECT * FROM pg_catalog.pg_roles");
    await client.query("CREATE TEMPORARY TABLE pg_shseclabel AS SELECT * FROM pg_catalog.pg_roles");
    await client.query("SET search_path = pg_temp, public, pg_catalog; SET standard_conforming_strings = off");
    const oid = "11111111-2222-3333-4444-555555555555";
    await client.query("SELECT pg_catalog.pgaadauth_create_principal_with_oid('app', $1, 'service', false, false)", [oid]);
    const { rows } = await client.query(
      "SELECT objectid FROM pg_catalog.pgaadauth_list_principals(false) WHERE rolname OPERATOR(pg_catalog.=) 'app'::pg_catalog.name",
    );
    expect(rows).toEqual([{ objectid: oid }]);
    await client.query("SELECT pg_catalog.pgaadauth_sync_roles_for_group_members()");
    await client.query("SET search_path = pg_catalog");
    expect((await client.query(verdict)).rows[0]).toEqual(SAFE);
  });
});

test("there is one way to a session of the superuser", () => {
  expect(sourceText.match(/new (pg\.)?(Client|Pool)\(/g)).toEqual(["new Client("]);
});
