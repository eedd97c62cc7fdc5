import type { ClientType, ConfigurationInfo, Setting } from "./model.ts";

/** What the settings of a connection are made of. */
export interface Connection {
  /** The linker's name, when an earlier PostgreSQL connection of the source has taken the short keys. */
  readonly name: string | undefined;
  readonly clientType: ClientType;
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** Absent on 2022-05-01 with an identity: then the settings carry no user. */
  readonly user: string | undefined;
  /** Of a user-assigned identity. */
  readonly clientId?: string | undefined;
  /** With `secret` authentication only. */
  readonly password: string | undefined;
  readonly configuration: ConfigurationInfo | null;
}

/**
 * The app settings a PostgreSQL connection writes, by client type
 * (learn.microsoft.com/azure/service-connector/how-to-integrate-postgres; the order inside the python value was recorded).
 * The place of `password` in the other values and of additional properties is inferred.
 */
export function settingsFor(connection: Connection): readonly Setting[] {
  const infix = connection.name ? `${connection.name.toUpperCase().replaceAll(".", "_")}_` : "";
  const renamed = connection.configuration?.customizedKeys ?? {};
  const base = [...defaults(connection), ...identitySettings(connection)].map(({ name, value }) => ({
    name: name.replace(/^AZURE_POSTGRESQL_/, `AZURE_POSTGRESQL_${infix}`),
    value,
  }));
  const additional = Object.entries(connection.configuration?.additionalConfigurations ?? {}).map(([name, value]) => ({ name, value }));
  return [...base.map(({ name, value }) => ({ name: renamed[name] ?? name, value })), ...additional];
}

function defaults(connection: Connection): readonly Setting[] {
  switch (connection.clientType) {
    case "python":
      return [pairs(connection, ["dbname", "host", "port", "sslmode", "user", "password"])];
    case "go":
      return [pairs(connection, ["host", "dbname", "sslmode", "user", "password"])];
    case "php":
    case "ruby":
      return [pairs(connection, ["host", "port", "dbname", "sslmode", "user", "password"])];
    case "dotnet":
      return [dotnet(connection)];
    case "java":
      return [{ name: "AZURE_POSTGRESQL_CONNECTIONSTRING", value: jdbc(connection, true) }];
    case "springBoot":
      return springBoot(connection);
    case "django":
      return single(connection, { database: "NAME", user: "USER", hasPortAndSsl: false });
    case "nodejs":
      return single(connection, { database: "DATABASE", user: "USER", hasPortAndSsl: true });
    case "none":
      return single(connection, { database: "DATABASE", user: "USERNAME", hasPortAndSsl: true });
  }
}

/** Documented; the key of springBoot's switch is read from a shortened table. */
function identitySettings({ clientId, clientType }: Connection): readonly Setting[] {
  if (clientId === undefined) return [];
  if (clientType !== "springBoot") return [{ name: "AZURE_POSTGRESQL_CLIENTID", value: clientId }];
  return [
    { name: "spring.cloud.azure.credential.client-id", value: clientId },
    { name: "spring.cloud.azure.credential.client-managed-identity-enabled", value: "true" },
  ];
}

function pairs(connection: Connection, order: readonly string[]): Setting {
  const { host, port, database, user, password } = connection;
  const values: Record<string, string | undefined> = { host, port: String(port), dbname: database, sslmode: "require", user, password };
  const known = order.flatMap((key) => (values[key] === undefined ? [] : [`${key}=${values[key]}`]));
  return { name: "AZURE_POSTGRESQL_CONNECTIONSTRING", value: [...known, ...extras(connection)].join(" ") };
}

function dotnet(connection: Connection): Setting {
  const { host, port, database, user, password } = connection;
  const known = [`Server=${host}`, `Database=${database}`, `Port=${port}`, "Ssl Mode=Require"];
  if (user !== undefined) known.push(`User Id=${user}`);
  if (password !== undefined) known.push(`Password=${password}`);
  return { name: "AZURE_POSTGRESQL_CONNECTIONSTRING", value: [...known, ...extras(connection)].map((part) => `${part};`).join("") };
}

function jdbc(connection: Connection, withUser: boolean): string {
  const { host, port, database, user, password } = connection;
  const members = ["sslmode=require"];
  if (withUser && user !== undefined) members.push(`user=${user}`);
  if (withUser && password !== undefined) members.push(`password=${password}`);
  return `jdbc:postgresql://${host}:${port}/${database}?${[...members, ...extras(connection)].join("&")}`;
}

function springBoot(connection: Connection): readonly Setting[] {
  const { user, password } = connection;
  return [
    ...(password === undefined ? [{ name: "spring.datasource.azure.passwordless-enabled", value: "true" }] : []),
    { name: "spring.datasource.url", value: jdbc(connection, false) },
    ...(user === undefined ? [] : [{ name: "spring.datasource.username", value: user }]),
    ...(password === undefined ? [] : [{ name: "spring.datasource.password", value: password }]),
  ];
}

function single(connection: Connection, keys: { database: string; user: string; hasPortAndSsl: boolean }): readonly Setting[] {
  const { host, port, database, user, password } = connection;
  const entries: [string, string | undefined][] = [
    ["HOST", host],
    [keys.user, user],
    [keys.database, database],
    ["PORT", keys.hasPortAndSsl ? String(port) : undefined],
    ["SSL", keys.hasPortAndSsl ? "true" : undefined],
    ["PASSWORD", password],
  ];
  return entries.flatMap(([key, value]) => (value === undefined ? [] : [{ name: `AZURE_POSTGRESQL_${key}`, value }]));
}

function extras({ configuration }: Connection): readonly string[] {
  return Object.entries(configuration?.additionalConnectionStringProperties ?? {}).map(([key, value]) => `${key}=${value}`);
}
