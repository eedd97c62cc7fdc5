import type { Linker } from "../cloud/linkers.ts";
import type { Database, PostgresServer } from "../cloud/postgres-servers.ts";
import type { WebApp, WebApps } from "../cloud/web-apps.ts";
import { defineStep, type Step } from "../engine/step.ts";
import { looksSecret } from "./looks-secret.ts";

export interface DesiredSettings {
  readonly key: string;
  readonly role: string;
  readonly clientType: "python" | "nodejs";
  /** Only where it is not the public cloud's: apps know that one. */
  readonly tokenScope?: string;
  readonly own: Readonly<Record<string, string>>;
}

/** All app settings of this project in one write, merged with what others have set. */
export const appSettings = (
  desired: DesiredSettings,
  group: string,
  webApps: WebApps,
  needs: {
    readonly site: Step<WebApp>;
    readonly server: Step<PostgresServer>;
    readonly database: Step<Database>;
    /** Writes settings too: its write has to be over before ours merges. */
    readonly connection: Step<Linker>;
  },
) =>
  defineStep<Record<string, string>, typeof needs>({
    name: `app settings ${desired.key}`,
    needs,
    lane: `site ${desired.key}`,
    read: ({ site }) => webApps.getSettings(group, site.name),
    plan: (observed, { server, database }) => {
      const differences = Object.entries(settingsOf(desired, server, database))
        .filter(([name, value]) => observed?.[name] !== value)
        .map(([name, value]) => ({ field: name, observed: shown(name, observed?.[name]), desired: shown(name, value) }));
      return differences.length === 0 ? { kind: "keep" } : { kind: "update", differences };
    },
    apply: async (_change, { site, server, database }) => {
      // Read again right before the write: PUT replaces everything, and Service Connector may have written meanwhile.
      const current = (await webApps.getSettings(group, site.name)) ?? {};
      await webApps.putSettings(group, site.name, { ...current, ...settingsOf(desired, server, database) });
    },
  });

/** What stood there before may be a connection string with a password: plans and reports go into logs. */
function shown(name: string, value: string | undefined): string | undefined {
  return value !== undefined && looksSecret(name, value) ? "(a secret, not shown)" : value;
}

/**
 * `DB_*` for the app, and the settings that Service Connector writes for its client type
 * (Microsoft's page "Integrate Azure Database for PostgreSQL with Service Connector"), so that one removed by hand comes back.
 */
export function settingsOf(desired: DesiredSettings, server: PostgresServer, database: Database): Record<string, string> {
  const port = String(server.port);
  const connector: Record<string, string> =
    desired.clientType === "python"
      ? {
          AZURE_POSTGRESQL_CONNECTIONSTRING: `dbname=${database.name} host=${server.host} port=${port} sslmode=require user=${desired.role}`,
        }
      : {
          AZURE_POSTGRESQL_HOST: server.host,
          AZURE_POSTGRESQL_USER: desired.role,
          AZURE_POSTGRESQL_DATABASE: database.name,
          AZURE_POSTGRESQL_PORT: port,
          AZURE_POSTGRESQL_SSL: "true",
        };
  return {
    DB_HOST: server.host,
    DB_PORT: port,
    DB_NAME: database.name,
    DB_USER: desired.role,
    ...(desired.tokenScope ? { DB_TOKEN_SCOPE: desired.tokenScope } : {}),
    ...connector,
    ...desired.own,
  };
}
