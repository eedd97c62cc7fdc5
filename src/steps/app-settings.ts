import type { Site, SiteAdapter } from "../cloud/app-service/sites.ts";
import type { Linker } from "../cloud/linkers.ts";
import type { PostgresServer } from "../cloud/postgres-servers.ts";
import type { Database } from "../cloud/server-children.ts";
import { defineStep, type Step } from "../engine/step.ts";
import { isSecretSetting } from "./secret-settings.ts";

export interface DesiredSettings {
  readonly label: string;
  readonly role: string;
  readonly clientType: "python" | "nodejs";
  /** Only where it is not the public cloud's: apps know that one. */
  readonly tokenScope?: string;
  readonly own: Readonly<Record<string, string>>;
}

/** All app settings of this project in one write, merged with what others have set. */
export const appSettings = (
  desired: DesiredSettings,
  adapter: SiteAdapter,
  needs: {
    readonly site: Step<Site>;
    readonly server: Step<PostgresServer>;
    readonly database: Step<Database>;
    /** Writes settings too: its write has to be over before ours merges. */
    readonly connection: Step<Linker>;
  },
) =>
  defineStep<Record<string, string>, typeof needs>({
    name: `app settings ${desired.label}`,
    needs,
    lane: `site ${desired.label}`,
    read: () => adapter.getSettings(),
    plan: (observed, { site, server, database }) => {
      const missing = Object.entries(settingsOf(desired, server, database, site.clientId))
        .filter(([name, value]) => observed?.[name] !== value)
        .map(([name, value]) => ({ field: name, observed: shown(name, observed?.[name]), desired: shown(name, value) }));
      const leftover = leftoversOf(observed ?? {}, desired, site.clientId).map((name) => ({
        field: name,
        observed: observed?.[name],
        desired: undefined,
      }));
      const differences = [...missing, ...leftover];
      return differences.length === 0 ? { kind: "keep" } : { kind: "update", differences };
    },
    apply: async (_change, { site, server, database }) => {
      // Read again right before the write: PUT replaces everything, and Service Connector may have written meanwhile.
      const current = (await adapter.getSettings()) ?? {};
      const leftover = leftoversOf(current, desired, site.clientId);
      const kept = Object.fromEntries(Object.entries(current).filter(([name]) => !leftover.includes(name)));
      await adapter.putSettings({ ...kept, ...settingsOf(desired, server, database, site.clientId) });
    },
  });

/** What stood there before may be a connection string with a password: plans and reports go into logs. */
function shown(name: string, value: string | undefined): string | undefined {
  return value !== undefined && isSecretSetting(name, value) ? "(a secret, not shown)" : value;
}

/**
 * What makes an app ask for the tokens of its user-assigned identity: `AZURE_CLIENT_ID` is what Azure's libraries look for,
 * `AZURE_POSTGRESQL_CLIENTID` what Service Connector writes, and `DB_CLIENT_ID` says later that the first one was ours.
 */
function identitySettings(clientId: string): Record<string, string> {
  return { AZURE_CLIENT_ID: clientId, AZURE_POSTGRESQL_CLIENTID: clientId, DB_CLIENT_ID: clientId };
}

/** Settings of a user-assigned identity that the app had before: `DB_CLIENT_ID`, and those that say the same. */
function leftoversOf(settings: Readonly<Record<string, string>>, desired: DesiredSettings, clientId: string | undefined): string[] {
  const former = settings.DB_CLIENT_ID;
  if (clientId !== undefined || former === undefined) return [];
  return Object.keys(identitySettings(former)).filter((name) => settings[name] === former && desired.own[name] === undefined);
}

/**
 * `DB_*` for the app, and the settings that Service Connector writes for its client type
 * (Microsoft's page "Integrate Azure Database for PostgreSQL with Service Connector"), so that one removed by hand comes back.
 */
export function settingsOf(
  desired: DesiredSettings,
  server: PostgresServer,
  database: Database,
  /** Of the user-assigned identity, where the app has one. */
  clientId: string | undefined,
): Record<string, string> {
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
    ...(clientId ? identitySettings(clientId) : {}),
    ...(desired.tokenScope ? { DB_TOKEN_SCOPE: desired.tokenScope } : {}),
    ...connector,
    ...desired.own,
  };
}
