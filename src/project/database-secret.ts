/** A word for the database in a setting's name, and at its end one for a password: `DB_PASSWORD`, `PGPASSWORD`, `spring.datasource.password`. */
const NAME =
  /(?:^|[._])(?:pg|pgsql|psql|postgres(?:ql)?|db|database|datasource|sqlalchemy)[._]*(?:(?:[a-z0-9]+[._]+)*(?:pass|passwd|password|pwd|passphrase)|secret)$/i;
/** Other systems have passwords of their own. */
const OTHER_SYSTEM = /mongo|redis|mysql|maria|mssql|sqlserver|oracle|cosmos|influx|neo4j|elastic|cassandra|dynamo/i;
const URL_WITH_PASSWORD = /\bpostgres(?:ql)?(?:\+\w+)?:\/\/(?:[^/\s:@]*:[^/\s@]+@|\S*[?&]password=[^&\s])/i;
const PASSWORD_FIELD = /(?:^|[;\s])(?:password|pwd)\s*=\s*[^\s;]/i;
/** Fields of libpq's and Npgsql's connection texts; other databases' say `Server`. */
const POSTGRES_FIELD = /(?:^|[;\s])(?:host|hostaddr|dbname)\s*=|postgres/i;

/** Characters of a value: no connection text is longer. */
const LOOKED_AT = 4096;

/**
 * Says what is wrong when an app setting would carry a password of the database, which takes none: it would be sent, shown to whoever
 * reads the settings, and fail `verify`. Other secrets are only warned of, since the app may need them. Never the value itself.
 */
export function checkDatabaseSecret(name: string, value: string): string | undefined {
  if (value === "" || value.startsWith("@Microsoft.KeyVault(")) return undefined;
  const isByName = NAME.test(name) && !OTHER_SYSTEM.test(name);
  const begin = value.slice(0, LOOKED_AT);
  const isByValue = URL_WITH_PASSWORD.test(begin) || (PASSWORD_FIELD.test(begin) && POSTGRES_FIELD.test(begin));
  if (!isByName && !isByValue) return undefined;
  return `${isByName ? "is" : "holds"} a password of the database, which takes none: leave it out, the app signs in with the token of its identity (or refer to a key vault: "@Microsoft.KeyVault(…)")`;
}
