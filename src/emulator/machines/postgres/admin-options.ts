/**
 * What every session of local Azure's own superuser begins with. Start-up options win over `postgresql.conf`, `ALTER SYSTEM`, `ALTER DATABASE … SET` and
 * `ALTER ROLE … SET`, some of which an app, its administrator or a server parameter may write: neither whose functions and operators our
 * statements call, nor whether they can be run at all, may depend on them.
 */
export function adminOptions(major: number): string {
  const settings: Readonly<Record<string, string>> = {
    search_path: "pg_catalog",
    role: "none",
    session_preload_libraries: "",
    local_preload_libraries: "",
    session_replication_role: "origin",
    default_transaction_read_only: "off",
    default_transaction_isolation: "read committed",
    default_transaction_deferrable: "off",
    standard_conforming_strings: "on",
    default_tablespace: "",
    temp_tablespaces: "",
    statement_timeout: "0",
    lock_timeout: "0",
    idle_in_transaction_session_timeout: "0",
    idle_session_timeout: "0",
    log_statement: "none", // a verifier of a password stands in some
    log_min_duration_statement: "-1",
    log_min_error_statement: "panic",
    ...(major >= 16 ? { createrole_self_grant: "" } : {}),
    ...(major >= 17 ? { transaction_timeout: "0", event_triggers: "off" } : {}),
  };
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value.replaceAll(/[\\ ]/g, "\\$&")}`)
    .join(" ");
}
