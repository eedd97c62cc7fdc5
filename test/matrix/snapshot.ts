import pg from "pg";
import type { Scene } from "./scene.ts";

/** Everything the project made, as Azure and PostgreSQL tell it, without what differs from run to run. */
export interface Snapshot {
  readonly state: Readonly<Record<string, unknown>>;
  /** What would be new if a resource had been made anew: the identity of the web app, the cluster and the creation dates. */
  readonly lives: Readonly<Record<string, string>>;
}

const serverApi = "api-version=2025-08-01";
const siteApi = "api-version=2025-05-01";
const linkerApi = "api-version=2024-07-01-preview";
const groupApi = "api-version=2021-04-01";

/** `undefined` when there is no resource group. Parts that are absent are `undefined`. */
export async function takeSnapshot(scene: Scene): Promise<Snapshot | undefined> {
  const { emulator, group, names } = scene;
  const ask = async (method: "GET" | "POST", path: string): Promise<Json | undefined> => {
    const { status, body } = await emulator.arm(method, path);
    return status === 404 ? undefined : (body as Json);
  };
  const get = (path: string): Promise<Json | undefined> => ask("GET", path);
  const found = await get(`${group}?${groupApi}`);
  if (!found) return undefined;
  const resources = await get(`${group}/resources?${groupApi}`);
  const server = `${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/${names.server}`;
  const [theServer, administrators, firewall, databases] = await Promise.all([
    get(`${server}?${serverApi}`),
    get(`${server}/administrators?${serverApi}`),
    get(`${server}/firewallRules?${serverApi}`),
    get(`${server}/databases?${serverApi}`),
  ]);
  const sites = await Promise.all(
    names.sites.map(async (name) => {
      const site = `${group}/providers/Microsoft.Web/sites/${name}`;
      const [theSite, config, policies, logs, linkers, settings] = await Promise.all([
        get(`${site}?${siteApi}`),
        get(`${site}/config/web?${siteApi}`),
        get(`${site}/basicPublishingCredentialsPolicies?${siteApi}`),
        get(`${site}/config/logs?${siteApi}`),
        get(`${site}/providers/Microsoft.ServiceLinker/linkers?${linkerApi}`),
        ask("POST", `${site}/config/appsettings/list?${siteApi}`),
      ]);
      return {
        principalId: (theSite?.identity as { principalId?: string } | undefined)?.principalId ?? "",
        site: theSite && { ...(theSite.properties as object), tags: theSite.tags, identity: theSite.identity },
        config: config?.properties,
        policies: policies?.value,
        logs: logs?.properties,
        linkers: linkers?.value,
        settings: settings?.properties,
      };
    }),
  );
  const host = String((theServer?.properties as { fullyQualifiedDomainName?: string } | undefined)?.fullyQualifiedDomainName ?? "");
  const database = host === "" ? undefined : await readDatabase(scene, host, String(theServer?.id));
  const state = {
    group: found.tags,
    resources: ((resources?.value ?? []) as { type: string; name: string; tags: unknown }[])
      .map(({ type, name, tags }) => [type, name, tags])
      .sort(),
    server: theServer && { ...(theServer.properties as object), tags: theServer.tags, sku: theServer.sku },
    administrators: administrators?.value,
    firewall: firewall?.value,
    databases: databases?.value,
    ...Object.fromEntries(sites.map(({ principalId: _id, ...site }, index) => [`app ${names.sites[index]}`, site])),
    database: database?.rows,
  };
  const identities = sites.map(({ principalId }, index) => [principalId, `<principal ${index}>`]);
  return {
    state: withoutRunValues(state, { ...Object.fromEntries(identities), [host]: "<host>" }),
    lives: {
      ...Object.fromEntries(sites.flatMap(({ principalId }, index) => (principalId ? [[`identity ${index}`, principalId]] : []))),
      ...(host && { host }),
      ...(database && { cluster: database.cluster, oid: database.oid }),
    },
  };
}

type Json = Record<string, unknown>;

/** Addresses, identifiers, dates and ports are new with each resource; everything else must be the same. */
function withoutRunValues(state: object, known: Readonly<Record<string, string>>): Record<string, unknown> {
  let text = JSON.stringify(state, (key, value: unknown) =>
    key === "systemData" || /date|time|^customDomainVerificationId$/i.test(key) ? undefined : value,
  );
  for (const [value, word] of Object.entries(known)) if (value !== "") text = text.replaceAll(value, word);
  text = text
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi, "<id>")
    .replace(/localhost:\d+/g, "localhost:<port>")
    .replace(/("passwordless-pg-deployment":")[^"]+/g, "$1<deployment>")
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z?/g, "<date>");
  const plain = JSON.parse(text) as Record<string, unknown> & { database?: unknown[] };
  // Sorted after the names were taken out: the administrator's is an identifier.
  const database = plain.database?.map((row) => JSON.stringify(row)).sort();
  return { ...plain, database };
}

/** Roles, labels, rights and default rights; the same statement in an undisturbed and in an interrupted run. */
const databaseFacts = `
  SELECT 'role' AS kind, r.rolname AS name, jsonb_build_array(r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolbypassrls, r.rolinherit)::text AS detail
    FROM pg_roles r WHERE r.rolname !~ '^pg_'
  UNION ALL SELECT 'label', objname, label FROM pg_seclabels WHERE objtype = 'role'
  UNION ALL SELECT 'member', m.rolname, g.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member JOIN pg_roles g ON g.oid = a.roleid WHERE g.rolname !~ '^pg_'
  UNION ALL SELECT 'database', datname, datacl::text FROM pg_database
  UNION ALL SELECT 'schema', nspname, nspowner::regrole::text || ' ' || coalesce(nspacl::text, '') FROM pg_namespace WHERE nspname !~ '^pg_'
  UNION ALL SELECT 'table', c.relname, c.relowner::regrole::text || ' ' || coalesce(c.relacl::text, '') FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
  UNION ALL SELECT 'default', d.defaclrole::regrole::text || d.defaclobjtype::text, d.defaclacl::text FROM pg_default_acl d
  ORDER BY 1, 2, 3`;

/**
 * As the administrator, from where the server's firewall may not let it in: a rule of ours stands while it is read, put into the store
 * and not through ARM, so that nothing else changes.
 */
async function readDatabase(
  { emulator, names }: Scene,
  host: string,
  serverId: string,
): Promise<{ rows: unknown[]; cluster: string; oid: string } | undefined> {
  const { directory, store, tokens } = emulator.platform;
  const administrator = directory.findByAppId(emulator.clientId);
  if (!administrator) throw new Error("The seeded service principal is missing.");
  const password = tokens.mint(administrator, "https://ossrdbms-aad.database.windows.net").token;
  const rules = store.collection<object>("postgres-firewall-rules");
  const ruleId = `${serverId}/firewallRules/snapshot`;
  rules.set(ruleId, { id: ruleId, name: "snapshot", startIpAddress: "127.0.0.1", endIpAddress: "127.0.0.1" });
  const client = new pg.Client({
    host,
    port: 5432,
    user: emulator.clientId,
    password,
    database: names.database,
    ssl: { ca: emulator.caPem, host } as pg.ClientConfig["ssl"],
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<Json>(databaseFacts);
    const { rows: lives } = await client.query<{ cluster: string; oid: string }>(
      "SELECT (SELECT oid FROM pg_database WHERE datname = current_database())::text AS oid, (SELECT system_identifier FROM pg_control_system())::text AS cluster",
    );
    return { rows, cluster: lives[0]?.cluster ?? "", oid: lives[0]?.oid ?? "" };
  } catch (error) {
    return { rows: [String(error)], cluster: "", oid: "" };
  } finally {
    await client.end().catch(() => undefined);
    rules.delete(ruleId);
  }
}
