import { escapeLiteral } from "pg";
import { armError } from "../../http/arm-error.ts";
import type { PostgresMachine } from "../../machines/postgres/machine.ts";
import type { FlexibleServer } from "./model.ts";
import { RESERVED_CONNECTIONS } from "./sizes.ts";

/** A server parameter as the control plane shows it; all scalars are strings. */
export interface Parameter {
  readonly name: string;
  readonly value: string;
  readonly description: string;
  readonly defaultValue: string;
  readonly dataType: string;
  readonly allowedValues: string;
  readonly source: "system-default" | "user-override";
  readonly isDynamicConfig: boolean;
  readonly isReadOnly: boolean;
  readonly isConfigPendingRestart: boolean;
  readonly unit?: string;
  readonly documentationLink?: string;
}

/** `postgresql.conf` of a server of this size: Azure's defaults, where a machine of ours can follow them. */
export function baseSettings(server: FlexibleServer, major: number): Record<string, string> {
  const { superuser, reserved } = RESERVED_CONNECTIONS;
  return {
    max_connections: `${server.maxConnections}`,
    superuser_reserved_connections: `${major >= 16 ? superuser : superuser + reserved}`,
    ...(major >= 16 ? { reserved_connections: `${reserved}` } : {}),
  };
}

/** Parameters that exist beside PostgreSQL's own. PgBouncer's others show up only while it is on. Recorded, as the last two of the list: `require_secure_transport` and `pgbouncer.enabled` (2023-03-01-preview). */
const SERVICE_PARAMETERS: readonly (Omit<Parameter, "value" | "source" | "isReadOnly" | "isConfigPendingRestart" | "isDynamicConfig"> & {
  readonly name: string;
})[] = [
  // Documented names; what they switch has no part here: every extension PostgreSQL has may be created, logs are not kept for download.
  {
    name: "azure.extensions",
    description: "Specifies which extensions are allowed to be created in the server.",
    defaultValue: "",
    dataType: "Set",
    allowedValues: ".*",
    documentationLink: "https://go.microsoft.com/fwlink/?linkid=2274269",
  },
  {
    name: "azure.accepted_password_auth_method",
    description: "Accepted password authentication methods.",
    defaultValue: "md5,scram-sha-256",
    dataType: "Set",
    allowedValues: "md5,scram-sha-256",
  },
  {
    name: "logfiles.download_enable",
    description: "Enables or disables server logs functionality.",
    defaultValue: "off",
    dataType: "Boolean",
    allowedValues: "on,off",
  },
  {
    name: "logfiles.retention_days",
    description: "Sets the retention period window in days for server logs, after which data will be deleted.",
    defaultValue: "3",
    dataType: "Integer",
    allowedValues: "1-7",
  },
  {
    name: "require_secure_transport",
    description: "Whether client connections to the server are required to use some form of secure transport.",
    defaultValue: "on",
    dataType: "Boolean",
    allowedValues: "on,off",
  },
  {
    name: "pgbouncer.enabled",
    description: "Denotes if pgBouncer service is enabled.",
    defaultValue: "false",
    dataType: "Boolean",
    allowedValues: "true, false",
    documentationLink: "https://www.pgbouncer.org/config.html",
  },
  ...[
    ["default_pool_size", "50", "Integer", "1-4950"],
    ["max_client_conn", "5000", "Integer", "1-50000"],
    ["max_prepared_statements", "0", "Integer", "0-5000"],
    ["min_pool_size", "0", "Integer", "0-4950"],
    ["pool_mode", "transaction", "Enumeration", "session,transaction,statement"],
    ["query_wait_timeout", "120", "Integer", "0-86400"],
    ["server_idle_timeout", "600", "Integer", "0-86400"],
    ["ignore_startup_parameters", "", "String", ".*"],
    ["stats_users", "", "String", ".*"],
  ].map(([name = "", defaultValue = "", dataType = "", allowedValues = ""]) => ({
    name: `pgbouncer.${name}`,
    description: `PgBouncer's ${name}.`,
    defaultValue,
    dataType,
    allowedValues,
    documentationLink: "https://www.pgbouncer.org/config.html",
  })),
];

// How this machine reaches its PostgreSQL is no business of a client of Azure.
const HIDDEN =
  /^(unix_socket|listen_addresses|port$|hba_file|ident_file|config_file|data_directory|external_pid_file|ssl|bonjour|debug_|trace_|krb_|allow_|ignore_)/;
const READ_ONLY =
  /^(superuser_reserved_connections|reserved_connections|fsync|full_page_writes|log_directory|log_filename|logging_collector|archive_|wal_level|password_encryption$|event_source|cluster_name)/;

interface SettingRow {
  readonly name: string;
  readonly setting: string;
  readonly unit: string | null;
  readonly context: string;
  readonly vartype: string;
  readonly min_val: string | null;
  readonly max_val: string | null;
  readonly enumvals: readonly string[] | null;
  readonly boot_val: string | null;
  readonly short_desc: string;
  readonly pending_restart: boolean;
}

/** Every parameter: PostgreSQL's own as the running server has them (as in the recording, in no alphabetical order), then the service's. */
export async function listParameters(server: FlexibleServer, machine: PostgresMachine, major: number): Promise<readonly Parameter[]> {
  const rows = (await machine.query("postgres", SETTINGS)) as unknown as readonly SettingRow[];
  const base = baseSettings(server, major);
  return [
    ...rows.filter((row) => !HIDDEN.test(row.name)).map((row) => fromSetting(row, server, base[row.name], major)),
    ...serviceParameters(server),
  ];
}

const SETTINGS =
  "SELECT name, setting, unit, context, vartype, min_val, max_val, enumvals, boot_val, short_desc, pending_restart FROM pg_catalog.pg_settings ORDER BY category, name";

function fromSetting(row: SettingRow, server: FlexibleServer, base: string | undefined, major: number): Parameter {
  const unit = row.unit ? (UNITS[row.unit] ?? row.unit) : undefined;
  return {
    name: row.name,
    // A value that waits for the restart is shown at once, with isConfigPendingRestart.
    value: server.parameters[row.name] ?? row.setting,
    description: row.short_desc,
    defaultValue: base ?? row.boot_val ?? "",
    dataType: TYPES[row.vartype] ?? "String",
    allowedValues:
      row.vartype === "bool" ? "on,off" : (row.enumvals?.join(",") ?? (row.min_val === null ? ".*" : `${row.min_val}-${row.max_val}`)),
    source: row.name in server.parameters ? "user-override" : "system-default",
    isDynamicConfig: row.context !== "postmaster" && row.context !== "internal",
    isReadOnly: row.context === "internal" || READ_ONLY.test(row.name),
    isConfigPendingRestart: row.pending_restart,
    ...(unit ? { unit } : {}),
    documentationLink: `https://www.postgresql.org/docs/${major}/runtime-config.html`,
  };
}

const TYPES: Readonly<Record<string, string>> = {
  bool: "Boolean",
  integer: "Integer",
  real: "Numeric",
  enum: "Enumeration",
  string: "String",
};
const UNITS: Readonly<Record<string, string>> = {
  ms: "milliseconds",
  s: "seconds",
  min: "minutes",
  kB: "kilobytes",
  MB: "megabytes",
  B: "bytes",
};

function serviceParameters(server: FlexibleServer): readonly Parameter[] {
  return SERVICE_PARAMETERS.filter(({ name }) => isVisible(name, server)).map((known) => ({
    ...known,
    value: server.parameters[known.name] ?? known.defaultValue,
    source: known.name in server.parameters ? ("user-override" as const) : ("system-default" as const),
    isDynamicConfig: true,
    isReadOnly: false,
    isConfigPendingRestart: false,
  }));
}

/** PgBouncer: not on Burstable (documented; that it is a 404 there is inferred), its details only while it is on. */
function isVisible(name: string, server: FlexibleServer): boolean {
  if (!name.startsWith("pgbouncer.")) return true;
  return server.sku.tier !== "Burstable" && (name === "pgbouncer.enabled" || server.parameters["pgbouncer.enabled"] === "true");
}

/**
 * Makes PostgreSQL take a value (`undefined`: back to the default) and answers when it stands in its files. Azure checks late and says nothing:
 * a bad or read-only parameter fails in the poll with the literal message `{0}`. Throws that ArmError.
 */
export async function applyParameter(parameter: Parameter, value: string | undefined, machine: PostgresMachine): Promise<void> {
  const refused = armError(400, "OperationFailed", "{0}");
  if (parameter.isReadOnly) throw refused;
  if (SERVICE_PARAMETERS.some(({ name }) => name === parameter.name)) {
    if (value !== undefined && !isAllowed(parameter, value)) throw refused;
    return;
  }
  const name = parameter.name
    .split(".")
    .map((part) => `"${part.replaceAll('"', '""')}"`)
    .join(".");
  try {
    await requireLibraries(parameter.name, value, machine);
    await machine.query(
      "postgres",
      value === undefined ? `ALTER SYSTEM RESET ${name}` : `ALTER SYSTEM SET ${name} = '${value.replaceAll("'", "''")}'`,
    );
    await machine.query("postgres", "SELECT pg_catalog.pg_reload_conf()");
  } catch (error) {
    if ((error as { severity?: string }).severity === "ERROR") throw refused;
    throw error;
  }
}

const NO_SUCH_FILE = "58P01";

/** A library that is not there would keep every session, or the whole server, from starting: for good, since the value is in its files. */
async function requireLibraries(name: string, value: string | undefined, machine: PostgresMachine): Promise<void> {
  if (!/_preload_libraries$/.test(name)) return;
  const libraries = (value ?? "").split(",").map((library) => library.trim().replace(/^"(.*)"$/, "$1"));
  for (const library of libraries.filter((one) => one !== "")) {
    if (library.includes("/")) throw armError(400, "OperationFailed", "{0}"); // Azure has a list of names
    try {
      await machine.query("postgres", `LOAD ${escapeLiteral(library)}`);
    } catch (error) {
      if ((error as { code?: string }).code === NO_SUCH_FILE) throw error;
      // It is there, and says itself that it wants to be loaded in another way.
    }
  }
}

function isAllowed({ dataType, allowedValues }: Parameter, value: string): boolean {
  if (dataType === "Integer") {
    const [low = 0, high = 0] = allowedValues.split("-").map(Number);
    return /^\d+$/.test(value) && Number(value) >= low && Number(value) <= high;
  }
  const allowed = allowedValues.split(/,\s*/);
  if (dataType === "Set") return allowedValues === ".*" || value.split(",").every((one) => allowed.includes(one.trim().toLowerCase()));
  return dataType === "String" || allowed.includes(value.toLowerCase());
}
